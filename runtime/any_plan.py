"""The plan of a task of any tier: a node is asked to run functions, and containers, which nobody verifies."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TypeAlias

from runtime.container_plan import ContainerPlan, container_plan_of_task
from runtime.engine import Plan
from runtime.plan import plan_of_task
from storage.blocks import BlockStore
from storage.cid import CID
from verifier.container_types import is_container_function
from verifier.model import Lock, Task, load_node
from verifier.wasm_types import AnyFunction

AnyPlan: TypeAlias = Plan | ContainerPlan


def any_plan_of_task(
    task: CID,
    store: BlockStore,
    wall_clock_s: float,
    functions: MutableMapping[CID, tuple[AnyFunction, Lock]] | None = None,
) -> AnyPlan:
    """Return the plan of a task whose blocks are in the store; as `runtime.plan.plan_of_task`.

    Raises:
        UnavailableError: a block is not here.
        VerificationError: a block is not what its CID says, or not of its type.
    """
    function = load_node(store, task, Task).function
    is_known = functions is not None and function in functions
    if not is_known and is_container_function(store, function):
        return container_plan_of_task(task, store, wall_clock_s)
    return plan_of_task(task, store, wall_clock_s, functions)
