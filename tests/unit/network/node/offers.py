"""Offers for tests of what a node takes: of one small task, whose nodes and data are in a store."""

import dataclasses
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from network.messages import Demand
from network.node.selection_policy import OfferedTask
from runtime.engine import Plan
from runtime.plan import plan_of_task
from storage.blocks import MemoryBlockStore
from tests.vectors.records.world import World, identity

ALICE, BOB = identity(50).peer, identity(51).peer
JOB = "ab" * 16
DEMAND = Demand(cpu_milli=1000, memory=1 << 30, disk=1 << 27, gpus=0)


@functools.cache
def world() -> World:
    made = World()
    made.build()
    return made


def store() -> MemoryBlockStore:
    return world().store


def plan(**changes: Any) -> Plan:
    """Return the plan of the task, with fields of its input changed (the CIDs stay as they were)."""
    made = plan_of_task(world().task, store(), 60.0)
    return dataclasses.replace(made, input=dataclasses.replace(made.input, **changes))


def offered(**changes: Any) -> OfferedTask:
    fields: dict[str, Any] = {"requester": ALICE, "job": JOB, "demand": DEMAND, "plan": plan()}
    return OfferedTask(**(fields | changes))


def on_real_time(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test that waits for processes or sockets; none of it takes long, and a hang is an error."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def bounded() -> None:
            with trio.fail_after(60):
                await test(*args, **kwargs)

        trio.run(bounded)

    return run
