"""A node of ours on loopback for tests from outside: prints one line of JSON, then answers lines until its input ends.

First line: {"address", "peer", "cids": {"small", "large", "absent", "node"}, "sizes": {…}}. Then for `rss`
{"rss_bytes", "peak_bytes"}, where the peak is since the last `rss`; for `connected` the number of peers.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

import trio

from network.libp2p_transport import Libp2pSettings, open_libp2p
from network.transport_core import TransportCore
from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, RAW, cid_text, make_cid
from verifier.identity import Identity
from verifier.peer_id import PeerId

NEVER = 3600.0


class Echo:
    """Answers `echo …`; a payload that begins with `wait` is never answered, one with `large` by 1 MiB."""

    async def answer(self, peer: PeerId, payload: bytes) -> bytes:
        if payload.startswith(b"wait"):
            await trio.sleep(NEVER)
        return bytes(1 << 20) if payload.startswith(b"large") else b"echo " + payload

    async def receive(self, peer: PeerId, payload: bytes) -> None:
        if payload.startswith(b"wait"):
            await trio.sleep(NEVER)


def content() -> dict[str, tuple[int, bytes]]:
    return {
        "small": (RAW, b"a small block\n"),
        "large": (RAW, hashlib.shake_128(b"large").digest(1 << 20)),
        "node": (DAG_CBOR, dag_cbor.encode({"v": "test/1", "number": 7})),
    }


async def main(seed: bytes) -> None:
    store = MemoryBlockStore()
    cids = {"absent": make_cid(RAW, b"nobody has this")}
    for name, (codec, data) in content().items():
        cids[name] = make_cid(codec, data)
        store.put(cids[name], data)
    many = [hashlib.shake_128(str(number).encode()).digest(1 << 20) for number in range(32)]
    store.put_many([(make_cid(RAW, data), data) for data in many])
    async with open_libp2p(Identity.from_seed(seed), Echo(), store, Libp2pSettings()) as node:
        say(
            address=node.addresses[0],
            peer=node.peer,
            cids={name: cid_text(cid) for name, cid in cids.items()},
            many=[cid_text(make_cid(RAW, data)) for data in many],
        )
        await answer_lines(node)


async def answer_lines(node: TransportCore) -> None:
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        if line.strip() == "rss":
            say(**memory())
        else:
            say(connected=len(node.connected()), capacities=len(node.capacities()))


def memory() -> dict[str, int]:
    status = Path("/proc/self/status").read_text()
    found = {name: int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) << 10 for name in ("VmRSS", "VmHWM")}  # type: ignore[index]
    Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
    return {"rss_bytes": found["VmRSS"], "peak_bytes": found["VmHWM"]}


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    trio.run(main, hashlib.sha256(sys.argv[1].encode() if len(sys.argv) > 1 else b"node").digest())
