"""The verdict of a session whose answer is to be trusted: agreed by its counts, and as credible as was asked for.

The rule, version 1: what `verifier.compare` says, and of what it calls agreed the leading claim must besides be as
credible as was asked for, given the passes that each node had when it was assigned. What is not is split if claims
differ, else too few.
"""

from __future__ import annotations

from dataclasses import replace

from network.session_state import Session, more_nodes_needed
from network.trust_terms import TrustNote, credibility_reached, note_of, passes_by_claim
from verifier.compare import Decision, compare, group_claims, most_frequent
from verifier.credibility import words_missing
from verifier.model import Verdict


def decide(session: Session) -> Decision:
    """Return the verdict on the receipts so far."""
    decision = compare(session.receipts.values(), session.rule)
    if session.terms is None or decision.verdict is not Verdict.AGREED:
        return decision
    receipts = (*decision.agreeing, *decision.dissenting)
    if credibility_reached(session.terms, receipts, decision.claim, session.passes) >= session.terms.asked:
        return decision
    return replace(
        decision,
        verdict=Verdict.SPLIT if len(group_claims(receipts)) > 1 else Verdict.TOO_FEW,
        claim=None,
        agreeing=(),
        dissenting=tuple(sorted(receipts, key=lambda receipt: receipt.node.encode())),
    )


def more_nodes(session: Session) -> int:
    """Return the fewest further receipts that could make a claim agreed and credible, at least one.

    That may be another claim than the one of most nodes: theirs may be worth less.
    """
    terms, receipts = session.terms, tuple(session.receipts.values())
    if terms is None or not receipts:
        return more_nodes_needed(session)
    missing = []
    for claim, group in group_claims(receipts).items():
        behind, others = passes_by_claim(receipts, claim, session.passes)
        counted = max(session.rule.confidence - len(group), len(receipts) - 2 * len(group) + 1, 1)
        missing.append(max(counted, words_missing(terms.goal, behind, others, terms.least_passes)))
    return min(missing)


def trust_note(session: Session) -> TrustNote | None:
    """Return how far the leading claim is trusted; None if nobody asked."""
    if session.terms is None:
        return None
    receipts = sorted(session.receipts.values(), key=lambda receipt: receipt.node.encode())
    return note_of(session.terms, receipts, most_frequent(group_claims(receipts)), session.passes)
