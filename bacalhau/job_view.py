"""A job as JSON: what `list` and `describe` say of one, whether it has ended or is under way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from storage.cid import CID, cid_text

if TYPE_CHECKING:
    from network.job_store import Job
    from network.node.datastore import KeptJob, Submission

ENDED: Final = "ended"


def summary_of_job(job: Job, *, cancelled: bool = False) -> dict[str, Any]:
    """Return what `list` says of a job that has ended; `describe` says the rest."""
    return {
        "job": job.id,
        "created_at": time_text(job.created_at),
        "labels": list(job.labels),
        "state": ENDED,
        "cancelled": cancelled,
        "task": _text(job.task),
        "output": _text(job.output),
        "record": _text(job.record),
        "verdict": job.verdict,
        "tier": job.tier,
        "exit_code": job.exit_code,
    }


def summary_of_kept(kept: KeptJob) -> dict[str, Any]:
    """Return the same of a job that is under way: it claims nothing yet."""
    asked = kept.submission
    return {
        "job": asked.job,
        "created_at": time_text(asked.created_at),
        "labels": list(asked.labels),
        "state": kept.state.value,
        "cancelled": kept.cancelled,
        "task": _text(asked.task),
        "output": None,
        "record": None,
        "verdict": None,
        "tier": "unverified",
        "exit_code": None,
    }


def view(kept: KeptJob | None, job: Job | None) -> dict[str, Any]:
    """Return all that is known of a job: its summary, what was asked of the node, and its report once it has ended.

    One of them at least is there: a node keeps `kept`, whoever finishes a job keeps `job`.
    """
    if job is not None:
        head = summary_of_job(job, cancelled=kept is not None and kept.cancelled)
    elif kept is not None:
        head = summary_of_kept(kept)
    else:
        raise ValueError("a view is of a job")
    asked = None if kept is None else _submission(kept.submission)
    return {**head, "submission": asked, "report": None if job is None else dict(job.report)}


def time_text(at: float) -> str:
    """Return seconds since 1970 as UTC text."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _submission(asked: Submission) -> dict[str, Any]:
    return {
        "rule": asked.rule.to_node(),
        "demand": asked.demand.to_node(),
        "min_bids": asked.min_bids,
        "selector": dict(asked.selector),
        "timeout_s": asked.timeout_s,
        "parents": [cid_text(cid) for cid in asked.parents],
        "data_parents": [cid_text(cid) for cid in asked.data_parents],
        "origins": [dict(origin) for origin in asked.origins],
        "shards": _text(asked.shards),
        "shard_count": asked.shard_count,
        "max_failures": asked.max_failures,
        "no_cache": asked.no_cache,
        "require_verified": asked.require_verified,
        "trust": None if asked.trust is None else asked.trust.asked,
        "bad_nodes": None if asked.trust is None else asked.trust.bad,
    }


def _text(cid: CID | None) -> str | None:
    return None if cid is None else cid_text(cid)
