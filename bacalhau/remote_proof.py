"""What a node elsewhere says of a job, audited here, and then taken into the store of this home with its output.

Nothing that was not checked gets into the store: blocks are those of the proof of a record that is valid, of the task
that was asked for, agreed by the rule that was asked for, and naming what its inputs are known here to come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from bacalhau.proof import open_proof, proof_blocks
from storage.blocks import BlockStore
from storage.cid import CID, cid_text, parse_cid
from storage.counting import counted
from storage.errors import UnavailableError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from verifier.audit import audit_record
from verifier.compare import compare
from verifier.graph_reading import read_facts
from verifier.model import Receipt, Record, Rule, Verdict, load_node

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient

_BLOCKS_PER_PUT: Final = 64
"""16 MiB of leaves in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a node says came of one task."""

    task: CID
    """That was asked for here."""
    record: CID
    output: CID
    exit_code: int
    rule: Rule
    """That was asked for, whatever the record says."""
    parents: tuple[CID, ...]
    """Records, here, that the task's inputs come from."""

    @staticmethod
    def of(said: Mapping[str, Any], task: CID, rule: Rule, parents: Sequence[CID], where: str) -> Claimed:
        """Read it from a report, or from an entry of a shard in one.

        Raises:
            UnavailableError: it says something else.
        """
        try:
            return Claimed(
                task=task,
                record=parse_cid(said["record"]),
                output=parse_cid(said["output"]),
                exit_code=int(said["exit_code"]),
                rule=rule,
                parents=tuple(parents),
            )
        except (KeyError, TypeError, ValueError, UserError) as error:
            raise UnavailableError("says what is no result", where=where, fix="is it of this version?") from error


def take_proof(node: NodeClient, job: str, claims: Sequence[Claimed], store: SqliteBlockStore, cache_dir: Path) -> None:
    """Fetch the proof of a job into `cache_dir`, check every claim by it, and keep records and outputs in the store.

    Raises:
        UnavailableError: the node does not give all of it, or something of it could not be checked.
        VerificationError: a claim is false.
    """
    with _fetched(node, job, cache_dir) as proof:
        for claim in claims:
            _check(claim, proof, store, node.name)
        blocks = proof_blocks(proof, *(claim.record for claim in claims))
        # What this process puts no collection takes as long as it lives.
        while batch := list(islice(blocks, _BLOCKS_PER_PUT)):
            store.put_many(batch)


@contextmanager
def _fetched(node: NodeClient, job: str, folder: Path) -> Iterator[BlockStore]:
    """Give the blocks of a job's proof, and nothing else. folder: where there is room; what a kill leaves may go."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="proof-", dir=folder) as place:
        car = Path(place) / "proof.car"
        with car.open("xb") as stream:
            node.save_results(job, stream)
        with open_proof(car) as proof:
            if proof.damage:
                raise UnavailableError(f"gave a proof that is damaged ({proof.damage})", where=node.name)
            yield proof.store


def _check(claim: Claimed, proof: BlockStore, store: BlockStore, where: str) -> None:
    name = f"{where}: {cid_text(claim.record)}"
    record = load_node(proof, claim.record, Record)
    if record.task != claim.task:
        raise VerificationError("gave the record of another task", where=name)
    if record.output != claim.output:
        raise VerificationError("gave the record of another output", where=name)
    report = audit_record(proof, claim.record)
    if report.verdict != "valid":
        family = VerificationError if report.verdict == "invalid" else UnavailableError
        raise family(f"gave a record that is {report.verdict}: {report.reason}", where=name)
    receipts = [load_node(proof, receipt, Receipt) for receipt in record.receipts]
    if {receipt.exit_code for receipt in receipts} != {claim.exit_code}:
        raise VerificationError(f"says exit code {claim.exit_code}, and the receipts do not", where=name)
    if len(receipts) < claim.rule.confidence:
        problem = f"gave a record with {counted(len(receipts), 'receipt')}, and {claim.rule.confidence} were asked for"
        raise VerificationError(problem, where=name)
    # The audit held them to the rule that the record states, and that is the node's word.
    dissent = [load_node(proof, receipt, Receipt) for receipt in record.dissent]
    if compare([*receipts, *dissent], claim.rule).verdict is not Verdict.AGREED:
        raise VerificationError("gave a record that is not agreed by the rule that was asked for", where=name)
    _check_parents(claim.parents, record, proof, store, name)


def _check_parents(parents: Sequence[CID], record: Record, proof: BlockStore, store: BlockStore, name: str) -> None:
    """Refuse a record that leaves out what its inputs come from: taint would end there.

    A node may name another record that gave the same (`network.known_results.with_parents`).
    """
    missing = [parent for parent in parents if parent not in record.parents]
    given = {read_facts(proof, one).output for one in record.parents if proof.has(one)} if missing else set()
    for parent in missing:
        if read_facts(store, parent).output not in given:
            problem = f"gave a record that does not name {cid_text(parent)}, from which an input comes"
            raise VerificationError(problem, where=name)
