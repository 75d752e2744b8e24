"""From what a person names (a job, a record, an output, a task) to the record and the output that it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from network.job_shards import JobShard
from network.job_store import Job, JobStore
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, codec_of, is_cid_text, parse_cid
from storage.errors import UnavailableError, UserError
from storage.url_text import parse_ipfs_url, scheme_of
from verifier.unverified_types import load_any_record

_MOST: Final = 64
"""Shards of the same task or output that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a text names. At least one of `job`, `record` and `output` is set."""

    job: Job | None
    """The newest one, where several fit."""
    record: CID | None
    """None: no record here belongs to it. Not checked."""
    output: CID | None
    """None: to be read from the record, or there is none."""
    task: CID | None = None
    """What the record is of, as jobs here say; None: they do not."""

    def find_output(self, store: BlockStore) -> CID | None:
        """Return the output, from the record if need be.

        Raises:
            UnavailableError, VerificationError: the record cannot be read.
        """
        if self.output is not None or self.record is None:
            return self.output
        return load_any_record(store, self.record).output

    def check_record(self, store: BlockStore) -> None:
        """Check that the record is of what was named: jobs only remember which record belongs to what.

        Raises:
            UnavailableError: it is of another output or task, so the jobs here are damaged; or it is not here.
            VerificationError: it is no record.
        """
        if self.record is None:
            return
        found = load_any_record(store, self.record)
        of_output = self.output is None or found.output == self.output
        if not of_output or self.task not in (None, found.task):
            fix = "name the record itself by its CID; the jobs here are damaged"
            raise UnavailableError("the record that jobs here give for this is of something else", fix=fix)


def find_target(text: str, jobs: JobStore) -> Target:
    """Look up a CID or a job id, whole or its first digits.

    Raises:
        UserError: it is neither, or names no job.
    """
    if not is_cid_text(text):
        job = jobs.find(text)
        return _of_job(job)
    cid = parse_cid(text)
    is_record = codec_of(cid) == DAG_CBOR
    if is_record:
        found = jobs.by_record(cid) or _with_record(jobs.by_task(cid))
    else:
        made = jobs.by_output(cid)
        # A job over shards has an output and no record.
        found = _with_record(made) or next((job for job in made if job.task is None), None)
    if found is not None:
        return _of_job(found)
    return _of_shard(cid, jobs) or Target(
        job=None, record=cid if is_record else None, output=None if is_record else cid
    )


def find_job(text: str, jobs: JobStore) -> Job:
    """Return the job that a job id or a CID names.

    Raises:
        UserError: there is none.
    """
    job = find_target(text, jobs).job
    if job is None:
        raise UserError("no job here has this record, output or task", where=text, fix="see `bacalhau list`")
    return job


def find_shards(text: str, jobs: JobStore) -> tuple[Job, Iterator[JobShard]] | None:
    """Return the job over shards that ended here and that a text names, with its shards, or with the one that it names.

    None: it names something else, or nothing.
    """
    try:
        target = find_target(text, jobs)
    except UserError:
        return None
    job = target.job
    if job is None or job.task is not None:
        return None
    rows = jobs.each_shard(job.id)
    return job, rows if target.record is None else (row for row in rows if row.record == target.record)


def split_content(text: str) -> tuple[CID, str]:
    """Read `CID`, `CID/path`, `/ipfs/CID/path` or `ipfs://CID/path`; the last is a URL, so its path is decoded.

    Raises:
        UserError: it does not begin with a CID, or is a malformed URL.
    """
    if scheme_of(text) == "ipfs":
        head, path = parse_ipfs_url(text, where=text)
    else:
        head, _, path = text.removeprefix("/ipfs/").partition("/")
    return parse_cid(head), path


def _of_job(job: Job) -> Target:
    return Target(job=job, record=job.record, output=job.output, task=job.task)


def _of_shard(cid: CID, jobs: JobStore) -> Target | None:
    """Return the target of a shard's task, output or record; of several, one that has a record, and the newest job."""
    found = [(jobs.find(job), shard) for job, shard in jobs.shards_with(cid, limit=_MOST) if shard.record is not None]
    if not found:
        return None
    job, shard = max(found, key=lambda one: (one[0].created_at, -one[1].number))
    return Target(job=job, record=shard.record, output=shard.output, task=shard.task)


def _with_record(jobs: list[Job]) -> Job | None:
    return next((job for job in jobs if job.record is not None), None)
