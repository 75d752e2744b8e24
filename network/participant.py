"""A node's side of commit and reveal: it reveals once, and only for a closed list that holds its own commitment.

Values in, values out; the nonce comes from the caller, who must draw it fresh for every execution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from runtime.engine import Execution
from storage import dag_cbor
from storage.cid import CID
from storage.errors import PeerError, VerificationError
from verifier.commitment import check_round, commitment_of, list_cid, sign_commitment
from verifier.identity import Identity
from verifier.model import Commitment, CommitmentList, Receipt
from verifier.receipt import sign_receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A node that has executed a task and committed to its output."""

    identity: Identity
    execution: Execution
    nonce: str
    """32 random bytes as hex; secret until the reveal."""
    commitment: Commitment
    revealed: Receipt | None = None

    @classmethod
    def commit(cls, identity: Identity, execution: Execution, nonce: str) -> Self:
        """Return the participant whose `commitment` is to be sent now."""
        commitment = sign_commitment(
            identity,
            task=execution.task,
            nonce=nonce,
            output=execution.output,
            state_digest=execution.state_digest,
        )
        return cls(identity=identity, execution=execution, nonce=nonce, commitment=commitment)

    def reveal(self, commitments: CommitmentList, requester: str) -> tuple[Self, Receipt]:
        """Return the participant after its reveal, and the receipt to send; the same list gives the same receipt.

        requester: name of the other end, for the error.

        Raises:
            PeerError: the list is forged, lacks this node's commitment, or is the second of its kind.
        """
        cid = list_cid(commitments)
        if self.revealed is not None:
            if self.revealed.round == cid:
                return self, self.revealed
            raise _broken("asked for a second reveal with another list", requester, commitments)
        self._check_list(commitments, requester)
        receipt = self._sign(cid)
        return replace(self, revealed=receipt), receipt

    def _check_list(self, commitments: CommitmentList, requester: str) -> None:
        try:
            check_round(commitments, self.execution.task)
        except VerificationError as error:
            raise _broken(f"published a forged list ({error})", requester, commitments) from error
        if commitment_of(commitments, self.identity.peer) != self.commitment:
            raise _broken("published a list without our commitment", requester, commitments)

    def _sign(self, round_cid: CID) -> Receipt:
        done = self.execution
        return sign_receipt(
            self.identity,
            task=done.task,
            output=done.output,
            exit_code=done.exit_code,
            fuel=done.fuel,
            state_digest=done.state_digest,
            engine=done.engine,
            nonce=self.nonce,
            round=round_cid,
        )


def _broken(problem: str, requester: str, commitments: CommitmentList) -> PeerError:
    return PeerError(problem, peer=requester, evidence=(dag_cbor.encode(commitments.to_node()),))
