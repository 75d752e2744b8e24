"""What happened to a job, in words for people: from what the requester keeps. Pure.

A step of a session is one event; what a verdict rests on is told once, with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from network.node.outcome import Outcome
from network.node.reasons import reason
from network.node.shard_entry import ShardEntry
from network.requester_entries import StepEntry
from storage.cid import CID, cid_text

SUBMITTED = "submitted"
CANCELLED = "cancelled"
REFUSED = "refused"
"""A node does not take a container, and why."""
FETCHING = "fetching"
MISSING = "output-missing"
SHARDS = "shards"
"""Some shards have ended: how many so far."""
SHARD = "shard"
"""One shard has failed, and how."""
GIVEN_UP = "given-up"
"""More shards failed than were to be put up with."""
ENDED = "ended"
"""The last one of every job."""


def step_words(entry: StepEntry) -> tuple[str, Mapping[str, Any]]:
    """Return kind and detail of a step's event."""
    if entry.kind == "Assigned":
        return "assigned", {"nodes": list(entry.nodes), **_why(entry)}
    if entry.kind == "Committed":
        return "committed", {"node": entry.peer}
    if entry.kind == "Revealed" and entry.receipt is not None:
        receipt = entry.receipt
        return "revealed", {
            "node": entry.peer,
            "output": cid_text(receipt.output),
            "exit_code": receipt.exit_code,
            "engine": receipt.engine.name,
        }
    if entry.kind == "Said" and entry.statement is not None:
        said = entry.statement
        if said.output is None:
            return "said", {"node": entry.peer, "reason": said.reason}
        return "said", {"node": entry.peer, "output": cid_text(said.output), "exit_code": said.exit_code}
    if entry.kind == "Undetermined":
        return "undetermined", {"node": entry.peer, "reason": entry.reason}
    if entry.kind == "DeadlinePassed":
        return "deadline", {"phase": entry.phase, "round": entry.round}
    return "withdrawn", {}


def _why(entry: StepEntry) -> Mapping[str, Any]:
    """Return why so many were asked, where trust is what was asked for."""
    if entry.standing is None:
        return {}
    terms = entry.standing.terms
    return {"passes": list(entry.standing.passes), "trust": terms.asked, "words": terms.words}


def ended_words(verdict: str, record: CID | None) -> Mapping[str, Any]:
    """Return the detail of the last event of a job that has a report."""
    return {"verdict": verdict, "record": None if record is None else cid_text(record)}


def unverified_words(problem: str) -> Mapping[str, Any]:
    """Return the detail of the last event of a job that could not be checked: what its nodes said is no verdict."""
    return {"verdict": None, "reason": reason(problem, otherwise="it could not be checked")}


def outcome_words(outcome: Outcome) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield kind and detail of the events of a verdict: who broke the rules, and what was decided."""
    for breach in outcome.faults:
        yield "fault", {"node": breach.node, "kind": breach.kind, "detail": breach.detail}
    yield (
        "verdict",
        {
            "verdict": outcome.verdict,
            "output": None if outcome.output is None else cid_text(outcome.output),
            "receipts": len(outcome.receipts),
            "dissent": len(outcome.dissent),
        },
    )


def shard_words(entry: ShardEntry) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield kind and detail of what is told of one shard: who broke the rules, and that it failed."""
    for breach in entry.outcome.faults:
        detail = {"node": breach.node, "kind": breach.kind, "detail": breach.detail}
        yield "fault", {"shard": entry.number, **detail}
    if entry.has_failed:
        yield SHARD, {"shard": entry.number, "verdict": entry.outcome.verdict, "exit_code": entry.exit_code}
