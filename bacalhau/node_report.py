"""The finished job of a node, as `bacalhau list`, `describe` and `get` know it: as of a run without a node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bacalhau.disputed_tasks import disputes_of
from bacalhau.input_check import InputCheck, check_inputs, contents_of
from bacalhau.known_report import Before
from bacalhau.merge_statement import state_merge
from bacalhau.output_texts import read_texts
from bacalhau.report import job_of, run_report
from bacalhau.shard_report import job_of_shards, shard_of, shards_report
from bacalhau.taint_report import taint_of, with_record
from bacalhau.trust_report import shards_trust_entry
from network.embedded import SessionResult
from network.job_store import Job
from network.node.datastore import Submission
from network.node.shard_settlement import SettledShard
from network.shard_list import ShardList, load_shards
from network.trust_terms import rule_in_force
from runtime.engine import Plan
from runtime.plan import plan_of_task
from runtime.shard_pattern import parse_pattern
from runtime.shard_plan import Sharding, ShardTask
from runtime.shards import Shard
from storage.blocks import BlockStore
from storage.cid import cid_text, parse_cid
from storage.counting import agrees, counted
from storage.errors import VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import Input, Rule, Task, load_node, node_cid
from verifier.shard_merge import Merged


def finished_job(
    submission: Submission, session: SessionResult, store: BlockStore, *, problem: str, before: Before | None = None
) -> Job:
    """Return the row of a job that ended now.

    problem: why the agreed output is not here; empty if it is, or nothing was agreed. before: what was known of tasks.

    Raises:
        UnavailableError: a block of the task is not here.
        VerificationError: a block is not what its CID says.
    """
    plan = plan_of_task(submission.root, store, submission.timeout_s)
    is_here = session.output is not None and not problem
    texts = read_texts(UnixfsReader(store), session.output) if is_here and session.output is not None else None
    report = run_report(
        job=submission.job,
        created_at=submission.created_at,
        labels=submission.labels,
        plan=plan,
        rule=_rule_of(submission, session),
        session=session,
        texts=texts,
        origins=[dict(origin) for origin in submission.origins],
        timings_s={"total": max(0.0, time.time() - submission.created_at)},
    )
    if before is not None:
        report |= before.told(plan.task, session, store)
    report |= taint_of(with_record(submission.parents, session.record), store)
    report |= _required(submission, store, before)
    if problem:
        report["reason"] = f"the agreed output is not here: {problem}"
    return job_of(report, submission.created_at, plan, session)


def checked_inputs(submission: Submission, store: BlockStore, before: Before) -> InputCheck:
    """Return what is known here of the inputs of a job, whatever its submitter says of them.

    Raises:
        UnavailableError, VerificationError: its inputs cannot be read.
    """
    parents = {*submission.parents, *submission.data_parents}
    return check_inputs(contents_of(submission.root, store), parents, store, before.lineage)


def _required(submission: Submission, store: BlockStore, before: Before | None) -> dict[str, Any]:
    """Return the outcome of that check now, of a job that asked for it."""
    if not submission.require_verified or before is None:
        return {}
    return {"require_verified": checked_inputs(submission, store, before).to_json()}


def finished_shards(
    submission: Submission,
    shards: ShardList,
    settled: Sequence[SettledShard],
    merged: Merged | None,
    store: BlockStore,
    *,
    problem: str,
    before: Before | None = None,
) -> Job:
    """Return the row of a job over shards that ended now, with theirs.

    problem: why agreed outputs are not here, or not merged; empty if they are. before: as `finished_job` has it.

    Raises:
        UnavailableError: a block of a task is not here.
        VerificationError: a block is not what its CID says.
    """
    whole = whole_plan(submission, shards, store)
    all_parents = sorted({*submission.parents, *submission.data_parents})
    rows = [shard_of(_task_of(one, whole, store), one.session, _rule_of(submission, one.session)) for one in settled]
    is_complete = len(rows) == shards.count
    report = shards_report(
        job=submission.job,
        created_at=submission.created_at,
        labels=submission.labels,
        whole=whole,
        rule=submission.rule,
        sharding=Sharding(pattern=parse_pattern(shards.pattern), base=shards.base, batch_size=shards.batch_size),
        max_failures=submission.max_failures,
        rows=rows,
        is_complete=is_complete,
        merged=merged,
        parents=all_parents,
        origins=[dict(origin) for origin in submission.origins],
        timings_s={"total": max(0.0, time.time() - submission.created_at)},
    )
    report |= taint_of(all_parents, store)
    report |= _required(submission, store, before)
    if before is not None:
        report |= disputes_of(rows, before, store)
        # What is not here is in no merged output, though it was agreed.
        here = [row for row in rows if merged is not None and row.number in merged.numbers]
        merge = None if merged is None else state_merge(merged.output, here, store, before.lineage)
        report["merge"] = None if merge is None else cid_text(merge)
    failed = sum(row.exit_code != 0 for row in rows)
    if not is_complete and (submission.max_failures is None or failed <= submission.max_failures):
        lacking = shards.count - len(rows)
        have = agrees(lacking, "has", "have")
        report["reason"] = f"it was cancelled: {lacking} of {counted(shards.count, 'shard')} {have} no verdict"
    report["trust"] = shards_trust_entry(submission.trust, [one.session for one in settled])
    if problem:
        report["reason"] = f"agreed outputs are not all here: {problem}"
    return job_of_shards(report, submission.created_at, whole, merged, rows)


def _rule_of(submission: Submission, session: SessionResult) -> Rule:
    """Return the counts that a session went by."""
    return rule_in_force(submission.rule, None if session.trust is None else session.trust.terms)


def _task_of(one: SettledShard, whole: Plan, store: BlockStore) -> ShardTask:
    input_cid = load_node(store, one.listed.task, Task).input
    input_ = load_node(store, input_cid, Input)
    if input_.data is None:
        raise VerificationError("a shard has no data", where=cid_text(one.listed.task))
    first = one.listed.first or ""
    shard = Shard(index=one.number, directory=input_.data, picks=one.listed.picks, first=first, last="")
    return ShardTask(shard=shard, plan=replace(whole, task=one.listed.task, input=input_, input_cid=input_cid))


def whole_plan(submission: Submission, shards: ShardList, store: BlockStore) -> Plan:
    """Return the plan that was split, made again of a shard's and of what was split.

    Raises:
        UnavailableError, VerificationError: as `finished_shards`.
    """
    _, listed = load_shards(store, submission.root)
    part = plan_of_task(listed[0].task, store, submission.timeout_s)
    whole = replace(part.input, data=parse_cid(shards.data))
    input_cid = node_cid(whole)
    task = node_cid(Task(function=part.function_cid, input=input_cid))
    return replace(part, task=task, input=whole, input_cid=input_cid)
