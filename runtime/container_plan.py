"""From parts to the plan of a container: pure, and the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from runtime.capacity import Room
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import VerificationError
from verifier.container_types import ContainerFunction
from verifier.model import Input, Task, load_node, store_node


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """Everything that an engine needs for one run of a container."""

    task: CID
    function_cid: CID
    input_cid: CID
    function: ContainerFunction
    input: Input
    wall_clock_s: float
    """A run that takes longer is ended, and has no output."""
    submitter: str = ""
    """Who asked, as this node knows them; not part of the task."""

    @property
    def room(self) -> Room:
        """What a run takes of the machine; its disk is what it may give, for what it reads is in the store."""
        limits = self.input.limits
        return Room(
            cpu_milli=self.function.cpu_milli,
            memory_bytes=limits.memory,
            disk_bytes=limits.output,
            gpus=self.function.gpus,
        )


TIMEOUT_KEY: Final = "timeout_ms"
"""The one key of the arguments of a container's input: how long it may run. It is part of the task, as other limits
are, so that every node ends it at the same time."""


def make_container_plan(
    function: ContainerFunction, input_: Input, *, store: BlockStore, wall_clock_s: float
) -> ContainerPlan:
    """Store the nodes of a task and return the plan to run it."""
    input_ = replace(input_, args={TIMEOUT_KEY: max(1, round(1000 * wall_clock_s))})
    function_cid, input_cid = store_node(store, function), store_node(store, input_)
    task = store_node(store, Task(function=function_cid, input=input_cid))
    return ContainerPlan(
        task=task,
        function_cid=function_cid,
        input_cid=input_cid,
        function=function,
        input=input_,
        wall_clock_s=wall_clock_s,
    )


def container_plan_of_task(task: CID, store: BlockStore, wall_clock_s: float) -> ContainerPlan:
    """Return the plan of a task whose blocks are in the store. wall_clock_s: more than that it does not get.

    Raises:
        UnavailableError: a block is not here.
        VerificationError: a block is not what its CID says, or the task is of no container.
    """
    parts = load_node(store, task, Task)
    input_ = load_node(store, parts.input, Input)
    return ContainerPlan(
        task=task,
        function_cid=parts.function,
        input_cid=parts.input,
        function=load_node(store, parts.function, ContainerFunction),
        input=input_,
        wall_clock_s=min(wall_clock_s, _timeout_s(input_)),
    )


def _timeout_s(input_: Input) -> float:
    value = input_.args.get(TIMEOUT_KEY)
    if input_.args.keys() != {TIMEOUT_KEY} or type(value) is not int or value < 1:
        problem = f"must be milliseconds, at least 1, under the one key {TIMEOUT_KEY!r}"
        raise VerificationError(problem, where="input/1: args")
    return value / 1000
