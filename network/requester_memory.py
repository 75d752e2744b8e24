"""What a requester's datastore holds, sorted out: jobs that have not ended, and what nobody needs any more.

A job that ended was told and is gone, all of its entries in one transaction. What a crash left of one (the entries of a
job may be removed in any two parts, its own first) is found here, and is to be removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from network.blame import Blame
from network.message_codec import session_id
from network.requester_entries import JobEntry, OutcomeEntry, StepEntry, read, read_job, read_prior, read_step
from network.session_state import Prior
from storage.cid import CID
from verifier.model import PeerId

JOB, STEP, OUTCOME, PRIOR, BLAME, TOLD = "job", "step", "outcome", "prior", "blame", "job-ended"
"""First parts of keys. TOLD marked jobs that had ended when they still stayed; nothing writes it any more."""

_KINDS = (JOB, STEP, OUTCOME, PRIOR, BLAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRequester:
    """A requester as it was kept."""

    jobs: tuple[JobEntry, ...]
    """That have not ended, or were not told to have."""
    tasks: Mapping[str, Mapping[str, CID]]
    """Of each job, by session."""
    steps: Mapping[str, tuple[StepEntry, ...]]
    """By session, of those without an outcome."""
    outcomes: Mapping[str, str]
    """By session."""
    priors: Mapping[str, Prior]
    """What sessions without an outcome go on from, by session."""
    convicted: frozenset[PeerId]
    left_over: tuple[str, ...]
    """Keys of what belongs to no job that is here."""


def read_kept(entries: Mapping[str, bytes], requester: PeerId) -> KeptRequester:
    """Sort out the entries of a requester.

    Raises:
        VerificationError: the datastore holds something else.
    """
    names = {kind: sorted(key for key in entries if key.startswith(f"{kind}/")) for kind in _KINDS}
    jobs = [read_job(entries[key]) for key in names[JOB] if f"{TOLD}/{_name(key)}" not in entries]
    tasks = {job.job: {session_id(requester, job.job, task): task for task in job.tasks} for job in jobs}
    sessions = {name for some in tasks.values() for name in some}
    ended = [key for key in names[OUTCOME] if _name(key) in sessions]
    outcomes = {_name(key): read(OutcomeEntry, entries[key]).outcome for key in ended}
    steps: dict[str, list[StepEntry]] = {}
    needed = {f"{JOB}/{name}" for name in tasks} | {f"{OUTCOME}/{name}" for name in outcomes} | {*names[BLAME]}
    unended = sessions - outcomes.keys()
    for key in names[STEP]:
        if (name := _name(key)) in unended:
            steps.setdefault(name, []).append(read_step(entries[key]))
            needed.add(key)
    priors = {_name(key): read_prior(entries[key]) for key in names[PRIOR] if _name(key) in unended}
    needed |= {f"{PRIOR}/{name}" for name in priors}
    return KeptRequester(
        jobs=tuple(jobs),
        tasks=tasks,
        steps={name: tuple(some) for name, some in steps.items()},
        outcomes=outcomes,
        priors=priors,
        convicted=frozenset(read(Blame, entries[key]).node for key in names[BLAME]),
        left_over=tuple(sorted(entries.keys() - needed)),
    )


def _name(key: str) -> str:
    """Return the job or the session that a key is about."""
    return key.split("/")[1]
