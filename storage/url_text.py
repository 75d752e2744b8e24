"""Reads URLs as people write them for inputs: scheme, checksum, nothing hidden. Pure.

`https://host/file#sha256=<64 hex digits>` names the bytes too: anything else is then refused. A fragment never goes to
a server, so it is free for that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from storage.errors import UserError

SCHEMES: Final = ("http", "https", "s3")
MAX_URL_BYTES: Final = 8192
"""What servers accept at most, and more than signed URLs take."""

_SHA256: Final = re.compile(r"sha256=([0-9a-fA-F]{64})")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """One URL of content, checked."""

    text: str
    """Without the fragment."""
    sha256: str | None = None
    """What the bytes must hash to, lower-case hex; None: whatever comes is taken."""


def scheme_of(text: str) -> str | None:
    """Return the scheme of `scheme://…` in lower case, or None for anything else."""
    match = _SCHEME.match(text)
    return match[1].lower() if match else None


def parse_url(text: str, *, where: str) -> Url:
    """Read an http, https or s3 URL; `where` names the flag and the text, for errors.

    Raises:
        UserError: another scheme, malformed, with a password, or with a fragment that is no checksum.
    """
    if scheme_of(text) not in SCHEMES:
        problem = f"{(scheme_of(text) or 'this')!r} is not a scheme that is read"
        raise UserError(problem, where=where, fix="give an http, https, s3 or ipfs URL, a CID or a local path")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_URL_BYTES or not text.isprintable():
        raise _malformed("it is too long, or holds control characters", where)
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise _malformed(str(error), where) from error
    if not host:
        raise _malformed("it names no host", where)
    if parts.username is not None or parts.password is not None:
        problem = "holds a user name or password, which would be kept with the job"
        raise UserError(problem, where=_without_user(where), fix="use a URL without, or download the file yourself")
    return Url(text=text.partition("#")[0], sha256=_checksum(parts.fragment, where))


def parse_ipfs_url(text: str, *, where: str) -> tuple[str, str]:
    """Return (CID as text, path) of `ipfs://CID/path`; a path is decoded, as in every URL.

    Raises:
        UserError: it has a query or fragment, or its path is not UTF-8.
    """
    rest = text.partition("://")[2]
    if "?" in rest or "#" in rest:
        raise UserError("an ipfs URL has no query or fragment", where=where, fix="write ? as %3F and # as %23")
    cid, _, path = rest.partition("/")
    try:
        return cid, unquote(path, errors="strict")
    except UnicodeDecodeError as error:
        raise _malformed("its path is not UTF-8", where) from error


def file_name(url: Url) -> str:
    """Return the last name of a URL's path, decoded; empty if it has none."""
    return unquote(urlsplit(url.text).path.rpartition("/")[2], errors="replace")


def _checksum(fragment: str, where: str) -> str | None:
    if not fragment:
        return None
    match = _SHA256.fullmatch(fragment)
    if match is None:
        raise UserError(
            "what follows # is no checksum", where=where, fix="write #sha256=<64 hex digits>, or leave it out"
        )
    return match[1].lower()


def _malformed(reason: str, where: str) -> UserError:
    return UserError(f"is not a URL: {reason}", where=where, fix="write it like https://host/path")


def _without_user(where: str) -> str:
    """Return a text with what stands between :// and @ left out: errors end up in logs."""
    return re.sub(r"://[^/]*@", "://…@", where)
