"""The shards of a job whose node keeps its rows and blocks elsewhere: read from it, checked, and laid out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bacalhau.layout import check_target
from bacalhau.merge_statement import records_by_shard
from bacalhau.proof import open_proof
from bacalhau.shard_layout import LaidOut, lay_out_shards
from network.job_shards import MAX_FIRST_CHARACTERS, MAX_REASON_CHARACTERS, JobShard
from network.job_store import Job, JobStore
from storage.blocks import BlockStore
from storage.cid import CID, cid_text, parse_cid
from storage.errors import UnavailableError, UserError, VerificationError
from verifier.merge_types import store_merge
from verifier.shard_merge import merge_shards

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient


def rows_from_node(node: NodeClient, job: str) -> Iterator[JobShard]:
    """Yield the rows of a job's shards, as a node lists them.

    Raises:
        UnavailableError: it lists something else.
        BacalhauError: as `NodeClient`.
    """
    for entry in node.shards(job):
        try:
            yield _row(entry)
        except (KeyError, TypeError, ValueError, UserError) as error:
            raise UnavailableError("lists what is no shard", where=node.name, fix="is it of this version?") from error


def check_said(report: Mapping[str, Any], rows: Sequence[JobShard], store: BlockStore, name: str) -> None:
    """Refuse a report whose output, or statement of it, is not what its shards give; merged here, in `store`, again.

    name: the node's. One that says no statement is of a release before there were any.

    Raises:
        VerificationError: it says another. UnavailableError: not all that is merged is here.
    """
    outputs = {row.number: row.output for row in rows if row.output is not None}
    merged = merge_shards(store, outputs).output if outputs else None
    if merged != _cid(report["output"]):
        raise VerificationError("says another output than the shards give", where=f"{name}: {report['output']}")
    said = report.get("merge")
    if said is None:
        return
    made = None if merged is None else cid_text(store_merge(store, merged, records_by_shard(rows)))
    if said != made:
        raise VerificationError("states another merge than that of the shards' records", where=f"{name}: {said}")


def lay_out_shards_from_node(node: NodeClient, report: Mapping[str, Any], target: Path) -> LaidOut:
    """Write what a job over shards gave to `target` like `get`: its output is merged here again.

    Raises:
        UserError: the target is there, or its parent is not.
        UnavailableError: the node does not give all of it.
        VerificationError: it gives something else than the job's output.
    """
    check_target(target)
    with TemporaryDirectory(prefix=".bacalhau-get-", dir=target.parent) as folder:
        car = Path(folder) / "proof.car"
        with car.open("xb") as stream:
            node.save_results(report["job"], stream)
        with open_proof(car) as proof, JobStore(Path(folder) / "jobs.sqlite") as jobs:
            if proof.damage:
                raise UnavailableError(f"gave a proof that is damaged ({proof.damage})", where=node.name)
            job = job_from_node(report, tuple(rows_from_node(node, report["job"])))
            check_said(report, job.shards, proof.store, node.name)
            jobs.add(job)
            return lay_out_shards(proof.store, jobs, job, target)


def job_from_node(report: Mapping[str, Any], rows: tuple[JobShard, ...] = ()) -> Job:
    """Return the row of a job that ended on a node elsewhere; rows: of its shards, none if it is one task."""
    return Job(
        id=report["job"],
        created_at=datetime.fromisoformat(report["created_at"]).timestamp(),
        labels=(),
        task=_cid(report["task"]),
        function=parse_cid(report["function"]),
        input=parse_cid(report["input"]),
        output=_cid(report["output"]),
        record=_cid(report["record"]),
        verdict=report["verdict"],
        tier=report["tier"],
        exit_code=report["exit_code"],
        report=dict(report),
        shards=rows,
    )


def _row(entry: Mapping[str, Any]) -> JobShard:
    return JobShard(
        number=int(entry["index"]),
        task=parse_cid(entry["task"]),
        output=_cid(entry["output"]),
        record=_cid(entry["record"]),
        verdict=str(entry["verdict"]),
        exit_code=entry["exit_code"],
        first=str(entry["first"])[:MAX_FIRST_CHARACTERS],
        picks=int(entry["picks"]),
        input=_cid(entry["input"]),
        fuel=entry["fuel"],
        receipts=int(entry["receipts"]),
        reason=str(entry["reason"] or "")[:MAX_REASON_CHARACTERS],
    )


def _cid(text: str | None) -> CID | None:
    return None if text is None else parse_cid(text)
