"""From what a person names to one side of a comparison: its output, its task, and what gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bacalhau.targets import find_target, split_content
from network.job_store import JobStore
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of, is_cid_text, parse_cid
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import Receipt, Record, load_node


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One side."""

    kind: str
    """`receipt`, `record`, `job` or `output`."""
    output: CID | None
    task: CID | None
    """None: nobody here says what it came of."""
    host: str
    """JavaScript engine that gave it, empty if that is not known."""
    exit_code: int | None = None
    state_digest: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry `a` or `b` of the report."""
        return {
            "kind": self.kind,
            "output": cid_text(self.output) if self.output else None,
            "task": cid_text(self.task) if self.task else None,
            "engine": self.host or None,
            "exit_code": self.exit_code,
            "state_digest": self.state_digest,
        }


def find_side(text: str, store: BlockStore, jobs: JobStore) -> Named:
    """Return what a text names: the CID of a receipt, a record or an output (with a path), or a job.

    Raises:
        UserError: it names nothing that can be compared.
        UnavailableError, VerificationError: its block is not here, or is malformed.
    """
    head, slash, _ = text.partition("/")
    if slash and is_cid_text(head):
        cid, path = split_content(text)
        return Named(kind="output", output=UnixfsReader(store).resolve(cid, path), task=None, host="")
    if is_cid_text(text) and codec_of(parse_cid(text)) == DAG_CBOR:
        found = _of_node(parse_cid(text), store)
        if found is not None:
            return found
    target = find_target(text, jobs)
    job = target.job
    if target.record is not None and store.has(target.record):
        record = _of_node(target.record, store)
        if record is not None:
            kind = "output" if target.output is not None and is_cid_text(text) else "job"
            return Named(**{**_fields(record), "kind": kind})
    output = target.find_output(store)
    if output is None:
        fix = (
            "name two of its receipts by their CIDs"
            if job is not None
            else "name a receipt, a record, an output or a job"
        )
        raise UserError("has no output to compare", where=text, fix=fix)
    return Named(kind="job" if job is not None else "output", output=output, task=target.task, host="")


def _fields(named: Named) -> dict[str, Any]:
    return {name: getattr(named, name) for name in ("kind", "output", "task", "host", "exit_code", "state_digest")}


def _of_node(cid: CID, store: BlockStore) -> Named | None:
    """Return the side for a receipt or a record; None if the block is another thing."""
    if not store.has(cid):
        raise UnavailableError("is not here", where=cid_text(cid), fix="fetch it, or import its CAR file")
    try:
        return _of_receipt(load_node(store, cid, Receipt), "receipt")
    except VerificationError:
        pass
    try:
        record = load_node(store, cid, Record)
    except VerificationError:
        return None
    receipts = [load_node(store, one, Receipt) for one in record.receipts if store.has(one)]
    if receipts:
        return _of_receipt(receipts[0], "record")
    return Named(kind="record", output=record.output, task=record.task, host="")


def _of_receipt(receipt: Receipt, kind: str) -> Named:
    return Named(
        kind=kind,
        output=receipt.output,
        task=receipt.task,
        host=receipt.engine.name.rpartition("-")[2],
        exit_code=receipt.exit_code,
        state_digest=receipt.state_digest,
    )
