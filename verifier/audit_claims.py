"""Checks 7-11 of the audit: commitments, receipts, and the verdict that follows from them."""

from __future__ import annotations

from storage.cid import CID, cid_text
from storage.errors import VerificationError
from verifier.audit_report import Finding, Outcome, examine, examine_each
from verifier.commitment import check_commitment, check_reveal
from verifier.compare import claim_of, compare
from verifier.evidence import Evidence
from verifier.model import CommitmentList, Receipt, Verdict
from verifier.receipt import check_receipt


def check_commitments(evidence: Evidence) -> Outcome:
    """Check 7: that nodes are distinct is part of the list's strict form."""
    record = evidence.record
    listed = evidence.load(record.commitments, CommitmentList)
    findings = examine_each(lambda commitment: check_commitment(commitment, record.task), listed.commitments)
    if listed.task != record.task:
        findings.append(Finding(wrong=True, text="the commitment list is of another task"))
    return findings, f"{len(listed.commitments)} commitments"


def check_receipts(evidence: Evidence) -> Outcome:
    """Check 8: who says what."""
    record = evidence.record
    cids = (*record.receipts, *record.dissent)
    findings = examine_each(lambda cid: check_receipt(evidence.load(cid, Receipt), record.task), cids)
    findings += examine(_check_distinct, evidence)
    return findings, f"{len(record.receipts)} receipts, {len(record.dissent)} dissenting"


def _check_distinct(evidence: Evidence) -> None:
    nodes = [receipt.node for receipt in evidence.receipts()]
    for node in sorted({node for node in nodes if nodes.count(node) > 1}):
        raise VerificationError("has more than one receipt", where=node)


def check_rounds(evidence: Evidence) -> Outcome:
    """Check 9: nobody revealed before the round was closed, nor something else than it committed to."""
    record, final = evidence.record, set(evidence.commitments.commitments)

    def look(cid: CID) -> None:
        receipt = evidence.need(cid, Receipt)
        listed = evidence.load(receipt.round, CommitmentList)
        if listed.task != record.task or not set(listed.commitments) <= final:
            raise VerificationError("round is not part of the record's commitment list", where=cid_text(receipt.round))
        check_reveal(receipt, listed)

    cids = (*record.receipts, *record.dissent)
    rounds = {receipt.round for receipt in evidence.receipts()} if not examine(evidence.receipts) else ()
    muted = len(final) - len(cids)
    return examine_each(look, cids), f"{len(rounds)} rounds; {muted} commitments without a receipt here"


def check_rule(evidence: Evidence) -> Outcome:
    """Check 10: the verdict follows from the receipts."""
    record = evidence.record
    examined = examine(_check_decision, evidence)
    return examined, f"{len(record.receipts)} of {len(record.receipts) + len(record.dissent)} agree"


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
    claims = {claim_of(evidence.need(cid, Receipt)) for cid in record.receipts}

    def look(cid: CID) -> None:
        if claim_of(evidence.need(cid, Receipt)) in claims:
            raise VerificationError("is listed as dissent and claims the same", where=cid_text(cid))

    return examine_each(look, record.dissent), f"{len(record.dissent)} dissenting receipts"
