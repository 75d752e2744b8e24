"""The finished job of a container that nodes ran: its record, and the report that every run of a container has."""

from __future__ import annotations

import time
from typing import Final

from bacalhau.container_report import FailedRun, Repeated, container_job, container_report
from bacalhau.output_texts import read_texts
from network.job_store import Job
from network.node.container_outcome import ContainerOutcome
from network.node.datastore import Submission
from network.statement import NodeStatement
from runtime.container_engine import ContainerRun
from runtime.container_outcome import RepeatVerdict
from runtime.container_plan import ContainerPlan, container_plan_of_task
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import store_node
from verifier.taint import find_taint
from verifier.unverified_types import TIER, UnverifiedRecord, UnverifiedRun

_MAX_DIGITS: Final = 8
_NO_REASON: Final = "it gave no output"


def finished_container(submission: Submission, outcome: ContainerOutcome, store: BlockStore, *, problem: str) -> Job:
    """Return the row of a container's job that ended now; its record, if all nodes say the same, is put into the store.

    problem: why what they all gave is not here; empty if it is, or there is nothing.

    Raises:
        UnavailableError: a block of the task is not here.
        VerificationError: a block is not what its CID says, or the outcome is not whole.
    """
    plan = container_plan_of_task(submission.root, store, submission.timeout_s)
    repeated = _repeated(outcome, plan)
    texts = None
    if repeated.output is not None and not problem:
        reader = UnixfsReader(store)
        texts = read_texts(reader, repeated.output)
        _check_exit_code(reader, repeated.output, repeated.exit_code)
    record = _record(plan, outcome, submission, store)
    report = container_report(
        job=submission.job,
        created_at=submission.created_at,
        labels=submission.labels,
        image=plan.function.repo_digest or plan.function.image,
        plan=plan,
        repeated=repeated,
        record=record,
        texts=texts,
        taint=find_taint(store, submission.parents if record is None else [record]),
        noted=(),
        timings_s={"total": max(0.0, time.time() - submission.created_at)},
    )
    report["origins"] = [dict(origin) for origin in submission.origins]
    if problem:
        report["reason"] = f"what the nodes gave is not here: {problem}"
    return container_job(report, submission.created_at, plan, record, repeated.output)


def _check_exit_code(reader: UnixfsReader, output: CID, said: int | None) -> None:
    """Check that an output says the exit code that the nodes say, as check 12 does of what is verified.

    Raises:
        VerificationError: it does not. UserError: it has none.
    """
    written = reader.read_bytes(reader.resolve(output, "exit_code"), _MAX_DIGITS)
    if written != str(said).encode():
        raise VerificationError(f"its exit code is not {said}, as the nodes say", where=cid_text(output))


def _repeated(outcome: ContainerOutcome, plan: ContainerPlan) -> Repeated:
    made = [(one, run) for one in outcome.statements if (run := _run_of(one, plan)) is not None]
    silent = [one for one in outcome.statements if one.statement.output is None]
    failed = [
        FailedRun(
            number=number,
            reason=one.statement.reason or _NO_REASON,
            stdout=one.statement.stdout.encode(),
            stderr=one.statement.stderr.encode(),
            node=one.node,
        )
        for number, one in enumerate(silent, 1)
    ]
    failed += [
        FailedRun(number=number, reason=one.reason, stdout=b"", stderr=b"", node=one.node)
        for number, one in enumerate(outcome.undetermined, len(failed) + 1)
    ]
    try:
        verdict = RepeatVerdict(outcome.verdict)
    except ValueError as error:
        raise VerificationError(f"a kept outcome is not whole ({error})") from error
    return Repeated(
        asked=outcome.asked,
        runs=tuple(run for _, run in made),
        failed=tuple(failed),
        verdict=verdict,
        nodes=tuple(one.node for one, _ in made),
        was_cancelled=outcome.cancelled,
    )


def _run_of(one: NodeStatement, plan: ContainerPlan) -> ContainerRun | None:
    said = one.statement
    if said.output is None or said.exit_code is None or said.engine is None:
        return None
    return ContainerRun(
        task=plan.task,
        output=said.output,
        exit_code=said.exit_code,
        engine=said.engine,
        was_out_of_memory=said.was_out_of_memory,
    )


def _record(plan: ContainerPlan, outcome: ContainerOutcome, submission: Submission, store: BlockStore) -> CID | None:
    """Store the record, if all nodes say the same, and return its CID."""
    if outcome.output is None or outcome.exit_code is None:
        return None
    said = [(one.node, one.statement) for one in outcome.statements]
    runs = tuple(
        UnverifiedRun(output=outcome.output, exit_code=outcome.exit_code, engine=statement.engine, node=node)
        for node, statement in said
        if statement.engine is not None
    )
    record = UnverifiedRecord(
        tier=TIER,
        task=plan.task,
        function=plan.function_cid,
        input=plan.input_cid,
        output=outcome.output,
        exit_code=outcome.exit_code,
        runs=runs,
        parents=tuple(sorted(set(submission.parents))),
    )
    return store_node(store, record)
