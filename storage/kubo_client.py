"""A Kubo daemon over its RPC: CARs in, CARs and blocks out. The daemon never chunks anything and is never believed.

Nothing of ours goes through `/add`: the CIDs would be those of the daemon's configuration. Kubo tells late errors in an
HTTP trailer that httpx does not show, so a CAR that ends well may still not be whole; `dag_fetch` walks it.
Why not ipfshttpclient: docs/decisions/0024-kubo-over-httpx.md. Source: Kubo's RPC reference; tested with 0.43.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from storage.block_source import BlockAbsentError, BlockStream, checked_from
from storage.car import MAX_SECTION_BYTES, car_pieces
from storage.car_stream import received_blocks
from storage.cid import CID, cid_text, inline_data, parse_cid
from storage.counting import counted
from storage.dag_walk import visit_key
from storage.errors import PeerError, UnavailableError, UserError
from storage.http_client import READ_S, Answer, HttpClient

DEFAULT_URL: Final = "http://127.0.0.1:5001"
"""Where a daemon listens unless told otherwise."""
OLDEST_VERSION: Final = (0, 12)
"""The first with all that is used here under its present name. Newer ones are never refused for being new."""
_API: Final = "/api/v0"
_SEARCH_S: Final = 50
"""How long the daemon may look for a block in its network: less than the silence after which we give up."""
_PIN_S: Final = 3600.0
"""A daemon is silent while it walks what it pins."""
_MAX_SAID_BYTES: Final = 1 << 20
"""Of an answer that is no content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a daemon was given."""

    blocks: int
    size: int
    """Bytes of the blocks."""


class KuboClient:
    """One daemon, a `BlockSource` that also takes content."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http
        self._is_known = False
        self.name = http.name

    def version(self) -> str:
        """Return the daemon's version, having checked that it can be used.

        Raises:
            UnavailableError: nothing answers, something else does, or it is too old.
        """
        said = self._json("/version")
        version = said.get("Version") if isinstance(said, dict) else None
        numbers = _numbers(version) if isinstance(version, str) else None
        if not isinstance(version, str) or numbers is None:
            raise self._not_kubo("its version is none")
        if numbers < OLDEST_VERSION:
            oldest = ".".join(map(str, OLDEST_VERSION))
            fix = f"use Kubo {oldest} or newer"
            raise UnavailableError(f"daemon is Kubo {version[:40]}, which is too old", where=self.name, fix=fix)
        self._is_known = True
        return version

    def block(self, cid: CID) -> bytes:
        """Return one block, checked. A daemon that is online looks for it in its network.

        Raises:
            BlockAbsentError, UnavailableError, PeerError: as `BlockSource` says.
        """
        self._know()
        with self._post("/block/get", {"arg": cid_text(cid), "timeout": f"{_SEARCH_S}s"}) as answer:
            return checked_from(self.name, cid, answer.read(MAX_SECTION_BYTES))

    def dag(self, root: CID) -> BlockStream:
        """Yield the blocks below `root` that the daemon sends, checked.

        Raises:
            BlockAbsentError, UnavailableError, PeerError: as `BlockSource` says.
        """
        self._know()
        with self._post("/dag/export", {"arg": cid_text(root), "progress": "false"}) as answer:
            yield from received_blocks(self.name, answer.file())

    def push(self, root: CID, blocks: Iterable[tuple[CID, bytes]]) -> Pushed:
        """Give the daemon a DAG and have it pinned; what it says it took is compared with what was sent.

        blocks: all of the DAG, streamed.

        Raises:
            UnavailableError: out of reach, cut off, or it could not pin.
            PeerError: it claims to have taken something else.
        """
        self._know()
        count = _Count()
        boundary = secrets.token_hex(16)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        params = {"pin-roots": "true", "stats": "true", "allow-big-block": "true"}
        body = _multipart(boundary, car_pieces([root], count.through(blocks)))
        with self._post("/dag/import", params, headers=headers, body=body, silence_s=_PIN_S) as answer:
            said = self._objects(answer.read(_MAX_SAID_BYTES))
        self._check_import(root, said, count)
        if not self.is_pinned(root):
            raise PeerError(f"says that it pinned {cid_text(root)} and lists no such pin", peer=self.name)
        return Pushed(blocks=count.blocks, size=count.size)

    def is_pinned(self, cid: CID) -> bool:
        """Tell whether the daemon has pinned the DAG below `cid`, as it says.

        Raises:
            UnavailableError: it cannot be asked.
        """
        self._know()
        try:
            said = self._json("/pin/ls", {"arg": cid_text(cid), "type": "recursive"})
        except BlockAbsentError:
            return False
        keys = said.get("Keys") if isinstance(said, dict) else None
        return isinstance(keys, dict) and any(_names(key, cid) for key in keys)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _know(self) -> None:
        if not self._is_known:
            self.version()

    def _check_import(self, root: CID, said: list[Any], count: _Count) -> None:
        roots = [one["Root"] for one in said if isinstance(one, dict) and isinstance(one.get("Root"), dict)]
        mine = next((one for one in roots if _names(_cid_of(one), root)), None)
        if mine is None:
            raise PeerError(f"does not say that it took {cid_text(root)}", peer=self.name)
        if mine.get("PinErrorMsg"):
            raise UnavailableError(f"daemon could not pin: {str(mine['PinErrorMsg'])[:300]}", where=self.name)
        stats = [one["Stats"] for one in said if isinstance(one, dict) and isinstance(one.get("Stats"), dict)]
        taken = stats[-1].get("BlockCount") if stats else None
        if taken != count.blocks:
            raise PeerError(f"says that it took {taken} of the {counted(count.blocks, 'block')} sent", peer=self.name)

    def _json(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        with self._post(path, params or {}) as answer:
            objects = self._objects(answer.read(_MAX_SAID_BYTES))
        if len(objects) != 1:
            raise self._not_kubo("its answer is not one object")
        return objects[0]

    def _objects(self, body: bytes) -> list[Any]:
        """Read JSON objects, one a line."""
        try:
            return [json.loads(line) for line in body.splitlines() if line.strip()]
        except (ValueError, RecursionError) as error:
            raise self._not_kubo("its answer is not JSON") from error

    @contextmanager
    def _post(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes] | None = None,
        silence_s: float = READ_S,
    ) -> Iterator[Answer]:
        sent = self._http.send("POST", _API + path, params=params, headers=headers, body=body, silence_s=silence_s)
        with sent as answer:
            if answer.status != 200:
                raise self._refusal(path, answer)
            yield answer

    def _refusal(self, path: str, answer: Answer) -> UnavailableError:
        if answer.status in (401, 403):
            fix = "write kubo:http://USER:PASSWORD@HOST:PORT, or allow it in the daemon's API.Authorizations"
            return UnavailableError(f"daemon refuses {path} ({answer.status})", where=self.name, fix=fix)
        message = _message(answer.read(_MAX_SAID_BYTES))
        if message is None:
            return self._not_kubo(f"it answered {answer.status} to {path}")
        if "not found" in message or "could not find" in message or "is not pinned" in message:
            return BlockAbsentError(f"daemon does not have it: {message[:300]}", where=self.name)
        return UnavailableError(f"daemon says: {message[:300]}", where=self.name)

    def _not_kubo(self, because: str) -> UnavailableError:
        fix = f"name the RPC address of a daemon; its own default is {DEFAULT_URL}"
        return UnavailableError(f"is not a Kubo daemon's RPC: {because}", where=self.name, fix=fix)


class _Count:
    """Counts the blocks that pass, and lets no other through than those that are stored."""

    def __init__(self) -> None:
        self.blocks = 0
        self.size = 0

    def through(self, blocks: Iterable[tuple[CID, bytes]]) -> Iterator[tuple[CID, bytes]]:
        for cid, data in blocks:
            if inline_data(cid) is None:  # what a CID holds itself does not travel beside it
                self.blocks += 1
                self.size += len(data)
                yield cid, data


def _multipart(boundary: str, content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a form with one file, as the RPC takes content (RFC 7578)."""
    head = (
        'Content-Disposition: form-data; name="file"; filename="content.car"\r\nContent-Type: application/octet-stream'
    )
    yield f"--{boundary}\r\n{head}\r\n\r\n".encode()
    yield from content
    yield f"\r\n--{boundary}--\r\n".encode()


def _numbers(version: str) -> tuple[int, int] | None:
    """Read major and minor of `0.43.0` or `0.44.0-dev`."""
    parts = version.split(".")
    if len(parts) < 3 or not all(part.isdecimal() and len(part) < 6 for part in parts[:2]):
        return None
    return int(parts[0]), int(parts[1])


def _message(body: bytes) -> str | None:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    message = said.get("Message") if isinstance(said, dict) else None
    return message if isinstance(message, str) else None


def _cid_of(root: dict[str, Any]) -> object:
    link = root.get("Cid")
    return link.get("/") if isinstance(link, dict) else None


def _names(text: object, cid: CID) -> bool:
    """Tell whether a daemon's text is this CID, in whichever base and version it writes it."""
    try:
        return isinstance(text, str) and visit_key(parse_cid(text)) == visit_key(cid)
    except UserError:
        return False
