"""Reads the small texts of a request: K=V arguments, environment, volumes, outputs, seed. Pure.

Every error names the flag and the text, and says how to write it.
"""

from __future__ import annotations

import itertools
import json
import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from storage.errors import UserError
from verifier.model import OutputMount

OUTPUTS: Final = OutputMount(name="outputs", path="/outputs")
"""Collected from every task."""

_RESERVED = ("/dev", "/function", "/home", "/lib", "/proc", "/run", "/tmp", "/usr", "/work")  # noqa: S108  guest paths
"""Guest directories that nothing may be mounted over or into."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_MAX_INT = 1 << 63


def parse_args(texts: Iterable[str]) -> dict[str, Any]:
    """Return the function's keyword arguments. A value is JSON; what does not read as JSON is a string.

    Raises:
        UserError: no '=', a name that is no identifier, a name twice, or a number out of range.
    """
    args: dict[str, Any] = {}
    for text in texts:
        name, value = _split(text, "--arg", "n=20")
        if not _IDENTIFIER.fullmatch(name):
            raise UserError(f"{name!r} is not an argument name", where=f"--arg {text}", fix="write --arg name=value")
        if name in args:
            raise UserError(f"argument {name!r} is given twice", where=f"--arg {text}", fix="keep one of them")
        args[name] = _value(value, f"--arg {text}")
    return args


def _value(text: str, where: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique_pairs)
    except ValueError:
        return text
    except RecursionError as error:
        raise UserError("value is nested too deeply", where=where, fix="pass it as data with -i") from error
    _check_numbers(value, where)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("repeated key")
    return dict(pairs)


def _check_numbers(value: Any, where: str) -> None:
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise UserError("number is too large", where=where, fix="pass it as a string: --arg x='\"1e999\"'")
    if isinstance(value, int) and not -_MAX_INT <= value < _MAX_INT:
        raise UserError("integer does not fit in 64 bits", where=where, fix="pass it as a string and convert it")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_numbers(part, where)


def parse_env(texts: Iterable[str]) -> dict[str, str]:
    """Return environment variables.

    Raises:
        UserError: no '=', an empty name, a NUL, or a name twice.
    """
    env: dict[str, str] = {}
    for text in texts:
        name, value = _split(text, "-e", "NAME=value")
        if "\0" in text or name in env:
            problem = "holds a NUL byte" if "\0" in text else f"variable {name!r} is given twice"
            raise UserError(problem, where=f"-e {text!r}", fix="write -e NAME=value once for each variable")
        env[name] = value
    return env


def _split(text: str, flag: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UserError(f"{text!r} is not of the form K=V", where=flag, fix=f"write {flag} {example}")
    return name, value


def parse_outputs(texts: Iterable[str]) -> tuple[OutputMount, ...]:
    """Return the output directories by name, `outputs` at /outputs among them.

    Raises:
        UserError: malformed, a name or path twice, or a path that the guest keeps for itself.
    """
    outputs = {OUTPUTS.name: OUTPUTS}
    for text in texts:
        where = f"-o {text}"
        name, colon, path = text.partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise UserError("is not of the form name:/path", where=where, fix="write -o results:/results")
        if name in outputs and outputs[name].path != path:
            raise UserError(f"output {name!r} is given twice", where=where, fix="give each output its own name")
        outputs[name] = OutputMount(name=name, path=check_guest_path(path, where))
    check_disjoint([output.path for output in outputs.values()], "-o")
    return tuple(outputs[name] for name in sorted(outputs, key=str.encode))


def split_volume(text: str) -> tuple[str, str]:
    """Return (what names the content, guest path) of a -v text.

    Raises:
        UserError: malformed.
    """
    content, colon, path = text.rpartition(":")
    # "https://host/x" without a guest path would be split behind its scheme.
    if not colon or not content or not path.startswith("/") or (path.startswith("//") and content.isalnum()):
        raise UserError("is not of the form CID:/path", where=f"-v {text}", fix="write -v bafy…:/inputs/reference")
    return content, check_guest_path(path, f"-v {text}")


def check_guest_path(path: str, where: str) -> str:
    """Return an absolute, normal guest path that may be mounted or collected.

    Raises:
        UserError: it is not one.
    """
    plain = path.startswith("/") and not path.startswith("//") and posixpath.normpath(path) == path
    if not plain or path == "/" or "\0" in path:
        raise UserError(f"{path!r} is not an absolute, plain path", where=where, fix="write it like /inputs/reference")
    for reserved in _RESERVED:
        if path == reserved or path.startswith(f"{reserved}/"):
            raise UserError(
                f"{reserved} belongs to the runtime", where=where, fix="choose another path, such as /inputs/x"
            )
    return path


def check_disjoint(paths: Sequence[str], where: str) -> None:
    """Refuse guest paths of which one lies in another.

    Raises:
        UserError: two overlap.
    """
    ordered = sorted(paths, key=lambda path: path.split("/"))
    for outer, inner in itertools.pairwise(ordered):
        if inner == outer or inner.startswith(f"{outer}/"):
            raise UserError(f"{inner} lies in {outer}", where=where, fix="choose paths that do not overlap")


def parse_seed(text: str | None) -> str | None:
    """Return a seed as lower-case hex.

    Raises:
        UserError: not 1 to 64 bytes of hex.
    """
    if text is None:
        return None
    lowered = text.lower().removeprefix("0x")
    if not re.fullmatch(r"(?:[0-9a-f]{2}){1,64}", lowered):
        raise UserError(f"{text!r} is not a seed", where="--seed", fix="write 1 to 64 bytes in hex, such as --seed 2a")
    return lowered
