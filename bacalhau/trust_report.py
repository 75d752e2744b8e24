"""What a report says of trust: how far an answer is trusted, by whose word, and under which assumptions. Pure.

A number is given only where the nodes are strangers with a record. Nodes of one machine are one operator's: what holds
them together is not what the formula is about, so nothing is claimed of them (docs/trust.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypedDict

from network.embedded import SessionResult
from network.trust_terms import LEAST_RULE, TrustNote, TrustTerms, rule_in_force, terms_for
from storage.counting import agrees, counted
from verifier.credibility import History, TrustGoal, credibility_of_node
from verifier.model import Rule, Verdict


class TrustedSession(TypedDict):
    """Of `run_embedded`."""

    terms: TrustTerms | None
    max_nodes: int | None


RECORDS: Final = "records"
OWN: Final = "one machine"
ASSUMPTIONS: Final = (
    "at most the share bad_nodes of the nodes is bad, and those asked are drawn without regard to that",
    "a bad node cannot tell a check from work",
    "bad nodes are drawn independently of one another",
    "what a node is does not change",
)
"""docs/trust.md says what becomes of the number where one does not hold."""
OWN_NOTE: Final = (
    "all nodes are of this machine and of one operator: that they agree shows that the function is deterministic here,"
    " and nothing about the word of strangers, so no probability is claimed"
)


def terms_among_own(goal: TrustGoal | None) -> TrustTerms | None:
    """Return what nodes of this machine have to reach: what as many strangers would, of whom nothing is known."""
    return None if goal is None else terms_for(goal, {}, ())


def trusted_session(goal: TrustGoal | None) -> TrustedSession:
    """Return the arguments of a session on nodes of this machine that such a trust makes."""
    terms = terms_among_own(goal)
    return TrustedSession(terms=terms, max_nodes=None if terms is None else terms.most_nodes)


def words_among_newcomers(goal: TrustGoal, least: Rule = LEAST_RULE) -> Rule:
    """Return the counts that a trust comes to where nothing is known of any node."""
    return rule_in_force(least, terms_among_own(goal))


def least_rule(*, diverse: bool) -> Rule:
    """Return the least counts of a job that goes by trust: two different engines cannot be one node."""
    least = 2 if diverse else 1
    return Rule(replication=least, confidence=least, diverse=diverse)


def trust_flag(goal: TrustGoal | None) -> str:
    """Return how a person wrote it; empty if nobody did."""
    return "" if goal is None else f"--trust {goal.asked}"


def trust_entry(session: SessionResult) -> dict[str, Any] | None:
    """Return the key `trust` of a session's report; None if it went by counts."""
    note = session.trust
    if note is None:
        return None
    dissenting = {receipt.node for receipt in session.dissent}
    agreed = session.verdict is Verdict.AGREED
    return {
        **_asked(note.terms.goal),
        "reached": note.reached,
        "basis": RECORDS,
        **_terms(note.terms),
        "nodes": [
            {
                "node": node,
                "passes": passes,
                "credibility": credibility_of_node(History(passes=passes), bad=note.terms.bad),
                "agrees": agreed and node not in dissenting,
            }
            for node, passes in zip(note.nodes, note.passes, strict=True)
        ],
        "assumptions": list(ASSUMPTIONS),
    }


def own_trust_entry(goal: TrustGoal | None, rule: Rule) -> dict[str, Any] | None:
    """Return the same where all nodes are of this machine; rule: that they went by."""
    if goal is None:
        return None
    return {**_asked(goal), "reached": None, "basis": OWN, "words": rule.confidence, "assumptions": [OWN_NOTE]}


def shards_trust_entry(goal: TrustGoal | None, sessions: Iterable[SessionResult]) -> dict[str, Any] | None:
    """Return the same of a job over shards: the least that one of them reached, and how many words they needed."""
    if goal is None:
        return None
    notes = [one.trust for one in sessions if one.trust is not None]
    words = [note.terms.words for note in notes]
    return {
        **_asked(goal),
        "reached": min((note.reached for note in notes), default=None),
        "basis": RECORDS,
        "words": max(words, default=None),
        "fewest_words": min(words, default=None),
        "assumptions": list(ASSUMPTIONS),
    }


def planned_trust_entry(goal: TrustGoal | None, least: Rule = LEAST_RULE) -> dict[str, Any] | None:
    """Return what is known of trust before anything runs."""
    if goal is None:
        return None
    rule = words_among_newcomers(goal, least)
    return {**_asked(goal), "words_of_newcomers": rule.confidence}


def trust_lines(trust: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what a person reads of it."""
    if not trust:
        return
    asked = str(trust["asked"])
    if trust["basis"] == OWN:
        words = f"{equal_words(trust['words'])} {agrees(trust['words'], 'was', 'were')}"
        yield f"trust: {asked} was asked for, so {words} needed, as of strangers; but {OWN_NOTE}"
        return
    reached = "nothing" if trust["reached"] is None else probability(trust["reached"])
    few = trust.get("fewest_words")
    words = equal_words(trust["words"]) if few in (None, trust["words"]) else f"{few} to {trust['words']} equal words"
    bad = f"{trust['bad_nodes']:g}"
    yield f"trust: {reached}, where {asked} was asked for, if at most {bad} of all nodes are bad; {words} needed"


def explained_trust(trust: Mapping[str, Any], among_strangers: bool) -> str:
    """Return why so many nodes would be asked, before any is."""
    words = f"{trust['asked']} takes {equal_words(trust['words_of_newcomers'])} of nodes of which nothing is known"
    if not among_strangers:
        return f"{words}, so many run it; but {OWN_NOTE}"
    return f"{words}, fewer of those whose records speak for them: the node decides when it begins, and tells of it"


def node_lines(trust: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what is known of each node: why so many were asked."""
    if not trust or "nodes" not in trust:
        return
    least = trust["least_passes"]
    yield (
        f"asked were nodes with {counted(least, 'pass', 'passes')} or more,"
        f" {trust['words']} of which are trusted as far as was asked; at most {trust['most_nodes']} in all"
    )
    for one in trust["nodes"]:
        word = "agrees " if one["agrees"] else "DISSENT"
        passes = counted(one["passes"], "pass", "passes")
        yield f"{word} {one['node']} {passes}, credibility {probability(one['credibility'])}"


def shortfall(note: TrustNote | None) -> str:
    """Return what lacks, in words; empty if nothing does."""
    if note is None or note.reached >= note.terms.asked:
        return ""
    return f"the leading answer is trusted {probability(note.reached)}, and {note.terms.asked} was asked for"


def probability(value: float) -> str:
    """Return a probability with as many digits as tell it from 1: rounded down, for it is a bound."""
    for digits in range(3, 12):
        shown = int(value * 10**digits) / 10**digits
        if value >= 1 or 1 - shown < 2 * (1 - value):
            return f"{shown:.{digits}f}"
    return f"{value:.12f}"


def equal_words(number: int) -> str:
    """Return how many nodes must say the same, in words."""
    return "1 word" if number == 1 else counted(number, "equal word")


def _asked(goal: TrustGoal) -> dict[str, Any]:
    return {"asked": goal.asked, "bad_nodes": goal.bad}


def _terms(terms: TrustTerms) -> dict[str, Any]:
    return {"words": terms.words, "least_passes": terms.least_passes, "most_nodes": terms.most_nodes}
