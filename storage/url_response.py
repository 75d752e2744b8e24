"""What an HTTP response to a download means: take it, go on with it, or refuse it. Pure.

Only what is certain is taken: bytes as the server keeps them, of a length that is known or marked at the end, the range
that was asked for. Source: RFC 9110, sections 8.4 (content encodings), 13.2.2 (precedence), 14.4 and 15.3.7 (ranges).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from storage.errors import UnavailableError, UserError, VerificationError

_MAX_DIGITS: Final = 18
_RANGE: Final = re.compile(rf"bytes (\d{{1,{_MAX_DIGITS}}})-(\d{{1,{_MAX_DIGITS}}})/(\d{{1,{_MAX_DIGITS}}}|\*)")
_TRY_LATER: Final = frozenset({408, 421, 425, 429})
"""Answers of the 400s that are not about the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What follows the headers."""

    start: int
    """Where in the file its first byte belongs; 0: it is the whole file."""
    total: int | None
    """Bytes of the whole file; None: not known, the transfer itself says where it ends."""


def read_response(
    status: int, headers: Mapping[str, str], *, start: int, etag: str | None, where: str, has_checksum: bool
) -> Body | None:
    """Return what a response brings, or None if the range that was asked for is no longer to be had.

    start, etag: of the range that was asked for; 0: none was. headers: names in any case (httpx's mapping).

    Raises:
        UserError: there is no such file, or not for us.
        UnavailableError: the server cannot give it now.
        VerificationError: the response contradicts itself or the request, or is not exact.
    """
    if start and status in (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, HTTPStatus.PRECONDITION_FAILED):
        return None
    _check_status(status, where, ranged=start > 0)
    _check_encoding(headers, where)
    length = _length(headers, where)
    if status == HTTPStatus.PARTIAL_CONTENT:
        return _partial(headers, start=start, etag=etag, length=length, where=where)
    if length is None and "chunked" not in headers.get("transfer-encoding", "").lower() and not has_checksum:
        problem = "the server does not say where the file ends, so a part of it would look like the whole"
        raise VerificationError(problem, where=where, fix="add #sha256=<64 hex digits> to the URL")
    return Body(start=0, total=length)


def _check_status(status: int, where: str, *, ranged: bool) -> None:
    if status == HTTPStatus.OK or (status == HTTPStatus.PARTIAL_CONTENT and ranged):
        return
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    if 400 <= status < 500 and status not in _TRY_LATER:
        raise UserError(f"the server answers {phrase}", where=where, fix="check the URL, and that it needs no login")
    raise UnavailableError(f"the server answers {phrase}", where=where, fix="try again later, or download it yourself")


def _check_encoding(headers: Mapping[str, str], where: str) -> None:
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        problem = f"the server sends it as {encoding[:40]!r} although it was asked for the bytes as they are"
        raise VerificationError(problem, where=where, fix="download it yourself and give the local path")


def _length(headers: Mapping[str, str], where: str) -> int | None:
    text = headers.get("content-length")
    if text is None or "chunked" in headers.get("transfer-encoding", "").lower():
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        raise VerificationError(f"has the content length {text[:40]!r}", where=where)
    return int(text)


def _partial(headers: Mapping[str, str], *, start: int, etag: str | None, length: int | None, where: str) -> Body:
    match = _RANGE.fullmatch(headers.get("content-range", ""))
    if match is None or int(match[1]) != start:
        raise VerificationError("the server gave another range than it was asked for", where=where)
    last, total = int(match[2]), None if match[3] == "*" else int(match[3])
    is_rest = total is not None and last == total - 1 and length in (None, total - start)
    if not is_rest or headers.get("etag", etag) != etag:
        raise VerificationError("the server gave a range of another file, or not all of it", where=where)
    return Body(start=start, total=total)
