"""Peers back to back with their clients, without sockets: a gateway of ours, and stand-ins for Kubo that may lie."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator

import httpx

from storage.blocks import MemoryBlockStore
from storage.car import read_car, write_car
from storage.cid import CID, cid_text, parse_cid
from storage.dag_walk import walk
from storage.errors import UnavailableError
from storage.gateway_answer import answer
from storage.gateway_client import GatewayClient
from storage.http_client import HttpClient
from storage.kubo_client import KuboClient


class Body(httpx.SyncByteStream):
    """A body that is made as it is read, and may break off."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except UnavailableError as error:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body") from error


def unread(response: httpx.Response) -> httpx.Response:
    """Return a response as it comes from a network: not read yet."""
    if not response.is_stream_consumed:
        return response
    headers = [(name, value) for name, value in response.headers.items() if name != "transfer-encoding"]
    return httpx.Response(response.status_code, headers=headers, stream=Body(iter((response.content,))))


class Gateway:
    """Our gateway over a store, counting what it is asked for."""

    def __init__(self, store, *, name: str = "http://gateway.test") -> None:
        self.store = store
        self.asked: list[tuple[str, str]] = []
        """(format, CID) of each request."""
        self.name = name
        self.change: Callable[[httpx.Request, httpx.Response], httpx.Response] = lambda _request, response: response

    def client(self) -> GatewayClient:
        return GatewayClient(HttpClient(self.name, transport=httpx.MockTransport(self._answer)))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, _, query = request.url.raw_path.partition(b"?")
        said = answer(self.store, request.method, path, query, dict(request.headers))
        self.asked.append((request.url.params["format"], request.url.path.split("/")[2]))
        response = httpx.Response(said.status, headers=list(said.headers), stream=Body(said.body))
        return unread(self.change(request, response))


class Kubo:
    """Kubo's RPC as far as it is used: POST only, unknown options ignored, errors as {"Message", "Code", "Type"}."""

    def __init__(self, version: str = "0.43.0") -> None:
        self.store = MemoryBlockStore()
        self.pins: set[str] = set()
        self.version: object = version
        self.asked: list[str] = []
        self.answers: dict[str, Callable[[httpx.Request], httpx.Response]] = {"/version": self.say_version}
        """Path below /api/v0 -> what to answer instead."""

    def client(self, url: str = "http://kubo.test:5001") -> KuboClient:
        return KuboClient(HttpClient(url, transport=httpx.MockTransport(self._answer)))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST":
            return unread(httpx.Response(405, text="405 - Method Not Allowed"))
        path = request.url.path.removeprefix("/api/v0")
        self.asked.append(path)
        handler = self.answers.get(path) or getattr(self, path.strip("/").replace("/", "_"), None)
        if handler is None:
            return unread(httpx.Response(404, text="404 page not found"))
        try:
            return unread(handler(request))
        except UnavailableError:
            return unread(
                error("block was not found locally (offline): ipld: could not find " + request.url.params["arg"])
            )

    def about(self) -> dict[str, object]:
        return {"Version": self.version, "Commit": "", "Repo": "18"}

    def say_version(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=self.about())

    def block_get(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=self.store.get(parse_cid(request.url.params["arg"])))

    def dag_export(self, request: httpx.Request) -> httpx.Response:
        root = parse_cid(request.url.params["arg"])
        self.store.get(root)
        out = io.BytesIO()
        # An error is told in a trailer, which clients do not see: the answer ends well.
        with contextlib.suppress(UnavailableError):
            write_car(out, [root], walk(self.store, root))
        return httpx.Response(200, content=out.getvalue())

    def dag_import(self, request: httpx.Request) -> httpx.Response:
        body = b"".join(request.stream)
        boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
        head, _, rest = body.partition(b"\r\n\r\n")
        assert head.startswith(b"--" + boundary + b"\r\n")
        content, _, tail = rest.rpartition(b"\r\n--" + boundary + b"--")
        assert tail == b"\r\n"
        car = read_car(io.BytesIO(content))
        blocks = list(car.blocks)
        self.store.put_many(blocks)
        said = [{"Root": {"Cid": {"/": cid_text(root)}, "PinErrorMsg": self._pin(root)}} for root in car.roots]
        said.append({"Stats": {"BlockCount": len(blocks), "BlockBytesCount": sum(len(data) for _, data in blocks)}})
        return lines(*said)

    def pin_ls(self, request: httpx.Request) -> httpx.Response:
        wanted = request.url.params["arg"]
        if wanted not in self.pins:
            return error(f"path '/ipfs/{wanted}' is not pinned")
        return httpx.Response(200, json={"Keys": {wanted: {"Type": "recursive", "Name": ""}}})

    def _pin(self, root: CID) -> str:
        try:
            for _ in walk(self.store, root):
                pass
        except UnavailableError as fault:
            return f"ipld: could not find {fault.where}"
        self.pins.add(cid_text(root))
        return ""


def error(message: str) -> httpx.Response:
    return httpx.Response(500, json={"Message": message, "Code": 0, "Type": "error"})


def lines(*objects: object) -> httpx.Response:
    return httpx.Response(200, text="".join(json.dumps(one) + "\n" for one in objects))
