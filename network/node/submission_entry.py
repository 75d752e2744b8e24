"""A submission in the datastore: strict DAG-CBOR, beside it as JSON where its content came from.

Origins are a text of their own because JSON has values that DAG-CBOR does not, and no bound that a node would need.
A published version is never edited: a change of meaning is a new version.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from network.kept_versions import as_now
from network.messages import Demand, JobId
from network.node.datastore import Submission
from network.trust_terms import Share
from storage import dag_cbor
from storage.errors import UserError
from verifier.bounds import MAX_NODES, Count, Link, Word, Words, at_most
from verifier.credibility import TrustGoal
from verifier.model import ModelError, Rule
from verifier.schema import Schema

MAX_TIMEOUT_S: Final = 7 * 86_400
"""A week, as in the protocol."""
MAX_ORIGINS_BYTES: Final = 8 << 20
"""Of their JSON: thousands of URLs with all headers."""

Seconds = Annotated[float, lambda value: "" if math.isfinite(value) else "must be a finite number"]
Timeout = Annotated[float, lambda value: "" if 0.001 <= value <= MAX_TIMEOUT_S else "must be 1 ms to a week"]
Pair = Annotated[tuple[Word, ...], lambda pair: "" if len(pair) == 2 else "must be a name and a value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionEntry(Schema):
    """A `Submission` without its origins."""

    VERSION: ClassVar[str] = "submission-entry/6"
    """1 had no shards and no known results, 2 no trust, 3 no records of the data, 4 no containers, 5 never asked for
    verified inputs."""

    job: JobId
    created_at: Seconds
    task: Link | None
    shards: Link | None
    """A list of shards; either this or the task is there."""
    shard_count: Count
    max_failures: Count | None
    no_cache: bool
    rule: Rule
    demand: Demand
    labels: Words
    selector: Annotated[tuple[Pair, ...], at_most(64)]
    min_bids: Count
    timeout_s: Timeout
    parents: Annotated[tuple[Link, ...], at_most(MAX_NODES)]
    data_parents: Annotated[tuple[Link, ...], at_most(MAX_NODES)]
    trust: Share | None
    bad: Share | None
    unverified: bool
    require_verified: bool


_SINCE_5: Final[dict[str, Any]] = {"require_verified": False}
_SINCE_4: Final[dict[str, Any]] = {"unverified": False, **_SINCE_5}
_SINCE_3: Final[dict[str, Any]] = {"data_parents": [], **_SINCE_4}
_SINCE_2: Final[dict[str, Any]] = {"trust": None, "bad": None, **_SINCE_3}
_SINCE: Final[dict[str, dict[str, Any]]] = {
    "submission-entry/1": {"shards": None, "shard_count": 0, "max_failures": None, "no_cache": True, **_SINCE_2},
    "submission-entry/2": _SINCE_2,
    "submission-entry/3": _SINCE_3,
    "submission-entry/4": _SINCE_4,
    "submission-entry/5": _SINCE_5,
}
"""What earlier versions did not say, and meant."""


def write_submission(submission: Submission) -> tuple[bytes, str]:
    """Return a submission as DAG-CBOR, and its origins as JSON. Reading them back gives an equal one.

    Raises:
        UserError: a value is out of its bounds, or the origins are not JSON.
    """
    try:
        entry = SubmissionEntry(
            job=submission.job,
            created_at=float(submission.created_at),
            task=submission.task,
            shards=submission.shards,
            shard_count=submission.shard_count,
            max_failures=submission.max_failures,
            no_cache=submission.no_cache,
            rule=submission.rule,
            demand=submission.demand,
            labels=submission.labels,
            selector=submission.selector,
            min_bids=submission.min_bids,
            timeout_s=float(submission.timeout_s),
            parents=submission.parents,
            data_parents=submission.data_parents,
            trust=None if submission.trust is None else submission.trust.asked,
            bad=None if submission.trust is None else submission.trust.bad,
            unverified=submission.unverified,
            require_verified=submission.require_verified,
        )
    except ModelError as error:
        raise UserError(error.problem, where=f"submission: {error.field}", fix="submit the job with another") from error
    return dag_cbor.encode(entry.to_node()), _origins_text(submission)


def read_submission(data: bytes, origins: str) -> Submission:
    """Return the submission that was written.

    Raises:
        VerificationError, ValueError, TypeError, RecursionError: it is something else.
    """
    entry = SubmissionEntry.from_node(as_now(SubmissionEntry, dag_cbor.decode(data), _SINCE))
    return Submission(
        job=entry.job,
        created_at=entry.created_at,
        task=entry.task,
        shards=entry.shards,
        shard_count=entry.shard_count,
        max_failures=entry.max_failures,
        no_cache=entry.no_cache,
        rule=entry.rule,
        demand=entry.demand,
        labels=entry.labels,
        selector=tuple((name, value) for name, value in entry.selector),
        min_bids=entry.min_bids,
        timeout_s=entry.timeout_s,
        parents=entry.parents,
        data_parents=entry.data_parents,
        origins=_origins(origins),
        trust=_goal(entry),
        unverified=entry.unverified,
        require_verified=entry.require_verified,
    )


def _goal(entry: SubmissionEntry) -> TrustGoal | None:
    if entry.trust is None or entry.bad is None:
        return None
    try:
        return TrustGoal(asked=entry.trust, bad=entry.bad)
    except UserError as error:
        raise ValueError(f"a trust {error.problem}") from error


def _origins_text(submission: Submission) -> str:
    where = "submission: origins"
    try:
        text = json.dumps([dict(origin) for origin in submission.origins], allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError("must be JSON", where=where, fix="submit the job without them") from error
    if len(text) > MAX_ORIGINS_BYTES:
        raise UserError("are longer than 8 MiB", where=where, fix="submit the job without them")
    return text


def _origins(text: str) -> tuple[dict[str, Any], ...]:
    origins = json.loads(text)
    if not isinstance(origins, list) or not all(isinstance(origin, dict) for origin in origins):
        raise ValueError("origins are no list of maps")
    return tuple(origins)
