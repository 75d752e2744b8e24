"""The nodes of a task that tell what it is (task, function, input, lock): small blocks, from its requester."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import trio

from network.transport import Transport
from runtime.engine import Plan
from runtime.plan import plan_of_task
from storage.block_source import BlockAbsentError
from storage.blocks import BlockStore, OverlayBlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError
from verifier.model import Function, PeerId, Task, load_node
from verifier.wasm_types import load_function

HEADER_S: Final = 10.0
"""For each of three questions."""
MAX_NOTED_BYTES: Final = 8 << 20
"""Of the nodes of all tasks that were looked at."""
BLOCK_COST: Final = 200
"""Bytes that a noted block takes beside its own."""


class Headers:
    """Nodes of tasks that were looked at and may soon be executed; the oldest are let go. Used in the node's loop."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[CID, list[tuple[CID, bytes]]] = OrderedDict()
        self._bytes = 0

    def note(self, task: CID, blocks: list[tuple[CID, bytes]]) -> None:
        """Keep the blocks of a task for a while."""
        self._drop(task)
        self._blocks[task] = blocks
        self._bytes += _size(blocks)
        while self._bytes > MAX_NOTED_BYTES:
            self._drop(next(iter(self._blocks)))

    def of(self, task: CID) -> list[tuple[CID, bytes]]:
        """Return the blocks of a task, if they are still here."""
        return self._blocks.get(task, [])

    def _drop(self, task: CID) -> None:
        self._bytes -= _size(self._blocks.pop(task, []))


def _size(blocks: list[tuple[CID, bytes]]) -> int:
    return sum(len(data) + len(cid) + BLOCK_COST for cid, data in blocks)


async def bring_header(
    task: CID, transport: Transport, peer: PeerId, store: BlockStore, wall_clock_s: float, headers: Headers
) -> Plan:
    """Bring a task's nodes here and return its plan; data, source and wheels need not be here.

    What comes is kept in memory and let go: anyone may offer tasks, and none of them is taken yet.

    Raises:
        UnavailableError: the peer does not have them, or is gone.
        PeerError: it lied.
        VerificationError: they are no task.
    """
    trial = OverlayBlockStore(store)
    came: list[tuple[CID, bytes]] = []
    while True:
        found = await trio.to_thread.run_sync(_look, task, trial, wall_clock_s)
        if isinstance(found, Plan):
            headers.note(task, came)
            return found
        came += await _bring(found, transport, peer)
        trial.put_many(came)


def _look(task: CID, store: BlockStore, wall_clock_s: float) -> Plan | list[CID]:
    """Return a task's plan, or those of its nodes that lack next."""
    if missing := _absent(store, task):
        return missing
    parts = load_node(store, task, Task)
    if missing := _absent(store, parts.function, parts.input):
        return missing
    function = load_function(store, parts.function)
    if isinstance(function, Function) and (missing := _absent(store, function.lock)):
        return missing
    return plan_of_task(task, store, wall_clock_s)


def _absent(store: BlockStore, *cids: CID) -> list[CID]:
    return [cid for cid in cids if not store.has(cid)]


async def _bring(missing: list[CID], transport: Transport, peer: PeerId) -> list[tuple[CID, bytes]]:
    if peer == transport.peer:
        raise BlockAbsentError("block of the task is not here", where=cid_text(missing[0]))
    answer = await transport.fetch_blocks(peer, missing, deadline_s=HEADER_S)
    if len(answer.blocks) != len(missing):
        raise UnavailableError("its requester does not have it", where=cid_text(missing[0]))
    return list(answer.blocks.items())
