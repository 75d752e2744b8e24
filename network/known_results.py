"""A task that was verified before: its record in place of a new session, if it meets what is asked for now.

Nothing is taken on the word of an index. The record and its receipts are read and checked, the verdict is made anew of
them by the rule that is asked for now, and the whole output must be here. What does not meet all of that is no answer,
and the task runs: only as often as is missing, if the evidence of the record is sound (`find_prior`). Where records of
the task contradict each other, none of them is an answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from network.embedded import SessionResult
from network.session_state import Prior
from network.trust_terms import TrustTerms, credibility_reached
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold_all
from verifier.audit_claims import check_commitments, check_dissent, check_receipts, check_rounds, check_rule
from verifier.compare import claim_of, compare
from verifier.evidence import Evidence
from verifier.graph_reading import read_facts
from verifier.model import Receipt, Record, Rule, Verdict, load_node, store_node
from verifier.receipt import check_receipt

_CHECKS: Final = (check_commitments, check_receipts, check_rounds, check_rule, check_dissent)


def find_known(
    task: CID, rule: Rule, records: Iterable[CID], store: SqliteBlockStore, *, terms: TrustTerms | None = None
) -> SessionResult | None:
    """Return what a session over this task gave before; None if none of the records answers. Held in the store then.

    records: candidates, the best first, whatever they are; rule: asked for now. Its replication says how many nodes to
    ask, not how many must have been: agreement among fewer is enough if the confidence is met. terms: what the answer
    has to reach besides, as if nothing were known of its nodes.
    """
    candidates = tuple(records)
    if len(candidates) > 1 and len(outputs_of(task, candidates, store)) > 1:
        return None
    for record in candidates:
        found = _answer(task, rule, record, store)
        if found is not None and (terms is None or _reaches(terms, found)):
            return found
    return None


def _reaches(terms: TrustTerms, found: SessionResult) -> bool:
    leading = next(claim_of(one) for one in found.receipts if one not in found.dissent)
    return credibility_reached(terms, found.receipts, leading, {}) >= terms.asked


def find_prior(
    task: CID, records: Iterable[CID], store: SqliteBlockStore, *, usable: Collection[CID] | None = None
) -> Prior | None:
    """Return the best evidence that records of this task have, to be added to; None if none of them is sound.

    Unlike an answer, this becomes part of a new record, so all that an audit looks at in it is checked (7 to 11).
    usable: those of the records that may be added to, None for all; the others contradict and give nothing.
    """
    candidates = tuple(records)
    if len(outputs_of(task, candidates, store)) > 1:
        return None
    chosen = candidates if usable is None else [record for record in candidates if record in usable]
    found = [prior for record in chosen if (prior := _evidence(task, record, store)) is not None]
    return max(found, key=lambda prior: len(prior.receipts), default=None)


def outputs_of(task: CID, records: Iterable[CID], store: BlockStore) -> dict[CID, CID]:
    """Return the outputs that records of a task name, each with the first of its records; unreadable ones say none."""
    found: dict[CID, CID] = {}
    for cid in records:
        with suppress(UnavailableError, VerificationError):
            record = load_node(store, cid, Record)
            if record.task == task:
                found.setdefault(record.output, cid)
    return found


def _evidence(task: CID, cid: CID, store: SqliteBlockStore) -> Prior | None:
    evidence = Evidence(store=store, cid=cid)
    try:
        record = evidence.load(cid, Record)
        outcomes = [check(evidence) for check in _CHECKS] if record.task == task else []
        if not outcomes or any(findings for findings, _ in outcomes):
            return None
        hold_all(store, [task, record.output])
        receipts = evidence.receipts()
        lists = {record.commitments, *(receipt.round for receipt in receipts)}
        if not all(map(store.keep, (*lists, *record.receipts, *record.dissent))):
            return None
        for parent in record.parents:  # one that is gone is named all the same: what it was stays unknown
            store.keep(parent)
        commitments, parents = evidence.commitments, record.parents
        return Prior(record=cid, commitments=commitments, receipts=tuple(receipts), parents=parents)
    except (UnavailableError, VerificationError, ValueError):
        return None


def with_parents(record: CID, parents: Iterable[CID], store: BlockStore) -> CID:
    """Return a record like this one that also names these parents, unless one that it names gave the same outputs.

    The same evidence under one more CID: what its inputs come of may have become known since.

    Raises:
        UnavailableError, VerificationError: it cannot be read or kept.
    """
    old = load_node(store, record, Record)
    given = {read_facts(store, one).output for one in old.parents if store.has(one)}
    new = [one for one in parents if one not in old.parents and read_facts(store, one).output not in given]
    if not new:
        return record
    return store_node(store, replace(old, parents=tuple(sorted({*old.parents, *new}))))


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
        from_before=len(receipts),
    )
