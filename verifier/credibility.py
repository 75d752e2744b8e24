"""How far a node's word goes, by its record of agreements, and how many equal words make an answer that is trusted.

The credibility of a node is a lower bound of the probability that its next output is right; of an answer, that the
answer is. After Sarmenta ("Sabotage-tolerance mechanisms for volunteer computing systems", 2002), with the bound of a
node made exact. What it assumes, and what becomes of it where that does not hold, is in docs/trust.md:

1 At most a share `bad` of the nodes is bad, and nodes are drawn without regard to that.
2 A bad node gives a wrong output to each task with one and the same probability, as it likes, whether the task is a
  check or not: it cannot tell.
3 Bad nodes do not choose together whom to lie with; those that are wrong about one task say the same (the worst case).

Values in, values out: an auditor who has the records can count the same.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from storage.cid import CID
from storage.errors import UserError
from verifier.model import PeerId

BAD_SHARE: Final = 0.1
"""Of the nodes, as assumed where nothing else is said."""
MAX_BAD_SHARE: Final = 0.49
MAX_NODES: Final = 100
"""Equal words that are asked for at most."""

LEAST_SHARE: Final = 4
"""One in so many candidates may be asked, whatever the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the records say of a node."""

    passes: int = 0
    """Different tasks of which it gave the agreed output, with others or as a check; none once it has dissented."""
    dissents: int = 0
    """Times that it gave another."""


NEWCOMER: Final = History()


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What one record says: who agreed on a task, and who said something else. Nobody is in both."""

    task: CID
    agreeing: frozenset[PeerId]
    dissenting: frozenset[PeerId]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustGoal:
    """How far an answer is to be trusted, and what is assumed of the nodes.

    Making one raises UserError if it cannot be had, whoever the nodes are.
    """

    asked: float
    """Probability that an answer is right, from the chance of a coin to less than 1."""
    bad: float = BAD_SHARE
    """Share of the nodes that is bad, at most."""

    def __post_init__(self) -> None:
        if not 0.5 <= self.asked < 1:
            fix = "try 0.999"
            raise UserError("must be a probability from 0.5 to less than 1", where=f"--trust {self.asked}", fix=fix)
        _check_share(self.bad)
        if newcomers_needed(self) > MAX_NODES:
            problem = f"is more than {MAX_NODES} nodes can be trusted with if {self.bad:g} of all nodes are bad"
            raise UserError(problem, where=f"--trust {self.asked}", fix="ask for less")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPlan:
    """How many nodes are asked so that an answer is trusted if all of them give it."""

    nodes: int
    """Equal words that are needed."""
    least_passes: int
    """Nodes with fewer are not asked."""
    eligible: frozenset[PeerId]
    """Those that may be asked."""
    credibility: float
    """Of an answer that the least credible of them give."""


def histories(witnesses: Iterable[Witness]) -> dict[PeerId, History]:
    """Return what records say of each node. witnesses: the oldest first; a task counts once for a node.

    Whoever alone gave the agreed output of a task has shown nothing: a record of one receipt is no pass. Whoever
    dissented earns none any more: a liar that could try again and again would come through some day (docs/trust.md).
    """
    seen: dict[PeerId, set[CID]] = {}
    found: dict[PeerId, History] = {}
    for one in witnesses:
        for peer in sorted(one.dissenting):
            found[peer] = History(dissents=found.get(peer, NEWCOMER).dissents + 1)
        for peer in sorted(one.agreeing) if len(one.agreeing) > 1 else ():
            tasks, before = seen.setdefault(peer, set()), found.get(peer, NEWCOMER)
            if one.task not in tasks and not before.dissents:
                tasks.add(one.task)
                found[peer] = History(passes=before.passes + 1)
    return found


def credibility_of_node(history: History, *, bad: float = BAD_SHARE) -> float:
    """Return the least probability that a node's next output is right, 0 to 1.

    A bad node that is wrong with probability s has come through k passes with probability (1-s)^k, so by Bayes its next
    output is wrong with probability bad·s·(1-s)^k / ((1-bad) + bad·(1-s)^k), whatever s is at most

        bad / (1-bad) · k^k / (k+1)^(k+1),  about bad / ((1-bad)·e·k),  and never more than bad.

    What a node says that dissented once is worth nothing, as if a coin had said it.
    """
    _check_share(bad)
    if history.dissents:
        return 0.5
    k = history.passes
    if k == 0:
        return 1 - bad
    # k^k / (k+1)^(k+1), by logarithms: k may be large.
    most = math.exp(k * math.log(k / (k + 1))) / (k + 1)
    return 1 - min(bad, bad / (1 - bad) * most)


def credibility_of_answer(leading: Sequence[float], others: Sequence[Sequence[float]] = ()) -> float:
    """Return the probability that an answer is right, given who gives it and who gives others.

    leading, others: credibilities of the nodes behind the answer, and behind each other answer. At most one answer is
    right; each is right if all of its nodes are, and wrong if none is. 0 if there is nobody behind it.
    """
    if not leading:
        return 0.0
    groups = [leading, *(group for group in others if group)]
    right = [math.prod(group) for group in groups]
    wrong = [math.prod(1 - one for one in group) for group in groups]
    cases = [right[i] * math.prod(wrong[:i] + wrong[i + 1 :]) for i in range(len(groups))]
    total = sum(cases) + math.prod(wrong)
    return cases[0] / total if total > 0 else 0.0


def credibility_of_words(leading: Sequence[int], others: Sequence[Sequence[int]] = (), *, bad: float) -> float:
    """Return the same of nodes that are known by their passes."""

    def group(passes: Sequence[int]) -> list[float]:
        return [credibility_of_node(History(passes=count), bad=bad) for count in passes]

    return credibility_of_answer(group(leading), [group(passes) for passes in others])


def newcomers_needed(goal: TrustGoal) -> int:
    """Return how many equal words of nodes of which nothing is known are trusted; MAX_NODES + 1 stands for more."""
    return _fewest(goal.asked, 1 - goal.bad)[0]


def words_missing(goal: TrustGoal, leading: Sequence[int], others: Sequence[Sequence[int]], passes: int) -> int:
    """Return how many further nodes must give the leading answer until it is trusted; MAX_NODES if that is not enough.

    leading, others: passes of the nodes behind the answer, and behind each other one; passes: of those to come.
    """
    for more in range(MAX_NODES):
        if credibility_of_words([*leading, *[passes] * more], others, bad=goal.bad) >= goal.asked:
            return more
    return MAX_NODES


def plan_trust(
    goal: TrustGoal, known: Mapping[PeerId, History], candidates: Collection[PeerId], *, has_choice: bool = True
) -> TrustPlan | None:
    """Return the fewest nodes whose equal word is trusted, and among whom they are to be drawn; None if there are not
    enough candidates.

    known: histories, of nodes that there is one of; candidates: nodes that could be asked. Nodes are drawn from a
    quarter of all at least, so that no few of them do everything and are all that the trust hangs on, and from one more
    than are needed, so that nobody is asked because there is no choice. Of plans with as few nodes the one with most to
    draw from. has_choice: False lets all that there are be needed, if they are several.
    """
    passes = {peer: known.get(peer, NEWCOMER).passes for peer in candidates}
    ascending = sorted(passes.values())
    best: tuple[int, int, float] | None = None
    for least in sorted(set(ascending)):
        eligible = len(ascending) - bisect_left(ascending, least)
        nodes, reached = _fewest(goal.asked, credibility_of_node(History(passes=least), bad=goal.bad))
        is_wide = nodes < eligible and LEAST_SHARE * eligible >= len(ascending)
        if (is_wide if has_choice else 1 < nodes <= eligible) and (best is None or nodes < best[0]):
            best = nodes, least, reached
    if best is None:
        return None
    nodes, least, reached = best
    chosen = frozenset(peer for peer, count in passes.items() if count >= least)
    return TrustPlan(nodes=nodes, least_passes=least, eligible=chosen, credibility=reached)


def _fewest(trust: float, one: float) -> tuple[int, float]:
    """Return how many equal words of nodes of one credibility are trusted, and how far."""
    for nodes in range(1, MAX_NODES + 1):
        reached = credibility_of_answer([one] * nodes)
        if reached >= trust:
            return nodes, reached
    return MAX_NODES + 1, 0.0


def _check_share(bad: float) -> None:
    if not 0 < bad <= MAX_BAD_SHARE:
        raise UserError(
            f"must be more than 0 and at most {MAX_BAD_SHARE}", where=f"--bad-nodes {bad}", fix=f"try {BAD_SHARE}"
        )
