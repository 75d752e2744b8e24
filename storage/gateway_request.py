"""What is asked of a trustless gateway, read strictly from a path, a query and headers. Touches no store.

Source: IPFS specifications, trustless gateway and path gateway (2026-03-05).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes

from storage.cid import CID, parse_cid
from storage.errors import UserError
from storage.gateway_media import CAR_TYPE, RAW_TYPE

MAX_PATH_BYTES: Final = 4096
MAX_SEGMENTS: Final = 64
"""Names below the CID; each costs at least one block."""
MAX_QUERY_BYTES: Final = 4096
_PARAMETERS: Final = 32
_RANGE: Final = re.compile(r"(-?\d{1,18}):(-?\d{1,18}|\*)")
_FORMATS: Final[Mapping[str, Literal["raw", "car"]]] = {"raw": "raw", "car": "car"}
_TYPES: Final[Mapping[str, Literal["raw", "car"]]] = {RAW_TYPE: "raw", CAR_TYPE: "car"}
_CAR_CHOICES: Final = {"version": ("1",), "order": ("dfs", "unk"), "dups": ("n", "y")}
"""What may be asked of a CAR; it says in its Content-Type what it is."""

_CAR_KINDS: Final = "CARs are version=1; order=dfs; dups=n or y"
_Accepted: TypeAlias = tuple[float, Literal["raw", "car"], Mapping[str, str]]
"""Weight, format and parameters of one media range."""


class Scope(Enum):
    """Which blocks below the end of the path are wanted."""

    BLOCK = "block"
    ENTITY = "entity"
    """All that is needed to read a file or list a directory."""
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Part of a file, both ends included; negative numbers count from its end."""

    first: int
    last: int | None
    """None: the file's last byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRequest:
    """A request that can be answered."""

    root: CID
    segments: tuple[str, ...]
    """Names below the root."""
    format: Literal["raw", "car"]
    scope: Scope
    bytes: ByteRange | None
    filename: str
    """For whoever saves the answer; empty: named after the CID."""
    repeats: bool
    """Of a CAR: blocks as often as they are met (`dups=y`), not once."""
    says_format: bool
    """The URL itself says the format, so that caches cannot mix them up."""
    says_repeats: bool
    """The same for `repeats`, which a raw block has not."""


class Refusal(Exception):  # noqa: N818  not an error of ours
    """The request cannot be answered; `status` is HTTP's, `problem` is for people."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem


def read_request(path: bytes, query: bytes, headers: Mapping[str, str]) -> GatewayRequest:
    """Read a GET or HEAD request.

    path: as sent, percent-encoded, beginning with `/ipfs/`. headers: names in lower case.

    Raises:
        Refusal: 400 malformed, 404 not below /ipfs/, 406 only of formats that need trust, 414 too long.
    """
    if len(path) > MAX_PATH_BYTES or len(query) > MAX_QUERY_BYTES:
        raise Refusal(414, "the address is too long")
    parameters = _parameters(query)
    root, segments = _content_path(path)
    if headers.get("service-worker", "").lower() == "script":
        raise Refusal(400, "service workers are not given out")
    kind, choices = _format(parameters, headers.get("accept", ""))
    if kind == "raw" and segments:
        raise Refusal(400, "a raw block is asked for by its CID alone: a path could not be verified")
    span = _span(parameters.get("entity-bytes")) if kind == "car" else None
    return GatewayRequest(
        root=root,
        segments=segments,
        format=kind,
        scope=Scope.ENTITY if span else _scope(parameters.get("dag-scope", "all")),
        bytes=span,
        filename=parameters.get("filename", ""),
        repeats=choices.get("dups") == "y",
        says_format=parameters.get("format") == kind,
        says_repeats=kind == "raw" or "car-dups" in parameters,
    )


def _parameters(query: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_PARAMETERS)
    except ValueError as error:
        raise Refusal(400, "the query is malformed") from error
    return dict(pairs)


def _content_path(path: bytes) -> tuple[CID, tuple[str, ...]]:
    names = [unquote_to_bytes(part) for part in path.split(b"/") if part]
    if len(names) < 2 or names[0] != b"ipfs":
        raise Refusal(404, "content is below /ipfs/CID")
    if len(names) - 2 > MAX_SEGMENTS:
        raise Refusal(400, f"the path has more than {MAX_SEGMENTS} names")
    try:
        root, *segments = [name.decode("utf-8") for name in names[1:]]
        return parse_cid(root), tuple(segments)
    except (UserError, UnicodeDecodeError) as error:
        raise Refusal(400, "the path does not begin with a CID, or is not UTF-8") from error


def _format(parameters: Mapping[str, str], accept: str) -> tuple[Literal["raw", "car"], Mapping[str, str]]:
    """Choose by the query first, then by the Accept header; return what is asked of a CAR as well.

    A CAR must be of a kind that can be made. The query also goes before the header in each of its choices (IPIP-523).
    """
    asked = parameters.get("format")
    if asked is not None and asked not in _FORMATS:
        raise Refusal(406, "this gateway gives raw blocks and CARs only: format=raw or format=car")
    said = {name: parameters[f"car-{name}"] for name in _CAR_CHOICES if f"car-{name}" in parameters}
    if asked == "car" or asked is None:
        _check_car(said)
    found = [one for one in map(_accepted, accept.split(",")) if one is not None]
    usable = [one for one in found if one[0] > 0 and (one[1] == "raw" or _can(one[2]))]
    if asked is not None:
        usable = [one for one in usable if one[1] == asked]
        return _FORMATS[asked], {**(_best(usable)[2] if usable else {}), **said}
    if not accept.strip():
        raise Refusal(400, f"say what you want: Accept: {RAW_TYPE} or {CAR_TYPE}, or format= in the address")
    if not found:
        raise Refusal(406, f"this gateway gives {RAW_TYPE} and {CAR_TYPE} only")
    if not usable:
        raise Refusal(406, _CAR_KINDS)
    _, kind, choices = _best(usable)
    return kind, {**choices, **said}


def _best(usable: list[_Accepted]) -> _Accepted:
    return max(usable, key=lambda one: one[0])


def _accepted(item: str) -> _Accepted | None:
    """Read one media range of an Accept header: its weight, the format, and its parameters."""
    media, *rest = [part.strip() for part in item.split(";")]
    kind = _TYPES.get(media.lower())
    if kind is None:
        return None
    choices = {name.strip().lower(): value.strip(' "') for name, _, value in (part.partition("=") for part in rest)}
    weight = choices.pop("q", "1")
    return (float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight) else 0.0), kind, choices


def _check_car(choices: Mapping[str, str]) -> None:
    if not _can(choices):
        raise Refusal(400, _CAR_KINDS)


def _can(choices: Mapping[str, str]) -> bool:
    return all(value in _CAR_CHOICES[name] for name, value in choices.items() if name in _CAR_CHOICES)


def _scope(text: str) -> Scope:
    try:
        return Scope(text)
    except ValueError as error:
        raise Refusal(400, "dag-scope is block, entity or all") from error


def _span(text: str | None) -> ByteRange | None:
    if text is None:
        return None
    found = _RANGE.fullmatch(text)
    if found is None:
        raise Refusal(400, "entity-bytes is FROM:TO, two whole numbers, or * for the end")
    first, last = int(found[1]), None if found[2] == "*" else int(found[2])
    if last is not None and (first < 0) == (last < 0) and last < first:
        raise Refusal(400, "entity-bytes ends before it begins")
    return ByteRange(first=first, last=last)
