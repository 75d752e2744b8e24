"""What a requester keeps of a container's end: who said what, and how far that is alike.

A type of its own, and no `Outcome`: nothing that makes records of receipts can read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from network.node.outcome import MAX_NODES, Failure
from network.node.reasons import reason
from network.protocol_events import TaskEnded
from network.requester_entries import read, write
from network.statement import NodeStatement, with_few_texts
from runtime.container_outcome import RepeatVerdict, judge_claims
from storage.cid import CID, cid_text
from verifier.bounds import ExitCode, Hex32, Link, Votes, Word, at_most
from verifier.peer_id import PeerId
from verifier.schema import Schema
from verifier.unverified_types import TIER

_IS_ONE: Final = (RepeatVerdict.RAN, RepeatVerdict.REPRODUCED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOutcome(Schema):
    """A session about a container that is over."""

    VERSION: ClassVar[str] = "container-outcome/1"

    session: Hex32
    cancelled: bool
    asked: Votes
    """How many nodes were to run it."""
    verdict: Word
    """One of `RepeatVerdict`."""
    output: Link | None
    """What all of them say that it gave; None unless that is one thing. So `exit_code`."""
    exit_code: ExitCode | None
    statements: Annotated[tuple[NodeStatement, ...], at_most(MAX_NODES)]
    """By node."""
    undetermined: Annotated[tuple[Failure, ...], at_most(MAX_NODES)]

    @property
    def claims(self) -> list[tuple[CID, int]]:
        """Output and exit code of each run that gave one, by node."""
        said = (one.statement for one in self.statements)
        return [(one.output, one.exit_code) for one in said if one.output is not None and one.exit_code is not None]


def container_outcome(ended: TaskEnded, refusals: Mapping[PeerId, str]) -> ContainerOutcome:
    """Return the note of a session that is over. refusals: why nodes did not take it."""
    session = ended.session
    statements = with_few_texts(session.statements.items())
    asked = session.rule.replication
    said = [one.statement for one in statements]
    claims = [(one.output, one.exit_code) for one in said if one.output is not None and one.exit_code is not None]
    verdict = RepeatVerdict.INCOMPLETE if session.withdrawn else judge_claims(claims, asked=asked)
    output, exit_code = claims[0] if verdict in _IS_ONE else (None, None)
    failed = list(session.undetermined)
    if len(session.statements) < asked:
        failed += [(peer, why) for peer, why in sorted(refusals.items()) if peer not in session.asked]
    return ContainerOutcome(
        session=ended.session_id,
        cancelled=session.withdrawn,
        asked=asked,
        verdict=verdict.value,
        output=output,
        exit_code=exit_code,
        statements=statements,
        undetermined=tuple(
            Failure(node=peer, reason=reason(why, otherwise="its host failed")) for peer, why in failed[:MAX_NODES]
        ),
    )


def write_container_outcome(outcome: ContainerOutcome) -> bytes:
    """Return the note's bytes."""
    return write(outcome)


def read_container_outcome(data: bytes) -> ContainerOutcome:
    """Return a note.

    Raises:
        VerificationError: the datastore holds something else.
    """
    return read(ContainerOutcome, data)


def container_words(outcome: ContainerOutcome) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield kind and detail of the events of such an end."""
    yield (
        "verdict",
        {
            "tier": TIER,
            "verdict": outcome.verdict,
            "output": None if outcome.output is None else cid_text(outcome.output),
            "alike": most_alike(outcome.claims),
            "asked": outcome.asked,
        },
    )


def most_alike(claims: list[tuple[CID, int]]) -> int:
    """Return how many runs gave what most of them gave."""
    return max(map(claims.count, claims), default=0)
