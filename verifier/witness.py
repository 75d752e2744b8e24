"""From a record to what it says of its nodes, checked: nothing is believed that its signatures do not show.

Checks, as the audit has them (docs/audit.md): the record, its list and its receipts are whole and of one task; every
receipt is signed by its node and opens that node's commitment in the list; by the rule of the record the receipts agree
on its output, on the side that it says. Not looked at: the task's inputs and the output's bytes, which say nothing of
nodes. What no record shows is who chose the nodes, and so whether they are one person's.
"""

from __future__ import annotations

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import VerificationError
from verifier.commitment import check_opening, check_round, commitment_of
from verifier.compare import compare
from verifier.credibility import Witness
from verifier.model import CommitmentList, Receipt, Record, Verdict, load_node
from verifier.receipt import check_receipt


def witness_of(record_cid: CID, store: BlockStore) -> Witness:
    """Return who agreed and who dissented by a record.

    Raises:
        UnavailableError: the record, its list or a receipt is not here.
        VerificationError: it does not show what it says.
    """
    record = load_node(store, record_cid, Record)
    commitments = load_node(store, record.commitments, CommitmentList)
    check_round(commitments, record.task)
    receipts = {cid: load_node(store, cid, Receipt) for cid in (*record.receipts, *record.dissent)}
    for receipt in receipts.values():
        check_receipt(receipt, record.task)
        check_opening(receipt, commitment_of(commitments, receipt.node))
    try:
        decision = compare(receipts.values(), record.rule)
    except ValueError as error:
        raise VerificationError(str(error), where=cid_text(record_cid)) from error
    agreeing = {receipts[cid] for cid in record.receipts}
    if decision.verdict is not Verdict.AGREED or set(decision.agreeing) != agreeing:
        raise VerificationError("its receipts do not agree as it says", where=cid_text(record_cid))
    if decision.claim is None or decision.claim[0] != record.output:
        raise VerificationError("its receipts agree on another output", where=cid_text(record_cid))
    return Witness(
        task=record.task,
        agreeing=frozenset(receipt.node for receipt in decision.agreeing),
        dissenting=frozenset(receipt.node for receipt in decision.dissenting),
    )
