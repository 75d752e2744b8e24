"""`${…}` in the texts of a flow: parameters, which are put in, and outputs of steps, which stand alone.

${args.name}        a parameter of the flow; alone in a text it keeps its type
${step}             all that a step gave: its output directory
${step/result}      something in it
$${                 the characters ${
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runtime.contents import typed_cid
from runtime.flow_types import PARAMETERS, Literal, Reference, is_step_name
from runtime.flow_yaml import Mark, refused
from storage.errors import UserError
from storage.url_text import scheme_of

_HOLE: Final = re.compile(r"\$(?P<escape>\$(?=\{))|\$\{(?P<inside>[^{}]*)\}")
_PREFIX: Final = f"{PARAMETERS}."


def fill(text: str, values: Mapping[str, Any], at: Mark) -> str:
    """Put parameters into a text.

    Raises:
        UserError: there is no such parameter, or it names a step: that is known only when the flow runs.
    """

    def put(match: re.Match[str]) -> str:
        if match["escape"]:
            return "$"
        value = _parameter(match["inside"], values, at)
        return value if isinstance(value, str) else json.dumps(value)

    return _HOLE.sub(put, text)


def fill_value(text: str, values: Mapping[str, Any], at: Mark) -> Any:
    """Put parameters into a text; one that stands alone is its value.

    Raises:
        UserError: as `fill`.
    """
    match = _HOLE.fullmatch(text)
    return _parameter(match["inside"], values, at) if match and is_parameter(text) else fill(text, values, at)


def is_parameter(text: str) -> bool:
    """Tell whether a text is one parameter and nothing else."""
    match = _HOLE.fullmatch(text)
    return match is not None and match["inside"] is not None


def read_content(text: str, values: Mapping[str, Any], at: Mark, folder: Path) -> Literal | Reference:
    """Return what a text of `data`, `over` or `volumes` names.

    folder: what relative paths begin in.

    Raises:
        UserError: as `fill`; or it is empty, or no reference.
    """
    match = _HOLE.fullmatch(text)
    if match is not None and match["inside"] is not None and not match["inside"].startswith(_PREFIX):
        return _reference(match["inside"], at)
    filled = fill(text, values, at)
    if not filled:
        raise refused(at, "is empty", "name a file, a directory, a CID, a URL or ${step/result}")
    try:
        return Literal(text=anchored(filled, folder), at=str(at))
    except UserError as error:
        raise refused(at, f"{error.where}: {error.problem}", error.fix) from error


def _parameter(inside: str, values: Mapping[str, Any], at: Mark) -> Any:
    name = inside.removeprefix(_PREFIX)
    if name == inside:
        problem = f"takes ${{{inside}}} of a step, where a value is needed before anything runs"
        raise refused(at, problem, "give it as data, or in volumes, as the whole text")
    if name not in values:
        known = ", ".join(values) or "none"
        raise refused(at, f"there is no parameter {name!r}", f"declare it under 'args' (there: {known})")
    return values[name]


def _reference(inside: str, at: Mark) -> Reference:
    step, slash, path = inside.partition("/")
    if not is_step_name(step):
        fix = "write ${step}, ${step/result}, ${step/outputs/outputs/x}, or ${args.name} for a parameter"
        raise refused(at, f"${{{inside}}} names no step", fix)
    if slash and any(name in ("", ".", "..") for name in path.split("/")):
        raise refused(at, f"${{{inside}}} has a path that is not plain", "write names joined by '/'")
    return Reference(step=step, path=path, at=str(at))


def anchored(text: str, folder: Path) -> str:
    """Return what names content with a local path made absolute, which begins in a folder.

    Raises:
        UserError: it is a malformed ipfs URL.
    """
    if typed_cid(text) is not None or scheme_of(text) is not None:
        return text
    return f"@{folder / text[1:]}" if text.startswith("@") else str(folder / text)
