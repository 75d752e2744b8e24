"""The nodes of a task that tell what it is (task, function, input, lock): small blocks, from its requester."""

from __future__ import annotations

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

HEADER_S: Final = 10.0
"""For each of three questions."""


async def bring_header(task: CID, transport: Transport, peer: PeerId, store: BlockStore, wall_clock_s: float) -> Plan:
    """Bring a task's nodes here and return its plan; data, source and wheels need not be here.

    What comes is kept in memory and let go: anyone may offer tasks, and none of them is taken yet.

    Raises:
        UnavailableError: the peer does not have them, or is gone.
        PeerError: it lied.
        VerificationError: they are no task.
    """
    trial = OverlayBlockStore(store)
    await _bring([task], transport, peer, trial)
    parts = await trio.to_thread.run_sync(load_node, trial, task, Task)
    await _bring([parts.function, parts.input], transport, peer, trial)
    function = await trio.to_thread.run_sync(load_node, trial, parts.function, Function)
    await _bring([function.lock], transport, peer, trial)
    return await trio.to_thread.run_sync(plan_of_task, task, trial, wall_clock_s)


async def _bring(cids: list[CID], transport: Transport, peer: PeerId, store: BlockStore) -> None:
    missing = [cid for cid in cids if not await trio.to_thread.run_sync(store.has, cid)]
    if not missing:
        return
    if peer == transport.peer:
        raise BlockAbsentError("block of the task is not here", where=cid_text(missing[0]))
    answer = await transport.fetch_blocks(peer, missing, deadline_s=HEADER_S)
    if len(answer.blocks) != len(missing):
        raise UnavailableError("its requester does not have it", where=cid_text(missing[0]))
    await trio.to_thread.run_sync(store.put_many, list(answer.blocks.items()))
