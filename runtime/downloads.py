"""HTTP for wheels: whole files into a file, or ranges of a large one; the only file here that imports httpx.

Nothing that arrives is trusted: whoever asks compares a sha256. A host that could not be reached is not tried again by
the same `Downloads`, so that a machine without a way out loses seconds, not seconds per package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import BinaryIO, Final, Self
from urllib.parse import urlsplit

import httpx

Report = Callable[[str, int, int | None], None]
"""Progress of bytes: (what, done, total or None if not known). Must not raise or block."""

CONNECT_S: Final = 4.0
"""A host that answers at all answers within two or three round trips."""
READ_S: Final = 30.0
MAX_FILE_BYTES: Final = 1 << 30
"""The largest wheel of the distribution has 30 MB, the bundle 106 MB."""
_PIECE_BYTES: Final = 256 << 10


def quiet(_what: str, _done: int, _total: int | None) -> None:
    """Report nothing."""


class SourceMissError(Exception):
    """A source does not have a file or cannot be reached: the next one is asked. Never leaves `runtime`."""


class Downloads:
    """GET requests with the machine's proxies and certificates. Use as a context manager or `close` it."""

    def __init__(self, client: httpx.Client | None = None) -> None:
        self._client = client
        self._unreachable: dict[str, str] = {}

    def fetch(self, url: str, out: BinaryIO, *, what: str, report: Report = quiet) -> None:
        """Write a whole file to `out`.

        Raises:
            SourceMissError: not there, out of reach, too large, or cut off.
        """
        with self._stream(url) as response:
            total = _content_length(response)
            done = 0
            for piece in response.iter_bytes(_PIECE_BYTES):
                done += len(piece)
                if done > MAX_FILE_BYTES:
                    raise SourceMissError("the file is larger than 1 GiB")
                out.write(piece)
                report(what, done, total)

    def size_if_ranges(self, url: str) -> int | None:
        """Return the length of a file whose server gives ranges of it, or None if it gives only the whole.

        Raises:
            SourceMissError: not there or out of reach.
        """
        with self._stream(url, 0, 1) as response:
            return _total_of_range(response, 0, 1)

    def range(self, url: str, start: int, length: int) -> Iterator[bytes]:
        """Yield the bytes from `start` on, exactly `length` of them.

        Raises:
            SourceMissError: out of reach, cut off, or the server gave another range.
        """
        if length == 0:
            return
        with self._stream(url, start, length) as response:
            if _total_of_range(response, start, length) is None:
                raise SourceMissError("the server does not give ranges")
            left = length
            for piece in response.iter_bytes(_PIECE_BYTES):
                left -= len(piece)
                if left < 0:  # a server can go on for ever
                    break
                yield piece
        if left:
            raise SourceMissError("the server gave another length than it said")

    def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _stream(self, url: str, start: int = 0, length: int | None = None) -> Iterator[httpx.Response]:
        host = _host(url)
        if host in self._unreachable:
            raise SourceMissError(self._unreachable[host])
        # Bytes as they are: a hash or a range of an encoded body would mean something else.
        headers = {"Accept-Encoding": "identity"}
        if length is not None:
            headers["Range"] = f"bytes={start}-{start + length - 1}"
        try:
            with self._opened().stream("GET", url, headers=headers) as response:
                if response.status_code not in (200, 206):
                    raise SourceMissError(f"{host} answered {response.status_code}")
                yield response
        except httpx.ConnectError as error:
            self._unreachable[host] = f"{host} is out of reach"
            raise SourceMissError(self._unreachable[host]) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if isinstance(error, httpx.ConnectTimeout):
                self._unreachable[host] = f"{host} does not answer"
            raise SourceMissError(f"{host}: {type(error).__name__} {error}".strip()) from error

    def _opened(self) -> httpx.Client:
        # Loading certificates takes 50 ms: only when something is downloaded.
        if self._client is None:
            timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
            self._client = httpx.Client(timeout=timeout, follow_redirects=True)
        return self._client


def _host(url: str) -> str:
    """Return host and port, without credentials."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError as error:
        raise SourceMissError(f"the address is malformed: {error}") from error


def _content_length(response: httpx.Response) -> int | None:
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isdecimal() else None


def _total_of_range(response: httpx.Response, start: int, length: int) -> int | None:
    """Return the length of the whole file if the answer is the range that was asked for."""
    given = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", response.headers.get("Content-Range", ""))
    if response.status_code != 206 or given is None:
        return None
    first, last, total = map(int, given.groups())
    return total if (first, last) == (start, start + length - 1) else None
