"""A task that was verified before: its record in place of a new session, if it meets what is asked for now.

Nothing is taken on the word of an index. The record and its receipts are read and checked, the verdict is made anew of
them by the rule that is asked for now, and the whole output must be here. What does not meet all of that is no answer,
and the task runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from network.embedded import SessionResult
from network.trust_terms import TrustTerms, credibility_reached
from storage.cid import CID
from storage.errors import UnavailableError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold_all
from verifier.compare import claim_of, compare
from verifier.model import Receipt, Record, Rule, Verdict, load_node
from verifier.receipt import check_receipt


def find_known(
    task: CID, rule: Rule, records: Iterable[CID], store: SqliteBlockStore, *, terms: TrustTerms | None = None
) -> SessionResult | None:
    """Return what a session over this task gave before; None if none of the records answers. Held in the store then.

    records: candidates, the best first, whatever they are; rule: asked for now. Its replication says how many nodes to
    ask, not how many must have been: agreement among fewer is enough if the confidence is met. terms: what the answer
    has to reach besides, as if nothing were known of its nodes.
    """
    for record in records:
        found = _answer(task, rule, record, store)
        if found is not None and (terms is None or _reaches(terms, found)):
            return found
    return None


def _reaches(terms: TrustTerms, found: SessionResult) -> bool:
    leading = next(claim_of(one) for one in found.receipts if one not in found.dissent)
    return credibility_reached(terms, found.receipts, leading, {}) >= terms.asked


def _answer(task: CID, rule: Rule, cid: CID, store: SqliteBlockStore) -> SessionResult | None:
    try:
        record = load_node(store, cid, Record)
        receipts = [load_node(store, one, Receipt) for one in (*record.receipts, *record.dissent)]
        for receipt in receipts:
            check_receipt(receipt, task=task)
        decision = compare(receipts, rule)
        if record.task != task or decision.verdict is not Verdict.AGREED or decision.claim is None:
            return None
        if decision.claim[0] != record.output:
            return None
        # What dissents names an output that nobody brought here, so the record is not held with all below it.
        hold_all(store, [task, record.output])
        if not all(map(store.keep, (cid, record.commitments, *record.receipts, *record.dissent, *record.parents))):
            return None
    except (UnavailableError, VerificationError, ValueError):
        # Gone, damaged, or no such thing: the task can still be run.
        return None
    return SessionResult(
        verdict=Verdict.AGREED,
        output=record.output,
        record=cid,
        receipts=tuple(sorted((*decision.agreeing, *decision.dissenting), key=lambda one: one.node.encode())),
        dissent=decision.dissenting,
        same_state=decision.same_state,
        executions=(),
        undetermined=(),
        faults=(),
        cached=True,
    )
