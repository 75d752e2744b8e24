"""The requester's state in a session, and the small changes that its transitions are made of. No decisions here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeVar

from network.session_events import Fault, Phase
from network.session_faults import mute_fault
from network.statement import Statement
from network.trust_terms import TrustTerms
from storage.cid import CID
from verifier.compare import group_claims, most_frequent
from verifier.model import Commitment, CommitmentList, PeerId, Receipt, Rule

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What an earlier session over the same task left, checked: a new one goes on from it and asks only for more."""

    record: CID
    commitments: CommitmentList
    """The list of its last round."""
    receipts: tuple[Receipt, ...]
    """All of them, those that dissent included."""
    parents: tuple[CID, ...] = ()
    """Records that its task's inputs were known to come from: the new record names them too, or taint would be lost."""
    passes: tuple[int, ...] | None = None
    """Of the nodes of the receipts, in their order, as known when this was looked up; None if the new one goes by
    counts."""

    @property
    def nodes(self) -> frozenset[PeerId]:
        """Return the nodes that committed then, whether they revealed or not."""
        return frozenset(one.node for one in self.commitments.commitments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """All that a requester knows about one task. Made by `start`, changed by `step` only."""

    task: CID
    rule: Rule
    max_nodes: int
    """Bound on the nodes asked over all rounds."""
    phase: Phase = Phase.ASSIGNING
    round_number: int = 1
    """Counts assignments, so that a deadline tells which one it was for."""
    asked: frozenset[PeerId] = frozenset()
    pending: frozenset[PeerId] = frozenset()
    """Nodes that this phase waits for."""
    commitments: Mapping[PeerId, Commitment] = field(default_factory=dict)
    """Of all rounds; only of nodes that count."""
    published: CommitmentList | None = None
    """The list of the last closed round."""
    receipts: Mapping[PeerId, Receipt] = field(default_factory=dict)
    mute: Mapping[PeerId, CommitmentList] = field(default_factory=dict)
    """Nodes that did not reveal in time, with the list that they were to reveal for: a late receipt still counts."""
    faults: tuple[Fault, ...] = ()
    undetermined: tuple[tuple[PeerId, str], ...] = ()
    terms: TrustTerms | None = None
    """How far the answer is to be trusted; None if counts are all that was asked for."""
    passes: Mapping[PeerId, int] = field(default_factory=dict)
    """Of the nodes that were asked, as known then; with terms alone."""
    unverified: bool = False
    """Of a container: it collects statements, takes no commitment, and never agrees."""
    statements: Mapping[PeerId, Statement] = field(default_factory=dict)
    """Of such a session alone; the first of each node."""
    withdrawn: bool = False
    """Cancelled by the submitter: whatever the receipts say, nothing was agreed."""
    prior: Prior | None = None
    """What it goes on from; None if it began by itself."""

    @property
    def taken(self) -> frozenset[PeerId]:
        """Return the nodes of the session before: each has said what it had to say, and is asked no more."""
        return frozenset() if self.prior is None else self.prior.nodes


def more_nodes_needed(session: Session) -> int:
    """Return the fewest further receipts that could make the leading claim agreed, at least one."""
    claims = group_claims(session.receipts.values())
    leading = most_frequent(claims)
    votes = len(claims[leading]) if leading else 0
    return max(session.rule.confidence - votes, len(session.receipts) - 2 * votes + 1, 1)


def room(session: Session) -> int:
    """Return how many more nodes may be asked."""
    return session.max_nodes - len(session.asked)


def published_by_node(session: Session) -> dict[PeerId, Commitment]:
    """Return the commitments of the last list."""
    return {} if session.published is None else {one.node: one for one in session.published.commitments}


def fresh(session: Session) -> frozenset[PeerId]:
    """Return the nodes whose commitments no list holds yet."""
    return frozenset(session.commitments) - frozenset(published_by_node(session))


def with_entry(mapping: Mapping[PeerId, V], peer: PeerId, value: V) -> Mapping[PeerId, V]:
    """Return the mapping with one entry more."""
    return MappingProxyType({**mapping, peer: value})


def without_entry(mapping: Mapping[PeerId, V], peer: PeerId) -> Mapping[PeerId, V]:
    """Return the mapping without the peer's entry."""
    return MappingProxyType({key: value for key, value in mapping.items() if key != peer})


def blame(session: Session, fault: Fault) -> Session:
    """Record a fault, once of each kind and peer, so that a flood of them takes no memory."""
    if any((fault.peer, fault.kind) == (known.peer, known.kind) for known in session.faults):
        return session
    return replace(session, faults=(*session.faults, fault))


def exclude(session: Session, fault: Fault) -> Session:
    """Record a fault and take away the node's vote."""
    return replace(
        blame(session, fault),
        pending=session.pending - {fault.peer},
        commitments=without_entry(session.commitments, fault.peer),
        receipts=without_entry(session.receipts, fault.peer),
        mute=without_entry(session.mute, fault.peer),
    )


def mute(session: Session, peers: Iterable[PeerId], detail: str) -> Session:
    """Record that these peers committed and do not reveal, and wait for them no more."""
    for peer in sorted(peers):
        session = blame(session, mute_fault(peer, session.published, detail))
        if session.published is not None:
            session = replace(session, mute=with_entry(session.mute, peer, session.published))
    return replace(session, pending=session.pending - frozenset(peers))
