"""Decides whether a stranger's task may be run on this machine: for an audit that runs it again, and for a node.

A task names everything that it runs with: not only a function, which the runtime confines, but the runtime itself,
whose modules are code outside of that confinement. A runtime that somebody made up could reach whatever Node reaches,
and give any output as the function's. Mounts and limits are the stranger's choice as well.

`unfitness` needs the nodes of the task alone, `misplacement` also the root of its data. Both must be empty for a run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from runtime.any_plan import AnyPlan
from runtime.arguments import check_disjoint, check_guest_path
from runtime.container_plan import ContainerPlan
from runtime.engine import Plan
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import UserError
from storage.unixfs_read import UnixfsReader

MAX_MOUNTS: Final = 128
"""Of a stranger's container: making and removing each takes an engine tens of milliseconds, and nobody can stop it."""
KnowsRuntime = Callable[[CID], bool]
"""Tells whether this machine may start a runtime: it is this release's own, or ran here before. Blocks."""


def unfitness(plan: Plan, knows_runtime: KnowsRuntime) -> str:
    """Return why the task is not run here, whatever its data is; empty if nothing is known against it."""
    return excess(plan) or strangeness(plan, knows_runtime)


def excess(plan: AnyPlan) -> str:
    """Return what the task asks for that no run gets; empty if nothing."""
    # What these bounds are made with (resolver, downloads) takes a while to load.
    from runtime.input_draft import MAX_MEMORY, MAX_TIMEOUT_S, OUTPUT_LIMIT

    limits = plan.input.limits
    most = limits.memory if isinstance(plan, ContainerPlan) else MAX_MEMORY  # it is held to what its node has
    if limits.memory > most or limits.output > OUTPUT_LIMIT:
        return f"not run: it asks for {limits.memory} bytes of memory and {limits.output} of output, more than runs get"
    mounts = len(plan.input.volumes) + len(plan.input.outputs)
    if isinstance(plan, ContainerPlan) and mounts > MAX_MOUNTS:
        return f"not run: it has {mounts} inputs and outputs, each a volume of the engine, which makes {MAX_MOUNTS}"
    if not 0 < plan.wall_clock_s <= MAX_TIMEOUT_S:
        return f"not run: {plan.wall_clock_s} s is no time for a run, which gets up to {MAX_TIMEOUT_S:.0f}"
    return ""


def strangeness(plan: Plan, knows_runtime: KnowsRuntime) -> str:
    """Return that the runtime is nobody's here; empty if this machine may start it."""
    runtime = plan.function.runtime
    if knows_runtime(runtime):
        return ""
    return f"not run: its runtime {cid_text(runtime)} is neither this release's nor one that ran here"


def misplacement(plan: AnyPlan, store: BlockStore) -> str:
    """Return which mount `run python` would refuse: one over the source would run in its place. Empty if none.

    Raises:
        UnavailableError, VerificationError: the input's data cannot be looked at.
    """
    x = plan.input
    chosen = [volume.path for volume in x.volumes] + [output.path for output in x.outputs]
    try:
        for path in chosen:
            check_guest_path(path, "its input")
        check_disjoint([*chosen, *_data_mount(x.data, store)], "its input")
    except UserError as error:
        return f"not run: {error.problem}"
    return ""


def _data_mount(data: CID | None, store: BlockStore) -> tuple[str, ...]:
    if data is None:
        return ()
    return ("/inputs" if UnixfsReader(store).stat(data).kind == "directory" else "/inputs/data",)
