"""Serve some content by our trustless gateway on loopback, for clients of other implementations.

Prints one JSON object: the address, and the CIDs by name with the sha256 of each file's bytes; ends when stdin does.
The node's own server is to be the same: ASGI under hypercorn on trio.
"""

import hashlib
import json
import sys

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from storage import dag_cbor
from storage.blocks import ForgetfulBlockStore, MemoryBlockStore
from storage.cid import DAG_CBOR, RAW, cid_text, make_cid
from storage.gateway_asgi import GatewayApp
from storage.unixfs_import import Importer


def content():
    """Return a store with one of each kind, and what is in it."""
    store = MemoryBlockStore()
    importer = Importer(store)
    large = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(100_000))
    names = {f"file-{n:05}-{'x' * 40}.txt": importer.bytes(b"%d\n" % n) for n in range(3000)}
    tree = {
        "hello.txt": importer.bytes(b"hello\n"),
        "large.bin": importer.bytes(large),
        "many": importer.directory(names),
        "größe": importer.directory({"leer": importer.bytes(b"")}),
    }
    root = importer.directory(tree).cid
    node = dag_cbor.encode({"output": root, "exit_code": 0})
    record = make_cid(DAG_CBOR, node)
    store.put(record, node)
    lie = make_cid(RAW, b"the truth")
    # Its second block is nowhere: found out when the answer has begun.
    missing = Importer(ForgetfulBlockStore()).bytes(b"missing")
    broken = importer.directory({"a": tree["large.bin"], "b": missing}).cid
    honest = importer.bytes(b"honest").cid
    cids = {"root": root, "large": tree["large.bin"].cid, "record": record, "lie": lie, "honest": honest}
    return store, lie, {**cids, "broken": broken}, large


class LyingStore:
    """Gives other bytes for one CID."""

    def __init__(self, store, lie):
        self._store = store
        self._lie = lie

    def get(self, cid):
        return b"a lie" if cid == self._lie else self._store.get(cid)

    def has(self, cid):
        return cid == self._lie or self._store.has(cid)


async def main():
    store, lie, cids, large = content()
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.loglevel = "CRITICAL"  # an answer that is broken off is an error to the server, and meant here
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(serve, GatewayApp(LyingStore(store, lie)), config)
        facts = {"url": bound[0], "sha256": hashlib.sha256(large).hexdigest(), "size": len(large)}
        print(json.dumps({**facts, "cids": {name: cid_text(cid) for name, cid in cids.items()}}), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


trio.run(main)
