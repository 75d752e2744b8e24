"""What a run says as JSON: the keys of docs/cli.md, made of values alone.

Claims no more than the session does: without agreement there is no output, no record, no exit code and the tier is
"unverified", with the reason in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from bacalhau.output_texts import OutputTexts
from bacalhau.trust_report import shortfall, trust_entry
from network.embedded import SessionResult
from network.job_store import Job
from runtime.contents import Noted
from runtime.engine import Plan
from storage.cid import CID, cid_text
from storage.counting import agrees, counted
from verifier.compare import group_claims
from verifier.model import Lock, Receipt, Rule, Verdict
from verifier.wasm_types import AnyFunction, WasmFunction

CACHED: Final = "cached"
"""The verdict of a session that was agreed before, and answered by its record."""


def run_report(
    *,
    job: str,
    created_at: float,
    labels: Sequence[str],
    plan: Plan,
    rule: Rule,
    session: SessionResult,
    texts: OutputTexts | None,
    origins: Sequence[Mapping[str, Any]],
    timings_s: Mapping[str, float],
) -> dict[str, Any]:
    """Return the report of a job.

    created_at: seconds since 1970, UTC; texts: of the agreed output, None without one; origins: where content of
    the input was fetched from, as `origin_list` gives it; timings_s: host seconds.
    """
    agreed = session.verdict is Verdict.AGREED
    return {
        "job": job,
        "created_at": datetime.fromtimestamp(created_at, UTC).isoformat(timespec="seconds"),
        "labels": list(labels),
        "task": cid_text(plan.task),
        "function": cid_text(plan.function_cid),
        "input": cid_text(plan.input_cid),
        "output": _text(session.output),
        "record": _text(session.record),
        "verdict": verdict_word(session),
        "tier": "verified" if agreed else "unverified",
        "reason": None if agreed else reason_of(session, rule),
        **session_report(session, texts),
        "rule": rule.to_node(),
        "trust": trust_entry(session),
        "seed": plan.input.seed,
        "epoch": plan.input.epoch,
        "lock": lock_list(plan.lock),
        "origins": [dict(origin) for origin in origins],
        "shards": [],
        "known": None,
        "blind": None,
        "require_verified": None,
        "disputes": [],
        "timings": {
            **{f"{name}_s": round(seconds, 4) for name, seconds in timings_s.items()},
            "executions": [dict(execution.timings_s) for execution in session.executions],
        },
    }


def verdict_word(session: SessionResult) -> str:
    """Return what a report calls the verdict of a session."""
    return CACHED if session.cached else session.verdict.value


def session_report(session: SessionResult | None, texts: OutputTexts | None) -> dict[str, Any]:
    """Return what nodes said about one task: claims, receipts and faults.

    session: None gives the same keys, and says nothing; texts: of the agreed output, None without one.
    """
    receipts = () if session is None else session.receipts
    undetermined, faults = ((), ()) if session is None else (session.undetermined, session.faults)
    return {
        **claimed([] if session is None else agreeing(session)),
        "same_state": session is not None and session.same_state,
        **texts_entry(texts),
        "receipts": [_receipt(receipt, session) for receipt in receipts if session is not None],
        "undetermined": [{"node": peer, "reason": why} for peer, why in undetermined],
        "faults": [{"node": f.peer, "kind": f.kind.value, "detail": f.detail} for f in faults],
    }


def job_of(report: dict[str, Any], created_at: float, plan: Plan, session: SessionResult) -> Job:
    """Return the row of a finished job, as `bacalhau list` shows it. created_at: seconds since 1970, UTC."""
    return Job(
        id=report["job"],
        created_at=created_at,
        labels=tuple(report["labels"]),
        task=plan.task,
        function=plan.function_cid,
        input=plan.input_cid,
        output=session.output,
        record=session.record,
        verdict=report["verdict"],
        tier=report["tier"],
        exit_code=report["exit_code"],
        report=report,
    )


def plan_report(plan: Plan, rule: Rule, noted: Sequence[Noted]) -> dict[str, Any]:
    """Return what a run would do: all that is known before anything runs."""
    x = plan.input
    return {
        "task": cid_text(plan.task),
        "function": cid_text(plan.function_cid),
        "input": cid_text(plan.input_cid),
        **_function_fields(plan.function),
        "runtime": cid_text(plan.function.runtime),
        "lock": lock_list(plan.lock),
        "data": _text(x.data),
        "volumes": [{"path": volume.path, "cid": cid_text(volume.cid)} for volume in x.volumes],
        "outputs": [{"name": output.name, "path": output.path} for output in x.outputs],
        "args": dict(x.args),
        "env": dict(x.env),
        "seed": x.seed,
        "epoch": x.epoch,
        "limits": x.limits.to_node(),
        "origins": origin_list(noted),
        "timeout_s": plan.wall_clock_s,
        "rule": rule.to_node(),
    }


def _function_fields(function: AnyFunction) -> dict[str, Any]:
    if isinstance(function, WasmFunction):
        return {"module": cid_text(function.module)}
    return {"source": cid_text(function.source), "entry": function.entry}


def origin_list(noted: Sequence[Noted]) -> list[dict[str, Any]]:
    """Return where content came from that was fetched: kept with the job, never part of the record."""
    return [{"path": note.path, **note.origin.to_json()} for note in noted]


def lock_list(lock: Lock) -> list[dict[str, str]]:
    """Return the locked packages as JSON."""
    return [
        {"name": wheel.name, "version": wheel.version, "sha256": wheel.sha256, "wheel": cid_text(wheel.wheel)}
        for wheel in lock.wheels
    ]


def _text(cid: CID | None) -> str | None:
    return None if cid is None else cid_text(cid)


def agreeing(session: SessionResult) -> list[Receipt]:
    """Return the receipts that agree with the output of a session."""
    return [receipt for receipt in session.receipts if receipt not in session.dissent]


def claimed(receipts: Sequence[Receipt]) -> dict[str, Any]:
    """Return what agreeing receipts say; fuel and state digest only where all of them say the same."""
    codes = {receipt.exit_code for receipt in receipts}
    fuels = {receipt.fuel for receipt in receipts}
    states = {receipt.state_digest for receipt in receipts}
    return {
        "exit_code": _only(codes),
        "fuel": _only(fuels),
        "state_digest": _only(states),
    }


def _only(values: set[Any]) -> Any:
    return next(iter(values)) if len(values) == 1 else None


def texts_entry(texts: OutputTexts | None) -> dict[str, Any]:
    """Return what a report shows of an output; None gives the same keys, and says nothing."""
    if texts is None:
        return {"result": None, "result_bytes": None, "stdout": None, "stderr": None, "cut": []}
    return {
        "result": texts.result.exact_text(),
        "result_bytes": texts.result.size,
        "stdout": texts.stdout.text(),
        "stderr": texts.stderr.text(),
        "cut": [name for name in ("stdout", "stderr") if getattr(texts, name).is_cut],
    }


def _receipt(receipt: Receipt, session: SessionResult) -> dict[str, Any]:
    return {
        "node": receipt.node,
        "engine": receipt.engine.name,
        "engine_version": receipt.engine.version,
        "arch": receipt.engine.arch,
        "isolation": list(receipt.engine.isolation),
        "output": cid_text(receipt.output),
        "exit_code": receipt.exit_code,
        "state_digest": receipt.state_digest,
        "agrees": receipt not in session.dissent,
    }


def reason_of(session: SessionResult, rule: Rule) -> str:
    """Return why there is no agreement, in words."""
    counts = sorted((len(group) for group in group_claims(session.receipts).values()), reverse=True)
    if session.verdict is Verdict.SPLIT:
        shares = " against ".join(map(str, counts))
        said = f"{counted(sum(counts), 'node')} gave {counted(len(counts), 'different output')} ({shares})"
        said += f"; {counted(rule.confidence, 'equal one')} and a strict majority are needed"
    else:
        said = f"{counted(sum(counts), 'node')} gave an output, {counted(rule.confidence, 'equal one')}"
        said += f" {agrees(rule.confidence, 'is', 'are')} needed"
    if lack := shortfall(session.trust):
        said += f"; {lack}"
    failures = dict.fromkeys(why for _, why in session.undetermined)
    return "; ".join([said, *(f"undetermined: {why}" for why in failures)])
