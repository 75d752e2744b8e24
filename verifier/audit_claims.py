"""Checks 7-11 of the audit: commitments, receipts, and the verdict that follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from storage.cid import CID, cid_text
from storage.counting import counted
from storage.errors import BacalhauError, UnavailableError, VerificationError
from verifier.audit_report import Finding, Outcome, examine, examine_each
from verifier.blindness import Blindness, measure_blindness
from verifier.commitment import check_commitment, check_opening
from verifier.compare import Claim, claim_of, compare
from verifier.evidence import Evidence
from verifier.model import Commitment, CommitmentList, PeerId, Receipt, Verdict
from verifier.receipt import check_receipt


def check_commitments(evidence: Evidence) -> Outcome:
    """Check 7: that nodes are distinct is part of the list's strict form."""
    record = evidence.record
    listed = evidence.load(record.commitments, CommitmentList)
    findings = examine_each(lambda commitment: check_commitment(commitment, record.task), listed.commitments)
    if listed.task != record.task:
        findings.append(Finding(wrong=True, text="the commitment list is of another task"))
    return findings, counted(len(listed.commitments), "commitment")


def check_receipts(evidence: Evidence) -> Outcome:
    """Check 8: who says what."""
    record = evidence.record
    cids = (*record.receipts, *record.dissent)
    findings = examine_each(lambda cid: check_receipt(evidence.load(cid, Receipt), record.task), cids)
    findings += examine(_check_distinct, evidence)
    return findings, f"{counted(len(record.receipts), 'receipt')}, {len(record.dissent)} dissenting"


def _check_distinct(evidence: Evidence) -> None:
    cids = (*evidence.record.receipts, *evidence.record.dissent)
    counts = Counter(receipt.node for cid in cids for receipt in evidence.tried(cid, Receipt))
    for node in sorted(node for node, count in counts.items() if count > 1):
        raise VerificationError("has more than one receipt", where=node)


def check_rounds(evidence: Evidence) -> Outcome:
    """Check 9: nobody revealed before the round was closed, nor something else than it committed to."""
    cids = (*evidence.record.receipts, *evidence.record.dissent)
    final = frozenset(evidence.commitments.commitments)
    rounds: dict[CID, _Round | BacalhauError] = {}

    def look(cid: CID) -> None:
        receipt = evidence.need(cid, Receipt)
        if receipt.round not in rounds:  # once for each: all receipts may share a list of thousands
            rounds[receipt.round] = _open_round(evidence, receipt.round, final)
        found = rounds[receipt.round]
        if isinstance(found, BacalhauError):
            raise found
        check_opening(receipt, found.get(receipt.node))

    findings = examine_each(look, cids)
    silent = counted(len(final) - len(cids), "commitment")
    done = f"{counted(len(rounds), 'round')}; {silent} without a receipt here"
    return findings, done if findings else done + _later(blindness_of(evidence))


def _later(found: Blindness) -> str:
    """Say how many nodes of a later round agree: a record that was topped up is to be told from one of one round."""
    if not found.unblind:
        return ""
    return f"; {found.unblind} of {found.agreeing} that agree may have seen earlier receipts"


def blindness_of(evidence: Evidence) -> Blindness:
    """Return how many of those that agree had committed before any receipt of the record was signed.

    Raises:
        UnavailableError: a receipt or a round cannot be had.
    """
    record = evidence.record
    agreeing, dissenting = ([evidence.need(cid, Receipt) for cid in cids] for cids in (record.receipts, record.dissent))
    named = {receipt.round for receipt in (*agreeing, *dissenting)}
    return measure_blindness(agreeing, dissenting, {cid: evidence.need(cid, CommitmentList) for cid in named})


_Round: TypeAlias = Mapping[PeerId, Commitment]


def _open_round(evidence: Evidence, cid: CID, final: frozenset[Commitment]) -> _Round | BacalhauError:
    """Return a round's commitments by node, or what is wrong with it."""
    try:
        listed = evidence.load(cid, CommitmentList)
    except (UnavailableError, VerificationError) as error:
        return error
    if listed.task != evidence.record.task or not final.issuperset(listed.commitments):
        return VerificationError("round is not part of the record's commitment list", where=cid_text(cid))
    return {commitment.node: commitment for commitment in listed.commitments}


def check_rule(evidence: Evidence) -> Outcome:
    """Check 10: the verdict follows from the receipts."""
    record = evidence.record
    shares = f"{len(record.receipts)} of {len(record.receipts) + len(record.dissent)} agree"
    return examine(_check_decision, evidence), f"{shares}; the rule asks for {record.rule.confidence}"


def _check_decision(evidence: Evidence) -> None:
    record = evidence.record
    try:
        decision = compare(evidence.receipts(), record.rule)
    except ValueError as error:
        raise VerificationError(str(error)) from error
    if decision.verdict is not Verdict.AGREED or decision.claim is None:
        raise VerificationError(f"the receipts are {decision.verdict.value} under the record's rule")
    if decision.claim[0] != record.output:
        raise VerificationError("the receipts agree on another output", where=cid_text(decision.claim[0]))
    if set(decision.agreeing) != {evidence.need(cid, Receipt) for cid in record.receipts}:
        raise VerificationError("the record's receipts are not those that agree")


def check_dissent(evidence: Evidence) -> Outcome:
    """Check 11: what is listed as dissent dissents."""
    record = evidence.record
    claims: set[Claim] = set()
    findings = examine_each(lambda cid: claims.add(claim_of(evidence.need(cid, Receipt))), record.receipts)

    def look(cid: CID) -> None:
        if claim_of(evidence.need(cid, Receipt)) in claims:
            raise VerificationError("is listed as dissent and claims the same", where=cid_text(cid))

    return findings + examine_each(look, record.dissent), counted(len(record.dissent), "dissenting receipt")
