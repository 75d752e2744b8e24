"""Runs the task of a record again, on this machine, and compares: the strongest thing an auditor can do alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runtime.engine import Engine, Execution, Plan, Progress, silent
from runtime.fitness import KnowsRuntime, misplacement, unfitness
from runtime.plan import plan_of_task
from storage.blocks import BlockStore, OverlayBlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, VerificationError
from verifier.model import EngineInfo, Receipt, Record, load_node


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What a further execution gave."""

    engine: EngineInfo | None
    """None if it could not be determined."""
    output: CID | None
    state_digest: str | None
    ok: bool | None
    """None: it was not run, or the host failed, so nothing was compared."""
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `reruns`."""
        return {
            "engine": self.engine.name if self.engine else None,
            "engine_version": self.engine.version if self.engine else None,
            "arch": self.engine.arch if self.engine else None,
            "output": cid_text(self.output) if self.output else None,
            "state_digest": self.state_digest,
            "ok": self.ok,
            "detail": self.detail,
        }


def rerun(
    store: BlockStore,
    record_cid: CID,
    *,
    engine: Engine,
    knows_runtime: KnowsRuntime,
    wall_clock_s: float,
    progress: Progress = silent,
    max_memory: int | None = None,
) -> Rerun:
    """Execute the record's task once more, if that is safe and means something here; what it gives is not kept.

    What goes wrong on the way is this machine's trouble, for the audit has found the task's blocks sound: it makes
    nothing false.

    max_memory: bytes that the policy here lets a task ask for; None: as many as runs get.

    Raises:
        UnavailableError, VerificationError: the record or a receipt cannot be read.
    """
    record = load_node(store, record_cid, Record)
    receipts = [load_node(store, cid, Receipt) for cid in record.receipts]
    try:
        plan = plan_of_task(record.task, store, wall_clock_s)
        if reason := _excess(plan, max_memory) or unfitness(plan, knows_runtime) or misplacement(plan, store):
            return _not_compared(reason)
        execution = engine.execute(plan, OverlayBlockStore(store), progress)
    except (UnavailableError, VerificationError) as error:
        return _not_compared(str(error))
    return judge(execution, record.output, receipts)


def _excess(plan: Plan, max_memory: int | None) -> str:
    asked = plan.input.limits.memory
    if max_memory is None or asked <= max_memory:
        return ""
    return f"not run: it asks for {asked} bytes of memory, and the policy here allows {max_memory}"


def _not_compared(reason: str) -> Rerun:
    return Rerun(engine=None, output=None, state_digest=None, ok=None, detail=reason)


def judge(execution: Execution, output: CID, receipts: Iterable[Receipt]) -> Rerun:
    """Compare an execution with a record's output and the receipts that claim it.

    State digests can only be compared between executions of the same engine, version and architecture.
    """
    receipts = tuple(receipts)
    states = {receipt.state_digest for receipt in receipts if _same_build(receipt.engine, execution.engine)}
    if execution.output != output:
        ok, detail = False, "gave another output"
    elif any(receipt.exit_code != execution.exit_code for receipt in receipts):
        ok, detail = False, f"ended with exit code {execution.exit_code}"
    elif states and execution.state_digest not in states:
        ok, detail = False, "gave the same output from another memory state"
    else:
        ok, detail = (
            True,
            "same output, same memory state" if states else "same output; no receipt of this engine build",
        )
    return Rerun(
        engine=execution.engine, output=execution.output, state_digest=execution.state_digest, ok=ok, detail=detail
    )


def _same_build(one: EngineInfo, other: EngineInfo) -> bool:
    return (one.name, one.version, one.arch) == (other.name, other.version, other.arch)
