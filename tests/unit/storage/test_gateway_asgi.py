import anyio
import httpx
import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import cid_text
from storage.dag_walk import walk
from storage.gateway_asgi import BrokenOffError, GatewayApp
from storage.unixfs_import import Importer

BACKENDS = ["trio", "asyncio"]


@pytest.fixture
def store():
    return MemoryBlockStore()


@pytest.fixture
def root(store):
    importer = Importer(store)
    return importer.directory({"größe": importer.bytes(b"".join(bytes([n]) * (1 << 20) for n in range(4)))}).cid


async def call(app, path, *, query=b"format=car", method="GET", gone_after=None):
    """Send one request as a server does and return what was sent back; the client goes away after so many pieces."""
    sent, left = [], anyio.Event()

    async def receive():
        if not receive.asked:
            receive.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    receive.asked = False

    async def send(message):
        sent.append(message)
        if gone_after is not None and len(sent) > gone_after:
            left.set()
            await anyio.sleep_forever()

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query}
    await app({**scope, "headers": [(b"Accept", b"x/y")]}, receive, send)
    return sent


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_car_is_streamed(store, root, backend):
    sent = anyio.run(lambda: call(GatewayApp(store), f"/ipfs/{cid_text(root)}"), backend=backend)
    assert sent[0]["status"] == 200
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]
    assert all(message["more_body"] for message in sent[1:-1])
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert len(sent) >= 6
    assert sum(len(m["body"]) for m in sent[1:]) > sum(len(data) for _, data in walk(store, root))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_car_that_cannot_be_finished_has_no_end(store, root, backend):
    part = MemoryBlockStore()
    part.put_many(list(walk(store, root))[:3])
    with pytest.raises(BrokenOffError):
        anyio.run(lambda: call(GatewayApp(part), f"/ipfs/{cid_text(root)}"), backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_client_that_goes_away_ends_the_work(store, root, backend):
    read = []

    class Watched(MemoryBlockStore):
        def get(self, cid):
            read.append(cid)
            return super().get(cid)

    watched = Watched()
    watched.put_many(walk(store, root))
    sent = anyio.run(lambda: call(GatewayApp(watched), f"/ipfs/{cid_text(root)}", gone_after=1), backend=backend)
    assert sent[-1].get("more_body", True)
    assert len(read) < len(list(walk(store, root)))


def test_it_answers_a_client_through_any_server(store, root):
    async def ask():
        transport = httpx.ASGITransport(GatewayApp(store))
        async with httpx.AsyncClient(transport=transport, base_url="http://node.test") as client:
            good = await client.get(f"/ipfs/{cid_text(root)}/größe", params={"format": "car"})
            head = await client.head(f"/ipfs/{cid_text(root)}", headers={"Accept": "application/vnd.ipld.raw"})
            bad = await client.get("/ipfs/nonsense", params={"format": "raw"})
            return good, head, bad

    good, head, bad = anyio.run(ask)
    assert good.status_code == 200
    assert good.headers["X-Ipfs-Path"] == f"/ipfs/{cid_text(root)}/gr%C3%B6%C3%9Fe"
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(store.get(root)))
    assert bad.status_code == 400


def test_the_life_of_a_server_is_followed(store):
    async def live():
        said = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent = []

        async def receive():
            return next(said)

        async def send(message):
            sent.append(message["type"])

        await GatewayApp(store)({"type": "lifespan"}, receive, send)
        return sent

    assert anyio.run(live) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
