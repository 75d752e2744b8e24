"""The bounds that the model's fields carry: annotated types that `verifier.schema` checks.

A bound is a function from a value of the right type to the problem with it, empty when there is none. Every text is
free of control characters, so what is signed can be shown.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

from packaging.utils import canonicalize_name

from storage.cid import CID, check_cid
from storage.errors import VerificationError
from verifier.peer_id import PeerId, public_key_of
from verifier.signature import signature_bytes

Bound = Callable[[Any], str]

MAX_NAME_BYTES: Final = 255
"""Longest file name on the usual file systems."""
MAX_PATH_BYTES: Final = 4096
"""PATH_MAX of Linux."""
MAX_INTEGER: Final = (1 << 63) - 1
"""Fits a signed 64-bit integer, so any language reads it exactly."""
MAX_JSON_DEPTH: Final = 64
"""Deep enough for arguments, shallow enough for every decoder's stack."""

MAX_NODES: Final = 4096
"""Commitments or receipts of one record: above what a rule can ask for, and an audit of it still takes seconds."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _text(max_bytes: int, *, empty: bool = False) -> Bound:
    def problem(value: str) -> str:
        if not value and not empty:
            return "must not be empty"
        if _CONTROL.search(value):
            return "has a control character or a lone surrogate"
        return "" if len(value.encode()) <= max_bytes else f"is longer than {max_bytes} bytes"

    return problem


def _pattern(pattern: str, form: str) -> Bound:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: "" if compiled.fullmatch(value) else f"must be {form}"


def _between(low: int, high: int) -> Bound:
    return lambda value: "" if low <= value <= high else f"must be {low} to {high}"


def _valid(parse: Callable[[Any], Any]) -> Bound:
    """Turn a parser that raises VerificationError into a bound."""

    def problem(value: Any) -> str:
        try:
            parse(value)
        except VerificationError as error:
            return error.problem
        return ""

    return problem


def _name_problem(value: str) -> str:
    return "must be one path component" if "/" in value or value in (".", "..") else ""


def _components_problem(path: str) -> str:
    bad = [part for part in path.split("/") if part in ("", ".", "..") or len(part.encode()) > MAX_NAME_BYTES]
    return f"has the component {bad[0]!r}" if bad else ""


def _absolute_problem(path: str) -> str:
    return _components_problem(path[1:]) if path.startswith("/") else "must be an absolute path"


def _project_problem(name: str) -> str:
    return "" if canonicalize_name(name) == name else f"must be normalised: {canonicalize_name(name)!r}"


def _environment_problem(env: dict[Any, Any]) -> str:
    for name, value in env.items():
        if type(name) is not str or not name or "=" in name or _text(MAX_NAME_BYTES)(name):
            return f"has the variable name {name!r}"
        if type(value) is not str or "\0" in value or not _encodes(value):
            return f"has a value of {name} that is no text"
    return ""


def _json_problem(value: object, depth: int = 0) -> str:
    if depth > MAX_JSON_DEPTH:
        return f"is nested deeper than {MAX_JSON_DEPTH}"
    if isinstance(value, dict):
        problem = next((f"has the key {key!r}" for key in value if type(key) is not str or not _encodes(key)), "")
        return problem or next(filter(None, (_json_problem(item, depth + 1) for item in value.values())), "")
    if isinstance(value, list):
        return next(filter(None, (_json_problem(item, depth + 1) for item in value)), "")
    return _scalar_problem(value)


def _scalar_problem(value: object) -> str:
    if value is None or type(value) is bool:
        return ""
    if type(value) is int:
        return "" if -MAX_INTEGER - 1 <= value <= MAX_INTEGER else "has an integer of more than 64 bits"
    if type(value) is float:
        return "" if math.isfinite(value) else "has a NaN or an infinity"
    if type(value) is str:
        return "" if _encodes(value) else "has a lone surrogate"
    return f"has a {type(value).__name__}, which JSON does not have"


def _encodes(text: str) -> bool:
    return not re.search("[\ud800-\udfff]", text)


def at_most(limit: int) -> Bound:
    """Bound a tuple's length."""
    return lambda items: f"has more than {limit} items" if len(items) > limit else ""


def sorted_by(attribute: str) -> Bound:
    """Bound a tuple to be strictly ascending by a text: by its UTF-8 bytes, the same order in every language."""
    return lambda items: _ascending_problem([getattr(item, attribute).encode() for item in items], attribute)


def _ascending_problem(keys: Sequence[bytes], by: str) -> str:
    ascending = all(left < right for left, right in itertools.pairwise(keys))
    return "" if ascending else f"must be sorted by {by} without duplicates"


_HEX = "an even number of lower-case hex digits"

Link = Annotated[CID, _valid(check_cid)]
Peer = Annotated[PeerId, _valid(public_key_of)]
Signature = Annotated[str, _valid(signature_bytes)]
Hex32 = Annotated[str, _pattern(r"[0-9a-f]{64}", "64 lower-case hex digits")]
Seed = Annotated[str, _pattern(r"([0-9a-f]{2}){1,64}", f"{_HEX}, 2 to 128")]
Word = Annotated[str, _text(MAX_NAME_BYTES)]
FileName = Annotated[str, _text(MAX_NAME_BYTES), _name_problem]
ProjectName = Annotated[str, _text(MAX_NAME_BYTES), _project_problem]
AbsolutePath = Annotated[str, _text(MAX_PATH_BYTES), _absolute_problem]
RelativePath = Annotated[str, _text(MAX_PATH_BYTES), _components_problem]
Identifier = Annotated[
    str, _text(MAX_NAME_BYTES), lambda value: "" if value.isidentifier() else "must be a Python identifier"
]
Environment = Annotated[dict[str, str], _environment_problem]
JsonMap = Annotated[dict[str, Any], _json_problem]
Epoch = Annotated[int, _between(0, 253402300799)]
"""Seconds since 1970 up to the end of the year 9999, the last that `datetime` knows."""
Count = Annotated[int, _between(0, MAX_INTEGER)]
Amount = Annotated[int, _between(1, MAX_INTEGER)]
Votes = Annotated[int, _between(1, 1000)]
ExitCode = Annotated[int, _between(0, 255)]
Words = Annotated[tuple[Word, ...], at_most(64)]
SortedLinks = Annotated[tuple[Link, ...], at_most(MAX_NODES), lambda cids: _ascending_problem(cids, "CID")]
Tier = Annotated[str, lambda tier: "" if tier == "verified" else "must be 'verified'"]
