"""What goes into a commit-reveal session and what comes out of it: frozen values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from network.statement import Statement
from network.trust_terms import Standing
from storage.cid import CID
from verifier.compare import Decision
from verifier.model import Commitment, CommitmentList, PeerId, Receipt


class Phase(StrEnum):
    """Where the requester's session stands."""

    ASSIGNING = "assigning"
    """Nodes were asked for; none of this round has been told to run yet."""
    COMMITTING = "committing"
    """Nodes are executing; nothing is known of any output."""
    REVEALING = "revealing"
    """The round is closed and published; nodes reveal."""
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """The driver found these nodes (never asked before); fewer than wanted means that there are no more."""

    nodes: tuple[PeerId, ...]
    standing: Standing | None = None
    """What is known of them, in a session whose answer is to be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A commitment arrived from `peer`, the authenticated other end of the connection."""

    peer: PeerId
    commitment: Commitment


@dataclass(frozen=True, slots=True, kw_only=True)
class Revealed:
    """A receipt arrived from `peer`."""

    peer: PeerId
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A statement about a container arrived from `peer`."""

    peer: PeerId
    statement: Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Undetermined:
    """The node says that its host failed, or the connection to it is gone for good: no output, no vote."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """The time given to a phase is over. Ignored when that phase is over as well."""

    round_number: int
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """The submitter cancelled."""


Event: TypeAlias = Assigned | Committed | Revealed | Said | Undetermined | DeadlinePassed | Withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class AskNodes:
    """Find this many nodes that were not asked before, then send `Assigned`."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """Tell these nodes to run the task and to commit."""

    nodes: tuple[PeerId, ...]
    round_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRound:
    """The round is closed: keep the list, then tell these nodes to reveal."""

    commitments: CommitmentList
    cid: CID
    nodes: tuple[PeerId, ...]
    round_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The session is over."""

    decision: Decision


Action: TypeAlias = AskNodes | Execute | PublishRound | Finish


class FaultKind(StrEnum):
    """How a node broke the rules."""

    FORGED = "forged"
    """A message not signed by its sender, or about another task."""
    EQUIVOCATION = "equivocation"
    """Two different commitments or receipts in one session: both are the evidence."""
    LATE = "late"
    """No commitment before the round closed. Slow, not proven dishonest."""
    MUTE = "mute"
    """Committed and never revealed: the signed list is the evidence."""
    MISMATCH = "mismatch"
    """Revealed something else than it committed to: list and receipt are the evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A broken rule, with what shows it to a third party."""

    peer: PeerId
    kind: FaultKind
    evidence: tuple[Commitment | CommitmentList | Receipt, ...] = ()
    detail: str = ""
