"""From receipts to a verdict.

The rule, version 1: a claim is a pair (output, exit code). A claim is agreed when at least `confidence` receipts make
it *and* they are a strict majority of all receipts, each of a different node. With `diverse`, at least two of them (one
if the confidence is 1) come from a different engine or architecture. What is not agreed is split when claims differ,
else too few.

State digests are not compared for agreement: they are only comparable within one engine build, and the output is what
is asked for. Whether the agreeing receipts share one is told as `same_state` (docs/decisions/0006).
Assumes that receipts were checked (`check_receipt`, `check_reveal`); knows nothing about deadlines or who was asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from storage.cid import CID
from verifier.model import Receipt, Rule, Verdict

DEFAULT_REPLICATION: Final = 3
DEFAULT_CONFIDENCE: Final = 2
"""One receipt is a claim, two are a comparison: confidence 1 must be asked for."""

Claim: TypeAlias = tuple[CID, int]
"""Output and exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A verdict with the receipts on each side of it."""

    verdict: Verdict
    claim: Claim | None
    """What was agreed; None unless the verdict is AGREED."""
    agreeing: tuple[Receipt, ...]
    """Receipts that make the agreed claim, by node; empty unless AGREED."""
    dissenting: tuple[Receipt, ...]
    """All other receipts, by node."""
    same_state: bool
    """The receipts of the most frequent claim all have the same state digest."""


def make_rule(*, replication: int = DEFAULT_REPLICATION, confidence: int | None = None, diverse: bool = False) -> Rule:
    """Return the requester's rule; confidence None means two, whatever the replication.

    So one node alone never verifies unless `confidence=1` was asked for.
    """
    wanted = DEFAULT_CONFIDENCE if confidence is None else confidence
    return Rule(replication=replication, confidence=wanted, diverse=diverse)


def compare(receipts: Iterable[Receipt], rule: Rule) -> Decision:
    """Return the verdict on the receipts of one task, in any order.

    Raises:
        ValueError: two receipts are of the same node or of different tasks: the caller did not check them.
    """
    ordered = tuple(sorted(receipts, key=lambda receipt: receipt.node.encode()))
    if len({receipt.node for receipt in ordered}) != len(ordered) or len({receipt.task for receipt in ordered}) > 1:
        raise ValueError("receipts must be of one task and of distinct nodes")
    claims = group_claims(ordered)
    leading = most_frequent(claims)
    agreed = leading is not None and _agrees(claims[leading], len(ordered), rule)
    split = Verdict.SPLIT if len(claims) > 1 else Verdict.TOO_FEW
    return Decision(
        verdict=Verdict.AGREED if agreed else split,
        claim=leading if agreed else None,
        agreeing=claims[leading] if agreed and leading else (),
        dissenting=tuple(receipt for receipt in ordered if not agreed or claim_of(receipt) != leading),
        same_state=leading is not None and len({receipt.state_digest for receipt in claims[leading]}) == 1,
    )


def claim_of(receipt: Receipt) -> Claim:
    """Return what the receipt claims."""
    return receipt.output, receipt.exit_code


def group_claims(receipts: Iterable[Receipt]) -> Mapping[Claim, tuple[Receipt, ...]]:
    """Return the receipts by claim, in their order."""
    groups: dict[Claim, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        groups[claim_of(receipt)].append(receipt)
    return {claim: tuple(group) for claim, group in groups.items()}


def most_frequent(claims: Mapping[Claim, tuple[Receipt, ...]]) -> Claim | None:
    """Return the claim of most receipts; among equals the smallest, so that the order of arrival is no matter."""
    return min(claims, key=lambda claim: (-len(claims[claim]), claim), default=None)


def _agrees(group: tuple[Receipt, ...], revealed: int, rule: Rule) -> bool:
    enough = len(group) >= rule.confidence and 2 * len(group) > revealed
    return enough and (not rule.diverse or len(kinds(group)) >= min(2, rule.confidence))


def kinds(receipts: Iterable[Receipt]) -> set[tuple[str, str]]:
    """Return the distinct (engine, architecture) pairs: what `diverse` counts."""
    return {(receipt.engine.name, receipt.engine.arch) for receipt in receipts}
