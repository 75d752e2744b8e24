"""Changes of a datastore as SQL, and its rows as values. Reads and writes nothing itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar, assert_never

from network import job_store, result_store
from network.job_shards import INSERT_SHARD
from network.node.datastore import (
    AddEvent,
    AddResult,
    Change,
    Finish,
    JobEvent,
    JobState,
    KeptJob,
    MarkCancelled,
    Move,
    NotePeer,
    Put,
    Remove,
    RemoveBelow,
    Submit,
)
from network.node.submission_entry import read_submission, write_submission
from storage.errors import VerificationError
from verifier.peer_id import PeerId, public_key_of

MAX_ENTRY_BYTES: Final = 2 << 20
"""The machines keep single blocks."""
MAX_OUTCOME_BYTES: Final = 8 << 20
MAX_DETAIL_BYTES: Final = 64 << 10
"""Of an event's JSON; a thousand events are read at once."""
MAX_FINISHED_BYTES: Final = 16 << 20
"""Of a finished job with its report."""
MAX_ROW_BYTES: Final = 24 << 20
"""No row that these bounds allow is longer, so a longer one is damaged and not read."""
MAX_PEERS: Final = 1000

Statement: TypeAlias = tuple[str, tuple[object, ...]]
Row: TypeAlias = Sequence[Any]
T = TypeVar("T")

JOB_COLUMNS: Final = "id, submission, origins, state, cancelled, outcome"
EVENT_COLUMNS: Final = "job, number, at, kind, detail"

_PUT: Final = (
    "INSERT INTO entries(machine, key, value) VALUES(?, ?, ?)"
    " ON CONFLICT(machine, key) DO UPDATE SET value = excluded.value"
)
_REMOVE: Final = "DELETE FROM entries WHERE machine = ? AND key = ?"
_REMOVE_BELOW: Final = "DELETE FROM entries WHERE machine = ? AND key >= ? AND key < ?"
_SUBMIT: Final = (
    "INSERT INTO submissions(id, created_at, submission, origins, state, cancelled, outcome)"
    " VALUES(?, ?, ?, ?, ?, 0, x'') ON CONFLICT(id) DO NOTHING"
)
_MOVE: Final = "UPDATE submissions SET state = ?, outcome = coalesce(?, outcome) WHERE id = ?"
_CANCEL: Final = "UPDATE submissions SET cancelled = 1 WHERE id = ?"
_ADD_EVENT: Final = (
    "INSERT INTO events(job, number, at, kind, detail)"
    " SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ? FROM events WHERE job = ?"
)
# Replacing gives a new rowid, so of equal times the one that was noted last is the newest.
_NOTE_PEER: Final = "INSERT OR REPLACE INTO peers(peer, address, at) VALUES(?, ?, ?)"
_FORGET_PEERS: Final = (
    "DELETE FROM peers WHERE rowid IN (SELECT rowid FROM peers ORDER BY at DESC, rowid DESC LIMIT -1 OFFSET ?)"
)


def statements(change: Change) -> tuple[Statement, ...]:
    """Return what makes a change, to be executed in order inside a transaction.

    Raises:
        UserError: a submission is out of its bounds.
        ValueError: something else is: the caller let it grow.
    """
    match change:
        case Put(machine=machine, key=key, value=value):
            return ((_PUT, (machine.value, key, _at_most(MAX_ENTRY_BYTES, value, key))),)
        case Remove(machine=machine, key=key):
            return ((_REMOVE, (machine.value, key)),)
        case RemoveBelow(machine=machine, prefix=prefix):
            return ((_REMOVE_BELOW, (machine.value, *bounds_of(prefix))),)
        case AddResult(task=task, record=record, at=at, is_open=is_open):
            nodes = result_store.Nodes.OPEN if is_open else result_store.Nodes.CHOSEN
            return ((result_store.INSERT, (task, record, nodes.value, _time(at))),)
        case Submit(submission=submission):
            row = (submission.job, submission.created_at, *write_submission(submission), JobState.RUNNING.value)
            return ((_SUBMIT, row),)
        case Move(job=job, state=state, outcome=outcome):
            kept = None if outcome is None else _at_most(MAX_OUTCOME_BYTES, outcome, "outcome")
            return ((_MOVE, (state.value, kept, job)),)
        case MarkCancelled(job=job):
            return ((_CANCEL, (job,)),)
        case AddEvent(job=job, at=at, kind=kind, detail=detail):
            return ((_ADD_EVENT, (job, _time(at), kind, _detail_text(detail), job)),)
        case Finish(job=finished):
            shards = ((INSERT_SHARD, row) for row in job_store.shard_rows(finished))
            return ((job_store.INSERT, _finished_row(finished)), *shards)
        case NotePeer(peer=peer, address=address, at=at):
            return (_NOTE_PEER, (_peer(peer), address, _time(at))), (_FORGET_PEERS, (MAX_PEERS,))
        case _:
            assert_never(change)


def kept_job(row: Row) -> KeptJob:
    """Return the job of a row of `JOB_COLUMNS`.

    Raises:
        VerificationError, ValueError, TypeError, RecursionError: it is damaged.
    """
    name, submission, origins, state, cancelled, outcome = row
    kept = KeptJob(
        submission=read_submission(_typed(submission, bytes), _typed(origins, str)),
        state=JobState(state),
        cancelled=bool(_typed(cancelled, int)),
        outcome=_typed(outcome, bytes),
    )
    if kept.submission.job != name:
        raise ValueError("a job under another's id")
    return kept


def job_event(row: Row) -> JobEvent:
    """Return the event of a row of `EVENT_COLUMNS`.

    Raises:
        ValueError, TypeError, RecursionError: it is damaged.
    """
    job, number, at, kind, detail = row
    return JobEvent(
        job=_typed(job, str),
        number=_typed(number, int),
        at=_typed(at, float),
        kind=_typed(kind, str),
        detail=_typed(json.loads(_typed(detail, str)), dict),
    )


def machine_entry(row: Row) -> tuple[str, bytes]:
    """Return key and value of a machine's entry.

    Raises:
        TypeError: it is damaged.
    """
    key, value = row
    return _typed(key, str), _typed(value, bytes)


def peer_address(row: Row) -> tuple[PeerId, str]:
    """Return a peer and its address.

    Raises:
        ValueError, TypeError: it is damaged.
    """
    peer, address = row
    return _peer(_typed(peer, str)), _typed(address, str)


def bounds_of(prefix: str) -> tuple[str, str]:
    """Return the first key below a prefix that ends in "/", and the first one behind those."""
    if not prefix.endswith("/"):
        raise ValueError("a prefix ends in /")
    return prefix, f"{prefix[:-1]}0"  # "0" is what follows "/"


def _typed(value: object, kind: type[T]) -> T:
    """Return a value if it has this very type: SQLite's columns hold any."""
    if type(value) is not kind:
        raise TypeError(f"a {type(value).__name__} in place of a {kind.__name__}")
    return value


def _at_most(limit: int, value: bytes, what: str) -> bytes:
    if len(value) > limit:
        raise ValueError(f"{what} has {len(value)} bytes, its bound is {limit}")
    return value


def _time(at: float) -> float:
    if not math.isfinite(at):
        raise ValueError("a time must be a finite number")
    return at


def _peer(text: str) -> PeerId:
    try:
        public_key_of(text)
    except VerificationError as error:
        raise ValueError(f"a peer id {error.problem}") from error
    return PeerId(text)


def _detail_text(detail: Mapping[str, Any]) -> str:
    text = json.dumps(dict(detail), allow_nan=False)
    _at_most(MAX_DETAIL_BYTES, text.encode(), "detail of an event")
    return text


def _finished_row(job: job_store.Job) -> tuple[object, ...]:
    row = job_store.job_row(job)
    sizes = sum(len(value) for value in row if isinstance(value, (str, bytes)))
    if sizes > MAX_FINISHED_BYTES:
        raise ValueError(f"job {job.id} has {sizes} bytes, its bound is {MAX_FINISHED_BYTES}")
    return row
