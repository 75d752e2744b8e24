"""The output of a job whose node keeps its blocks elsewhere: brought here as a proof, checked, and laid out."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bacalhau.layout import check_target, lay_out
from bacalhau.proof import open_proof
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, VerificationError
from verifier.model import Record, load_node

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient


def lay_out_from_node(node: NodeClient, job: str, record: CID, target: Path) -> CID:
    """Write a job's output to `target` like `get`, and return the output's CID.

    Raises:
        UserError: the target is there, or its parent is not.
        UnavailableError: the node does not give all of it.
        VerificationError: it gives another record.
    """
    check_target(target)
    with TemporaryDirectory(prefix=".bacalhau-get-", dir=target.parent) as folder:
        car = Path(folder) / "proof.car"
        with car.open("xb") as stream:
            node.save_results(job, stream)
        with open_proof(car) as proof:
            if proof.damage:
                raise UnavailableError(f"gave a proof that is damaged ({proof.damage})", where=node.name)
            if proof.roots != (record,):
                raise VerificationError("gave the proof of another record", where=f"{node.name}: {cid_text(record)}")
            output = load_node(proof.store, record, Record).output
            lay_out(proof.store, output, record, target)
    return output
