"""What a trust that was asked for means to one session: counts, and what is known of the nodes that were asked.

`verifier.credibility` has the formulas, docs/trust.md what they assume. The terms are fixed when a session begins, and
what is known of a node when it is assigned, and both are kept with that step: a session that is taken up again after a
restart decides what it would have decided.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from verifier.bounds import Count, Peer, Votes, at_most
from verifier.compare import Claim, group_claims
from verifier.credibility import (
    History,
    TrustGoal,
    credibility_of_words,
    newcomers_needed,
    plan_trust,
)
from verifier.model import PeerId, Receipt, Rule
from verifier.schema import Schema

LEAST_RULE: Final = Rule(replication=1, confidence=1, diverse=False)
"""Of a job that goes by trust, if nobody asks for more: how many nodes it takes is found out."""
Share = Annotated[float, lambda value: "" if math.isfinite(value) and 0 <= value <= 1 else "must be 0 to 1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustTerms(Schema):
    """What a session has to reach."""

    asked: Share
    bad: Share
    words: Votes
    """Equal ones that are asked for at first; no fewer are agreement, however far they are trusted."""
    least_passes: Count
    """Nodes with fewer are asked only when no others are left."""
    most_nodes: Votes
    """Asked in all."""

    @property
    def goal(self) -> TrustGoal:
        """Return what the submitter asked for."""
        return TrustGoal(asked=self.asked, bad=self.bad)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing(Schema):
    """What is known of nodes that are assigned now."""

    terms: TrustTerms
    passes: Annotated[tuple[Count, ...], at_most(1000)]
    """Of each of them, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustNote(Schema):
    """What became of it: kept with the verdict, told in the report."""

    terms: TrustTerms
    reached: Share
    """Credibility of the leading answer; 0 without any."""
    nodes: Annotated[tuple[Peer, ...], at_most(1000)]
    """That gave a receipt."""
    passes: Annotated[tuple[Count, ...], at_most(1000)]
    """Of each of them, when it was asked."""


class TrustSource(Protocol):
    """What a requester's machine asks about trust. Answers from memory, at once."""

    def terms(self, job: str, known: int, candidates: TrustCandidates) -> TrustTerms | None:
        """Return the terms of a session of a job that begins now; None if it goes by counts.

        known: how many nodes there are, so that a plan for others is not taken.
        """
        ...

    def passes(self, peer: PeerId) -> int:
        """Return the passes of a node."""
        ...

    def barred(self) -> frozenset[PeerId]:
        """Return the nodes whose word is worth nothing: they dissented."""
        ...


class TrustCandidates(Protocol):
    """Lists the nodes that could be asked; costs as much as there are nodes."""

    def __call__(self) -> Collection[PeerId]:
        """Return them."""
        ...


class Untrusting:
    """Goes by counts alone."""

    def terms(self, job: str, known: int, candidates: TrustCandidates) -> TrustTerms | None:  # noqa: ARG002
        """Return None."""
        return None

    def passes(self, peer: PeerId) -> int:  # noqa: ARG002
        """Return 0."""
        return 0

    def barred(self) -> frozenset[PeerId]:
        """Return none."""
        return frozenset()


def terms_for(goal: TrustGoal, known: Mapping[PeerId, History], candidates: Collection[PeerId]) -> TrustTerms:
    """Return the terms of a session.

    Where too few nodes are known to choose from, those that there are may do; where they do not, as many newcomers as
    it takes are sought.

    A split may be settled by newcomers, so there is room for twice as many as it takes of them.
    """
    newcomers = newcomers_needed(goal)
    plan = plan_trust(goal, known, candidates) or plan_trust(goal, known, candidates, has_choice=False)
    return TrustTerms(
        asked=goal.asked,
        bad=goal.bad,
        words=newcomers if plan is None else plan.nodes,
        least_passes=0 if plan is None else plan.least_passes,
        most_nodes=2 * newcomers + 1,
    )


def rule_in_force(least: Rule, terms: TrustTerms | None) -> Rule:
    """Return the counts that a session goes by, and that its record states: those of the terms, and no fewer than were
    asked for besides."""
    if terms is None:
        return least
    return Rule(
        replication=max(least.replication, terms.words),
        confidence=max(least.confidence, terms.words),
        diverse=least.diverse,
    )


def passes_by_claim(
    receipts: Collection[Receipt], leading: Claim | None, passes: Mapping[PeerId, int]
) -> tuple[list[int], list[list[int]]]:
    """Return the passes of the nodes behind a claim, and of those behind each other one."""
    groups = {
        claim: [passes.get(receipt.node, 0) for receipt in group] for claim, group in group_claims(receipts).items()
    }
    behind = [] if leading is None else groups.get(leading, [])
    return behind, [group for claim, group in groups.items() if claim != leading]


def credibility_reached(
    terms: TrustTerms,
    receipts: Collection[Receipt],
    leading: Claim | None,
    passes: Mapping[PeerId, int],
) -> float:
    """Return how far a claim is trusted, given who makes it and who makes others."""
    behind, others = passes_by_claim(receipts, leading, passes)
    return credibility_of_words(behind, others, bad=terms.bad)


def note_of(
    terms: TrustTerms, receipts: Sequence[Receipt], leading: Claim | None, passes: Mapping[PeerId, int]
) -> TrustNote:
    """Return what to keep with a verdict."""
    nodes = tuple(receipt.node for receipt in receipts)
    return TrustNote(
        terms=terms,
        reached=credibility_reached(terms, receipts, leading, passes),
        nodes=nodes,
        passes=tuple(passes.get(node, 0) for node in nodes),
    )
