"""How many of the receipts of a record are blind: committed to before any of its receipts was signed.

A receipt names the list of its round, and a list holds commitments that were there before it closed. So a node whose
commitment is in the round of *every* receipt had fixed its answer before there was any to copy. A node of a later round
(after a split, or where a known record was topped up) may have seen those of an earlier one. Which it did, nothing
tells; and what nodes tell one another without a receipt, nothing shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from storage.blocks import BlockStore
from storage.cid import CID
from verifier.claim_types import CommitmentList, Receipt
from verifier.model import load_node
from verifier.peer_id import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Blindness:
    """How many of the nodes that agree had nothing to copy from."""

    blind: int
    agreeing: int

    @property
    def unblind(self) -> int:
        """How many may have seen earlier receipts."""
        return self.agreeing - self.blind


def measure_blindness(
    agreeing: Iterable[Receipt], dissenting: Iterable[Receipt], rounds: Mapping[CID, CommitmentList]
) -> Blindness:
    """Return how many of those that agree are blind; rounds: the lists that all of them name, by CID."""
    found = tuple(agreeing)
    blind = blind_nodes((*found, *dissenting), rounds)
    return Blindness(blind=sum(receipt.node in blind for receipt in found), agreeing=len(found))


def blind_nodes(receipts: Iterable[Receipt], rounds: Mapping[CID, CommitmentList]) -> frozenset[PeerId]:
    """Return the nodes that had committed before any of these receipts was signed.

    receipts: all of a record, those that dissent included; rounds: the lists that they name, by CID.
    """
    found = tuple(receipts)
    blind = frozenset(receipt.node for receipt in found)
    for named in {receipt.round for receipt in found}:
        blind &= {commitment.node for commitment in rounds[named].commitments}
    return blind


def load_rounds(receipts: Iterable[Receipt], store: BlockStore) -> dict[CID, CommitmentList]:
    """Return the lists that receipts name.

    Raises:
        UnavailableError: one is not here. VerificationError: one is no list.
    """
    return {named: load_node(store, named, CommitmentList) for named in {receipt.round for receipt in receipts}}
