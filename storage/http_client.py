"""HTTP to the IPFS endpoints that a person named: a daemon's RPC, a gateway. The one file for them that imports httpx.

Bodies are given as they came, piece by piece, with bounds; who answers is not trusted. Machines named by the person may
be private ones: nothing here is for addresses that come from elsewhere. httpx drops HTTP trailers, so an error that a
server tells there (Kubo's X-Stream-Error) is not seen: whoever reads a stream must notice himself that it is not whole.
"""

from __future__ import annotations

import io
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from storage.errors import UnavailableError, UserError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONNECT_S: Final = 4.0
"""Whoever answers at all answers within two or three round trips."""
READ_S: Final = 60.0
"""Silence after which one gives up."""
_PIECE_BYTES: Final = 256 << 10
_REDIRECTS: Final = 3
_MOVED: Final = frozenset({301, 302, 307, 308})


class Answer:
    """Status and headers of an answer, whose body has not been read."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it came."""
        return self._response.iter_raw(_PIECE_BYTES)

    def arriving(self) -> Iterator[bytes]:
        """Yield the body as it came, each piece at once: for a body that grows slowly."""
        return self._response.iter_raw()

    def read(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            UnavailableError: it is longer than `limit` bytes.
        """
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > limit:
                raise UnavailableError(f"answer is longer than {limit} bytes", where=str(self._response.url.host))
        return bytes(body)

    def file(self) -> io.BufferedReader:
        """Return the body as a binary file that is read once."""
        return io.BufferedReader(_PieceFile(self.pieces()), _PIECE_BYTES)


class HttpClient:
    """Requests below one address. Safe for several threads."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        """Read the address; nothing is sent.

        transport: stands in for the network in tests.

        Raises:
            UserError: not an http or https address.
        """
        self.name = _address(url)
        """The address without credentials."""
        self._base = url.rstrip("/")
        self._host = urlsplit(url).hostname or ""
        # A proxy from the environment would be asked to reach this very machine.
        self._client = httpx.Client(
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            trust_env=not _is_loopback(self._host),
            transport=transport,
        )

    @contextmanager
    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes] | None = None,
        silence_s: float = READ_S,
    ) -> Iterator[Answer]:
        """Send a request and give its answer; the body is read inside.

        silence_s: seconds without a byte after which one gives up.

        Raises:
            UnavailableError: (also while the body is read) out of reach, silent, cut off, or encoded against our wish.
        """
        request = self._client.build_request(
            method,
            f"{self._base}{path}",
            params=params,
            # Bytes as they are: their hash is what is checked.
            headers={"Accept-Encoding": "identity", **(headers or {})},
            content=body,
            timeout=httpx.Timeout(silence_s, connect=CONNECT_S),
        )
        with self._explained(silence_s):
            response = self._follow(self._client.send(request, stream=True), silence_s)
            try:
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise UnavailableError("encodes its answer although asked not to", where=self.name)
                yield Answer(response)
            finally:
                response.close()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _follow(self, response: httpx.Response, silence_s: float) -> httpx.Response:
        """Follow redirects within the host and to its subdomains: gateways give each CID one. No further."""
        for _ in range(_REDIRECTS):
            if response.status_code not in _MOVED or response.request.method not in ("GET", "HEAD"):
                break
            following = response.next_request
            if following is None or not self._is_near(following.url):
                break
            response.close()
            following.extensions = {**following.extensions, "timeout": httpx.Timeout(silence_s).as_dict()}
            response = self._client.send(following, stream=True)
        return response

    def _is_near(self, url: httpx.URL) -> bool:
        near = url.host == self._host or url.host.endswith(f".{self._host}")
        return near and (url.scheme == "https" or (url.scheme == "http" and self._base.startswith("http:")))

    @contextmanager
    def _explained(self, silence_s: float) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnavailableError("nothing answers there", where=self.name, fix="is it running there?") from error
        except httpx.ReadTimeout as error:
            raise UnavailableError(f"was silent for {silence_s:.0f} s", where=self.name, fix="try again") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said = str(error) or type(error).__name__
            raise UnavailableError(f"connection broke off: {said}", where=self.name, fix="try again") from error


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UserError(f"malformed address: {error}", where=repr(url)) from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise UserError("not an http:// or https:// address", where=repr(url), fix="write http://HOST:PORT")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _PieceFile(io.RawIOBase):
    """Pieces of bytes as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._rest))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
