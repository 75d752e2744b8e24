"""From parts to a plan: pure, and the same on every node.

`make_plan` is what the requester does; `plan_of_task` is what anybody does who has a task's blocks.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from runtime.engine import NO_PACKAGES, Plan
from storage.blocks import BlockStore
from storage.cid import CID
from verifier.model import Function, Input, Lock, Task, load_node, store_node
from verifier.wasm_types import AnyFunction, load_function


def make_plan(function: AnyFunction, input_: Input, lock: Lock, *, store: BlockStore, wall_clock_s: float) -> Plan:
    """Store the nodes of a task and return the plan to execute it."""
    function_cid, input_cid = store_node(store, function), store_node(store, input_)
    task = store_node(store, Task(function=function_cid, input=input_cid))
    return Plan(
        task=task,
        function_cid=function_cid,
        input_cid=input_cid,
        function=function,
        input=input_,
        lock=lock,
        wall_clock_s=wall_clock_s,
    )


def plan_of_task(
    task: CID,
    store: BlockStore,
    wall_clock_s: float,
    functions: MutableMapping[CID, tuple[AnyFunction, Lock]] | None = None,
) -> Plan:
    """Return the plan of a task whose blocks are in the store.

    functions: those that were read before, which are not read again; what is read is added.

    Raises:
        UnavailableError: a block is not here.
        VerificationError: a block is not what its CID says, or not of its type.
    """
    parts = load_node(store, task, Task)
    known = None if functions is None else functions.get(parts.function)
    if known is None:
        function = load_function(store, parts.function)
        lock = load_node(store, function.lock, Lock) if isinstance(function, Function) else NO_PACKAGES
        known = function, lock
        if functions is not None:
            functions[parts.function] = known
    function, lock = known
    return Plan(
        task=task,
        function_cid=parts.function,
        input_cid=parts.input,
        function=function,
        input=load_node(store, parts.input, Input),
        lock=lock,
        wall_clock_s=wall_clock_s,
    )
