"""A node of ours in a process of its own, honest peers of it, and peers that send whatever bytes they like."""

from tests.integration import libp2p_gate  # noqa: F401

# isort: split
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import trio

from network.libp2p_host import make_host
from network.libp2p_transport import Libp2pSettings, Libp2pTransport, open_libp2p
from network.transport import PeerHandler
from storage.blocks import BlockStore, MemoryBlockStore
from tests.unit.network.transport_world import Echo, identity

# isort: split
from libp2p.abc import IHost, INetStream
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from multiaddr import Multiaddr

ROOT = Path(__file__).parents[2]
MEMORY_BYTES = 64 << 20
"""By which no peer may move a node."""
PATIENCE_S = 300.0
"""After which a test is stuck, on a machine that does much else too. No test passes or fails by how long it takes."""


@dataclass
class NodeProcess:
    process: "subprocess.Popen[str]"
    facts: dict[str, Any]

    @property
    def address(self) -> str:
        return str(self.facts["address"])

    @property
    def id(self) -> ID:
        return ID.from_base58(self.facts["peer"])

    def ask(self, line: str) -> dict[str, int]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer: dict[str, int] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def node_process(name: str) -> Iterator[NodeProcess]:
    command = [sys.executable, "-W", "error", "tests/interop/serve_transport.py", name]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        node = NodeProcess(process, json.loads(process.stdout.readline()))
        node.ask("rss")
        yield node
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0, "it ended by itself, without an error"


def on_trio(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def bounded() -> None:
            with trio.fail_after(PATIENCE_S):
                await test(*args, **kwargs)

        trio.run(bounded)

    return run


@asynccontextmanager
async def peer(
    number: int, *, handler: PeerHandler | None = None, store: BlockStore | None = None, **settings: Any
) -> AsyncIterator[Libp2pTransport]:
    async with open_libp2p(
        identity(number), handler or Echo(), store or MemoryBlockStore(), Libp2pSettings(**settings)
    ) as transport:
        yield transport


@asynccontextmanager
async def stranger(number: int, address: str) -> AsyncIterator[tuple[IHost, ID]]:
    """A bare host that is connected to `address` and keeps to no rule."""
    host = make_host(identity(number), Libp2pSettings())
    async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        info = info_from_p2p_addr(Multiaddr(address))
        await host.connect(info)
        try:
            yield host, info.peer_id
        finally:
            with trio.move_on_after(5, shield=True):
                await host.close()


async def stream_to(host: IHost, node: ID, protocol: str) -> INetStream:
    return await host.new_stream(node, [protocol])  # type: ignore[list-item]


async def write_until_broken(stream: Any, data: bytes, times: int) -> int:
    """Write again and again; return how often it went before the other side had enough."""
    for count in range(times):
        try:
            await stream.write(data)
        except Exception:  # noqa: BLE001 - the other side ends it in any of many ways
            return count
    return times


async def until(condition: Callable[[], object], what: str) -> None:
    """Look again whenever something may have changed; `on_trio` ends a test in which it never comes true."""
    while not condition():
        await trio.sleep(0.01)


async def read_to_end(stream: Any) -> bytes:
    data = b""
    while True:
        try:
            piece = await stream.read(1 << 16)
        except Exception:  # noqa: BLE001 - the other side ends it in any of many ways
            return data
        if not piece:
            return data
        data += piece
