"""One task at its requester: the session, and around it bids, confirmations, repetitions. No decisions here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from network.bid_choice import Kind
from network.messages import Commit
from network.requester_entries import JobEntry
from network.session_events import Phase
from network.session_state import Session
from network.trust_terms import TrustTerms
from storage.cid import CID
from verifier.identity import Identity
from verifier.model import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class RequesterTask:
    """All that a requester knows about one task. Made by `begin` and `resume`, changed by `step` only."""

    identity: Identity
    job: JobEntry
    task: CID
    session_id: str
    session: Session
    wanted: int
    """Nodes that the session asked for last."""
    steps: int = 0
    """Events of the session in the datastore."""
    offered: frozenset[PeerId] = frozenset()
    """Nodes that may bid now; gone after a restart, and offered again."""
    refused: frozenset[PeerId] = frozenset()
    bids: Mapping[PeerId, Kind] = field(default_factory=dict)
    kinds: Mapping[PeerId, Kind] = field(default_factory=dict)
    """Of the nodes asked, from their bids; empty after a restart."""
    accepted: frozenset[PeerId] = frozenset()
    """Nodes that have their assignment on disk: it needs no repeating."""
    commits: Mapping[PeerId, Commit] = field(default_factory=dict)
    """First `Commit` of each node, to show beside a second one."""
    searches: int = 0
    """Counts the times that nodes were sought, so that a timer tells which one it was for."""
    grace_ms: int
    """For newcomers, when nobody is known any more who could bid."""
    graces: int = 0
    """Counts those times, for the same reason."""
    is_alone: bool = False
    """Such a grace runs."""

    terms: TrustTerms | None = None
    """How far the answer is to be trusted; None if it goes by counts."""
    passes: Mapping[PeerId, int] = field(default_factory=dict)
    """Of the nodes that were offered it, with terms alone."""
    readers: frozenset[PeerId] = frozenset()
    """Nodes that said that they read `SignedAssign`; after a restart none, until they are found again."""

    @property
    def phase(self) -> Phase:
        """Return where the session stands."""
        return self.session.phase

    @property
    def engaged(self) -> frozenset[PeerId]:
        """Return the nodes that keep room for this task, or execute it."""
        if self.phase is Phase.COMMITTING:
            return self.session.pending
        return self.offered if self.phase is Phase.ASSIGNING else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seek:
    """Find this many nodes in the capacity book, then step with `Found`. Never leaves the requester."""

    count: int
    exclude: frozenset[PeerId]
    seed: str
    is_all: bool
    """Excluded are only those who were asked or have bid."""
    is_last: bool = False
    """The grace is over: who is not found now is not waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Nodes that could take the task."""

    peers: tuple[PeerId, ...]
    nobody_left: bool = False
    """Nodes are known, and all of them that could take the task were asked or have bid."""
    is_last: bool = False
    """As it was asked."""
    passes: Mapping[PeerId, int] = field(default_factory=dict)
    """Of each of them, if the task has terms."""
    readers: frozenset[PeerId] = frozenset()
    """Those of them that read `SignedAssign`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferAgain:
    """Too few bids came in time: seek more nodes."""

    search: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOver:
    """The search has taken as long as it may."""

    search: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GraceOver:
    """Nobody was left who could bid, and newcomers have had their time."""

    search: int
    grace: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Send again what nobody has confirmed."""

    round_number: int
    phase: Phase
    attempt: int
