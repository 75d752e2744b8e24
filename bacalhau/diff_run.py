"""`bacalhau diff` without its printing: compares two outputs, and executes again what they came of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from bacalhau.diff_sides import Named, find_side
from runtime.divergence.executions import Side, part_by_fuel, part_by_line
from runtime.divergence.trees import MOST_ENTRIES, Difference, tree_differences
from runtime.engine import Engine, Execution, Plan
from runtime.fitness import KnowsRuntime, misplacement, unfitness
from runtime.plan import plan_of_task
from storage.blocks import BlockStore, OverlayBlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError
from storage.unixfs_read import UnixfsReader
from verifier.wasm_types import AnyFunction, WasmFunction

if TYPE_CHECKING:
    from bacalhau.services import Services

Progress = Callable[[str], None]
SAME: Final = "same"
DIFFERENT: Final = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reruns:
    """How to execute both sides again; None in its place: not at all."""

    engines: tuple[Engine, Engine]
    knows_runtime: KnowsRuntime
    wall_clock_s: float
    lines: bool = True
    fuel: bool = True


def diff_here(
    texts: tuple[str, str], services: Services, make: Callable[[Named, Named], Reruns | None], progress: Progress
) -> dict[str, Any]:
    """Compare what two texts name, with the blocks of the local store, and return the report of docs/diff.md.

    make: returns how to execute them again, once it is known what they are.

    Raises:
        UserError: one names nothing that can be compared.
        UnavailableError, VerificationError: a block that says what they are is not here, or is malformed.
    """
    with services.open_store() as kept, services.open_jobs() as jobs:
        one, two = (find_side(text, kept, jobs) for text in texts)
        store = OverlayBlockStore(kept)
        differences = _outputs(one.output, two.output, store)
        report: dict[str, Any] = {
            "a": one.to_json(),
            "b": two.to_json(),
            "verdict": verdict_of(one, two, differences),
            "outputs": [one.to_json() for one in differences[:MOST_ENTRIES]],
            "outputs_left_out": max(0, len(differences) - MOST_ENTRIES),
            "tasks": _tasks(one, two, store),
            "rerun": None,
        }
        reruns = make(one, two) if one.task is not None and two.task is not None else None
        if reruns is not None:
            report["rerun"] = rerun_both(one, two, reruns, store, progress)
    return report


def verdict_of(one: Named, two: Named, differences: list[Difference]) -> str:
    """Return `same` or `different`: of what is claimed, not of what executing it again gives."""
    if differences or one.output != two.output:
        return DIFFERENT
    if one.exit_code != two.exit_code and None not in (one.exit_code, two.exit_code):
        return DIFFERENT
    return SAME


def _outputs(one: CID | None, two: CID | None, store: BlockStore) -> list[Difference]:
    if one is None or two is None:
        return []
    return list(islice(tree_differences(one, two, UnixfsReader(store)), MOST_ENTRIES * 50))


def _tasks(one: Named, two: Named, store: BlockStore) -> list[dict[str, Any]]:
    """Return the fields in which two tasks differ; none if they are one task, or one is not known."""
    if one.task is None or two.task is None or one.task == two.task:
        return []
    left, right = (_fields(plan_of_task(task, store, 1.0)) for task in (one.task, two.task))
    return [{"field": name, "a": left[name], "b": right[name]} for name in left if left[name] != right[name]]


def _fields(plan: Plan) -> dict[str, Any]:
    function, given = plan.function, plan.input
    return {
        **_function_fields(function), "runtime": cid_text(function.runtime),
        "data": cid_text(given.data) if given.data else None,
        "volumes": [[volume.path, cid_text(volume.cid)] for volume in given.volumes], "args": dict(given.args),
        "env": dict(given.env), "seed": given.seed, "epoch": given.epoch, "fuel": given.limits.fuel,
        "memory": given.limits.memory, "output": given.limits.output,
    }  # fmt: skip


def _function_fields(function: AnyFunction) -> dict[str, Any]:
    if isinstance(function, WasmFunction):
        return {"source": cid_text(function.module), "entry": None, "lock": None}
    return {"source": cid_text(function.source), "entry": function.entry, "lock": cid_text(function.lock)}


def rerun_both(one: Named, two: Named, reruns: Reruns, store: BlockStore, progress: Progress) -> dict[str, Any]:
    """Execute both sides again and say what each gives, and where they part; what goes wrong here is a reason."""
    empty = {"a": None, "b": None, "parting": None, "fuel": None}
    try:
        sides = tuple(
            Side(_fit_plan(named, reruns, store), engine)
            for named, engine in zip((one, two), reruns.engines, strict=True)
        )
        progress("executing A")
        first = sides[0].execute(store)
        progress("executing B")
        second = sides[1].execute(store)
    except UnavailableError as error:
        return {**empty, "reason": str(error)}
    found: dict[str, Any] = {
        **empty,
        "a": _given(one, first),
        "b": _given(two, second),
        "reason": _alike(first, second),
    }
    if found["reason"]:
        return found
    try:
        if reruns.lines:
            parting = part_by_line(sides[0], sides[1], store, progress)
            found["parting"] = None if parting is None else parting.to_json()
        if reruns.fuel and one.task == two.task and None not in (first.fuel, second.fuel):
            most = max(first.fuel or 0, second.fuel or 0) + 1
            found["fuel"] = part_by_fuel(sides[0], sides[1], most, store, progress)
    except UnavailableError as error:
        found["reason"] = str(error)
    return found


def _fit_plan(named: Named, reruns: Reruns, store: BlockStore) -> Plan:
    """Return the plan of a side, if it is safe to execute and means something here.

    Raises:
        UnavailableError: it is not, or a block is missing.
    """
    if named.task is None:
        raise UnavailableError("its task is not known")
    plan = plan_of_task(named.task, store, reruns.wall_clock_s)
    if isinstance(plan.function, WasmFunction):
        raise UnavailableError(
            "modules are compared by their outputs alone; `bacalhau audit RECORD --rerun` executes one again"
        )
    reason = unfitness(plan, reruns.knows_runtime) or misplacement(plan, store)
    if reason:
        raise UnavailableError(reason)
    return plan


def _given(named: Named, execution: Execution) -> dict[str, Any]:
    engine = execution.engine
    return {
        "engine": engine.name,
        "engine_version": engine.version,
        "arch": engine.arch,
        "output": cid_text(execution.output),
        "exit_code": execution.exit_code,
        "state_digest": execution.state_digest,
        "fuel": execution.fuel,
        "reproduced": named.output is None or execution.output == named.output,
    }


def _alike(one: Execution, two: Execution) -> str:
    """Return why there is no parting to look for, empty if there is."""
    if (one.output, one.state_digest, one.exit_code) == (two.output, two.state_digest, two.exit_code):
        return "executed again, both give the same output from the same memory"
    return ""
