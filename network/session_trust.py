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
    """Return the fewest further receipts that could make the leading claim agreed and credible, at least one."""
    counted = more_nodes_needed(session)
    if session.terms is None:
        return counted
    receipts = tuple(session.receipts.values())
    leading, others = passes_by_claim(receipts, most_frequent(group_claims(receipts)), session.passes)
    return max(counted, words_missing(session.terms.goal, leading, others, session.terms.least_passes))


def trust_note(session: Session) -> TrustNote | None:
    """Return how far the leading claim is trusted; None if nobody asked."""
    if session.terms is None:
        return None
    receipts = sorted(session.receipts.values(), key=lambda receipt: receipt.node.encode())
    return note_of(session.terms, receipts, most_frequent(group_claims(receipts)), session.passes)
