"""The nodes of a task that tell what it is (task, function, input, lock): small blocks, from its requester."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import trio

from network.transport import Transport
from runtime.any_plan import AnyPlan, any_plan_of_task
from storage.block_source import BlockAbsentError
from storage.blocks import BlockStore, OverlayBlockStore
from storage.cid import CID, cid_text
from storage.errors import BacalhauError, UnavailableError
from verifier.container_types import is_container_function
from verifier.model import Function, Lock, PeerId, Task, load_node
from verifier.wasm_types import AnyFunction, load_function

HEADER_S: Final = 10.0
"""For each of three questions."""
MAX_FUNCTIONS: Final = 64
MAX_WHEELS: Final = 500
"""Functions that are remembered, read, and the packages of each: some 16 MiB in all."""
MAX_NOTED_BYTES: Final = 8 << 20
"""Of the nodes of all tasks that were looked at."""
BLOCK_COST: Final = 200
"""Bytes that a noted block takes beside its own."""


class Functions(OrderedDict[CID, tuple[AnyFunction, Lock]]):
    """Functions with their locks, read; those that were read first are let go. Tasks of one job share theirs."""

    def __setitem__(self, cid: CID, read: tuple[AnyFunction, Lock]) -> None:
        """Remember one."""
        if len(read[1].wheels) <= MAX_WHEELS:
            super().__setitem__(cid, read)
        if len(self) > MAX_FUNCTIONS:
            self.popitem(last=False)


class Headers:
    """Nodes of tasks that were looked at and may soon be executed; the oldest are let go. Used in the node's loop."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[CID, list[tuple[CID, bytes]]] = OrderedDict()
        self._bytes = 0
        self.functions = Functions()

    def note(self, task: CID, blocks: list[tuple[CID, bytes]]) -> None:
        """Keep the blocks of a task for a while, in place of what was kept of it."""
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


def read_headers(
    tasks: Sequence[tuple[CID, list[tuple[CID, bytes]]]], store: BlockStore, wall_clock_s: float, functions: Functions
) -> list[AnyPlan | None]:
    """Return the plans of tasks whose nodes are all here, or came with the word about them; None for the others.

    tasks: each with the blocks that came. Blocks; a task that is malformed counts as one that is not here.
    """
    found: list[AnyPlan | None] = []
    for task, came in tasks:
        trial = OverlayBlockStore(store)
        trial.put_many(came)
        try:
            plan = _look(task, trial, wall_clock_s, functions)
        except BacalhauError:  # whoever brings it is told
            plan = None
        found.append(None if isinstance(plan, list) else plan)
    return found


async def bring_header(
    task: CID, transport: Transport, peer: PeerId, store: BlockStore, wall_clock_s: float, headers: Headers
) -> AnyPlan:
    """Bring a task's nodes here and return its plan; data, source and wheels need not be here.

    What comes is kept in memory and let go: anyone may offer tasks, and none of them is taken yet.

    Raises:
        UnavailableError: the peer does not have them, or is gone.
        PeerError: it lied.
        VerificationError: they are no task.
    """
    trial = OverlayBlockStore(store)
    came = list(headers.of(task))
    trial.put_many(came)
    while True:
        found = await trio.to_thread.run_sync(_look, task, trial, wall_clock_s, headers.functions)
        if not isinstance(found, list):
            if came:
                headers.note(task, came)
            return found
        came += await _bring(found, transport, peer)
        trial.put_many(came)


def _look(task: CID, store: BlockStore, wall_clock_s: float, functions: Functions) -> AnyPlan | list[CID]:
    """Return a task's plan, or those of its nodes that lack next."""
    if missing := _absent(store, task):
        return missing
    parts = load_node(store, task, Task)
    is_known = parts.function in functions
    if missing := _absent(store, parts.input, *(() if is_known else (parts.function,))):
        return missing
    if not is_known and not is_container_function(store, parts.function):
        function = load_function(store, parts.function)
        if isinstance(function, Function) and (missing := _absent(store, function.lock)):
            return missing
    return any_plan_of_task(task, store, wall_clock_s, functions)


def _absent(store: BlockStore, *cids: CID) -> list[CID]:
    return [cid for cid in cids if not store.has(cid)]


async def _bring(missing: list[CID], transport: Transport, peer: PeerId) -> list[tuple[CID, bytes]]:
    if peer == transport.peer:
        raise BlockAbsentError("block of the task is not here", where=cid_text(missing[0]))
    answer = await transport.fetch_blocks(peer, missing, deadline_s=HEADER_S)
    if len(answer.blocks) != len(missing):
        raise UnavailableError("its requester does not have it", where=cid_text(missing[0]))
    return list(answer.blocks.items())
