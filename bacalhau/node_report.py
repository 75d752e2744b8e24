"""The finished job of a node, as `bacalhau list`, `describe` and `get` know it: as of a run without a node."""

from __future__ import annotations

import time

from bacalhau.output_texts import read_texts
from bacalhau.report import job_of, run_report
from network.embedded import SessionResult
from network.job_store import Job
from network.node.datastore import Submission
from runtime.plan import plan_of_task
from storage.blocks import BlockStore
from storage.unixfs_read import UnixfsReader


def finished_job(submission: Submission, session: SessionResult, store: BlockStore, *, problem: str) -> Job:
    """Return the row of a job that ended now.

    problem: why the agreed output is not here; empty if it is, or nothing was agreed.

    Raises:
        UnavailableError: a block of the task is not here.
        VerificationError: a block is not what its CID says.
    """
    plan = plan_of_task(submission.task, store, submission.timeout_s)
    is_here = session.output is not None and not problem
    texts = read_texts(UnixfsReader(store), session.output) if is_here and session.output is not None else None
    report = run_report(
        job=submission.job,
        created_at=submission.created_at,
        labels=submission.labels,
        plan=plan,
        rule=submission.rule,
        session=session,
        texts=texts,
        origins=[dict(origin) for origin in submission.origins],
        timings_s={"total": max(0.0, time.time() - submission.created_at)},
    )
    if problem:
        report["reason"] = f"the agreed output is not here: {problem}"
    return job_of(report, submission.created_at, plan, session)
