"""Downloads one URL into a partial file: redirects one by one, resumed where it was cut off, exact to the byte.

Trusts no server: not where it redirects to, not how much it sends, not what range it says that it gives.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Self

import httpx

from storage.errors import UnavailableError, UserError, VerificationError
from storage.partial_file import Mark, PartialFile
from storage.pinned_transport import PinnedTransport, Resolve, resolve_name
from storage.url_response import Body, read_response

MAX_REDIRECTS: Final = 10
CONNECT_S: Final = 10.0
READ_S: Final = 60.0
"""Without a byte."""
MAX_ATTEMPTS: Final = 5
"""Of going on where a server cut off; each must have brought something."""
_PIECE_BYTES: Final = 256 << 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

Advance = Callable[[int, int | None], None]
"""Told (bytes so far, of how many or None)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a download may do."""

    max_bytes: int
    """Of one file."""
    allow_private: bool = False
    """Reach addresses that are not on the public internet, and use the proxies of the environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for."""

    url: str
    """http or https."""
    headers: Mapping[str, str]
    """For the first host alone."""
    known: tuple[tuple[str, str], ...] = ()
    """The condition (If-None-Match) under which the content is here already."""
    has_checksum: bool = False
    where: str
    """The flag and the URL as typed, for errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """How it went."""

    is_known: bool
    """The server says that what is known is the present version; nothing was fetched."""
    final_url: str
    headers: tuple[tuple[str, str], ...]


class UrlClient:
    """Use as a context manager. resolve, below: how names are looked up and requests sent, for tests."""

    def __init__(self, bounds: Bounds, *, resolve: Resolve = resolve_name, below: httpx.BaseTransport | None = None):
        self._bounds = bounds
        # A proxy connects wherever it likes: only where no address is checked, and httpx finds it by itself.
        is_plain = bounds.allow_private and below is None and resolve is resolve_name
        pinned = PinnedTransport(allow_private=bounds.allow_private, resolve=resolve, below=below)
        self._client = httpx.Client(
            transport=None if is_plain else pinned,
            trust_env=is_plain,
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            headers={"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "bacalhau"},
        )

    def download(self, wanted: Wanted, partial: PartialFile, advance: Advance) -> Came:
        """Bring `partial` to the whole file, or learn that what is known is the present version.

        Raises:
            UserError: the URL leads nowhere, to a private address, or to more bytes than are allowed.
            UnavailableError: cut off or out of reach; what came is kept to go on from, if the server can.
            VerificationError: the server contradicts itself.
            OSError: the disk refuses.
        """
        mark = partial.find()
        for attempt in range(1, MAX_ATTEMPTS + 1):
            before = partial.done
            try:
                return self._attempt(wanted, partial, mark, advance)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise UserError(f"is not a URL: {error}", where=wanted.where, fix="check the URL") from error
            except httpx.HTTPError as error:
                partial.mark()
                partial.close()
                mark = partial.find()
                if mark is None or partial.done <= before or attempt == MAX_ATTEMPTS:
                    raise _cut_off(wanted, error, partial.done) from error
        raise AssertionError("the last attempt returns or raises")

    def peek(self, url: str, *, where: str) -> Mapping[str, str]:
        """Return the headers of the answer to a HEAD, whatever its status; redirects are not followed.

        Raises:
            UserError, UnavailableError: it cannot be reached.
        """
        try:
            return self._client.head(url).headers
        except httpx.HTTPError as error:
            fix = "check the network and try again"
            raise UnavailableError(f"{url} cannot be reached: {error}", where=where, fix=fix) from error

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _attempt(self, wanted: Wanted, partial: PartialFile, mark: Mark | None, advance: Advance) -> Came:
        start = 0 if mark is None else mark.done
        is_whole = mark is not None and mark.total == mark.done
        conditions = dict(wanted.known)
        if mark is not None:
            conditions = (
                {"If-None-Match": mark.etag} if is_whole else {"Range": f"bytes={start}-", "If-Range": mark.etag}
            )
        with self._opened(wanted, conditions) as response:
            came = Came(is_known=False, final_url=str(response.url), headers=tuple(response.headers.multi_items()))
            if response.status_code == httpx.codes.NOT_MODIFIED and "If-None-Match" in conditions:
                return replace(came, is_known=not is_whole)
            body = read_response(
                response.status_code,
                response.headers,
                start=0 if is_whole else start,
                etag=mark.etag if mark is not None else None,
                where=wanted.where,
                has_checksum=wanted.has_checksum,
            )
            if body is not None:
                self._take(response, body, partial, wanted, advance)
                return came
        partial.discard()
        return self._attempt(wanted, partial, None, advance)

    @contextmanager
    def _opened(self, wanted: Wanted, conditions: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Open the answer behind all redirects; each hop is checked like the first."""
        url, headers = httpx.URL(wanted.url), {**wanted.headers, **conditions}
        for _ in range(MAX_REDIRECTS + 1):
            response = self._sent(url, headers, wanted.where)
            with contextlib.closing(response):
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    yield response
                    return
                url, headers = _next_hop(url, response.headers["location"], wanted.where), dict(conditions)
        fix = "give the address that it should lead to"
        raise UserError(f"redirects more than {MAX_REDIRECTS} times", where=wanted.where, fix=fix)

    def _sent(self, url: httpx.URL, headers: Mapping[str, str], where: str) -> httpx.Response:
        try:
            return self._client.send(self._client.build_request("GET", url, headers=headers), stream=True)
        except (UserError, UnavailableError) as error:  # of the transport, which knows no more than a host
            raise type(error)(f"{error.where} {error.problem}", where=where, fix=error.fix) from error

    def _take(
        self, response: httpx.Response, body: Body, partial: PartialFile, wanted: Wanted, advance: Advance
    ) -> None:
        self._check_size(body.total or 0, wanted.where)
        if body.start == 0:
            partial.begin(response.headers.get("etag"), body.total)
        # Raw: what stands in Content-Length, in a range and under an ETag.
        for piece in response.iter_raw(_PIECE_BYTES):
            self._check_size(partial.done + len(piece), wanted.where)
            if body.total is not None and partial.done + len(piece) > body.total:
                raise VerificationError(
                    f"the server sends more than the {body.total} bytes it said", where=wanted.where
                )
            partial.write(piece)
            advance(partial.done, body.total)
        if body.total is not None and partial.done != body.total:
            raise httpx.RemoteProtocolError(f"{partial.done} of {body.total} bytes came")
        partial.mark()

    def _check_size(self, size: int, where: str) -> None:
        limit = self._bounds.max_bytes
        if size > limit:
            said = "has more" if size < 2 * limit else f"has {size} bytes, more"
            raise UserError(f"{said} than the {limit} bytes allowed", where=where, fix="raise --url-limit")


def _next_hop(url: httpx.URL, location: str, where: str) -> httpx.URL:
    """Return where a redirect leads: a checked http or https URL, never from https down to http."""
    try:
        target = url.join(location)
    except httpx.InvalidURL as error:
        fix = "give the final address"
        raise UserError(f"redirects to {location[:80]!r}, which is not read", where=where, fix=fix) from error
    shown = f"{target.scheme}://{target.host}" if target.host else location[:80]
    if target.scheme not in ("http", "https") or not target.host or target.userinfo:
        raise UserError(f"redirects to {shown!r}, which is not read", where=where, fix="give the final address")
    if (url.scheme, target.scheme) == ("https", "http"):
        problem = f"redirects from https to {shown!r}, where anyone on the way could change it"
        raise UserError(problem, where=where, fix="give the http address yourself if that is meant")
    return target


def _cut_off(wanted: Wanted, error: httpx.HTTPError, done: int) -> UnavailableError:
    reason = str(error) or type(error).__name__
    kept = f"; the first {done} bytes are kept" if done else ""
    fix = "run it again to go on from there" if done else "check the network and try again"
    return UnavailableError(f"cannot be fetched: {reason}{kept}", where=wanted.where, fix=fix)
