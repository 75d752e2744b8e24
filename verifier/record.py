"""Records: the verified triple {f, x, y}, built from a decision that agreed and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from storage.cid import CID
from storage.errors import VerificationError
from verifier.compare import Decision
from verifier.model import Record, Rule, Task, Verdict
from verifier.receipt import receipt_cid

TIER: Final = "verified"


def build_record(
    decision: Decision, *, task: CID, parts: Task, rule: Rule, commitments: CID, parents: Iterable[CID] = ()
) -> Record:
    """Return the record of an agreed decision.

    parts: the node of `task`; commitments: the list of the last round; parents: records whose outputs are inputs here.

    Raises:
        VerificationError: the decision is not AGREED: there is no such thing as an unverified record.
    """
    if decision.verdict is not Verdict.AGREED or decision.claim is None:
        raise VerificationError(f"no record of a task that is {decision.verdict.value}")
    return Record(
        tier=TIER,
        task=task,
        function=parts.function,
        input=parts.input,
        output=decision.claim[0],
        rule=rule,
        commitments=commitments,
        receipts=tuple(sorted(receipt_cid(receipt) for receipt in decision.agreeing)),
        dissent=tuple(sorted(receipt_cid(receipt) for receipt in decision.dissenting)),
        parents=tuple(sorted(set(parents))),
    )
