"""A node's memory in dicts: what a `Datastore` must be, in the fewest words. Keeps nothing over a restart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from network.job_store import Job
from network.node.datastore import (
    AddEvent,
    AddResult,
    Change,
    Finish,
    JobEvent,
    JobState,
    KeptJob,
    Machine,
    MarkCancelled,
    Move,
    NotePeer,
    Put,
    Remove,
    RemoveBelow,
    Submit,
)
from storage.cid import CID
from verifier.model import PeerId

MAX_PEERS = 1000


class ModelDatastore:
    """A `Datastore`, and the finished jobs beside it."""

    def __init__(self) -> None:
        self.finished: dict[str, Job] = {}
        self.results: dict[CID, dict[CID, float]] = {}
        self._entries: dict[Machine, dict[str, bytes]] = {machine: {} for machine in Machine}
        self._jobs: dict[str, KeptJob] = {}
        self._events: dict[str, list[JobEvent]] = {}
        self._peers: dict[PeerId, NotePeer] = {}

    def commit(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._make(change)

    def _make(self, change: Change) -> None:
        match change:
            case Put():
                self._entries[change.machine][change.key] = change.value
            case Remove():
                self._entries[change.machine].pop(change.key, None)
            case RemoveBelow():
                for key in self.entries_below(change.machine, change.prefix):
                    del self._entries[change.machine][key]
            case AddResult():
                records = self.results.setdefault(change.task, {})
                records.setdefault(change.record, change.at)
            case Submit(submission=submission):
                new = KeptJob(submission=submission, state=JobState.RUNNING, cancelled=False, outcome=b"")
                self._jobs.setdefault(submission.job, new)
            case Move(job=job) if job in self._jobs:
                kept = self._jobs[job]
                outcome = kept.outcome if change.outcome is None else change.outcome
                self._jobs[job] = replace(kept, state=change.state, outcome=outcome)
            case MarkCancelled(job=job) if job in self._jobs:
                self._jobs[job] = replace(self._jobs[job], cancelled=True)
            case AddEvent():
                told = self._events.setdefault(change.job, [])
                number = len(told) + 1
                told.append(
                    JobEvent(job=change.job, number=number, at=change.at, kind=change.kind, detail=change.detail)
                )
            case Finish(job=finished):
                self.finished.setdefault(finished.id, finished)
            case NotePeer(peer=peer):
                self._peers.pop(peer, None)
                self._peers[peer] = change
                self._peers = {note.peer: note for note in self._newest_peers()[:MAX_PEERS][::-1]}

    def entries(self, machine: Machine) -> dict[str, bytes]:
        return dict(self._entries[machine])

    def entries_below(self, machine: Machine, prefix: str) -> dict[str, bytes]:
        return {key: value for key, value in self._entries[machine].items() if key.startswith(prefix)}

    def job(self, job: str) -> KeptJob | None:
        return self._jobs.get(job)

    def unfinished(self) -> list[KeptJob]:
        return [kept for kept in self._oldest() if kept.state is not JobState.ENDED]

    def jobs(self, *, limit: int) -> list[KeptJob]:
        return self._oldest()[::-1][:limit]

    def events(self, job: str, *, after: int = 0, limit: int = 1000) -> list[JobEvent]:
        return [event for event in self._events.get(job, []) if event.number > after][:limit]

    def peers(self) -> dict[PeerId, str]:
        return {note.peer: note.address for note in self._newest_peers()}

    def _oldest(self) -> list[KeptJob]:
        return sorted(self._jobs.values(), key=lambda kept: kept.submission.created_at)

    def _newest_peers(self) -> list[NotePeer]:
        return sorted(self._peers.values(), key=lambda note: note.at)[::-1]
