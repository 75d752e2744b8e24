"""A record as the pages show it: its fields, and what each receipt says. Values to values, read from a block store."""

from __future__ import annotations

from typing import Any

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import UnavailableError, UserError, VerificationError
from verifier.model import Receipt, Record, load_node


def record_view(store: BlockStore, cid: CID) -> dict[str, Any]:
    """Return a record, with its receipts, as JSON. Nothing of it is checked but its form.

    Raises:
        UserError: it is no record.
        UnavailableError, VerificationError: its block is not here, or damaged.
    """
    if codec_of(cid) != DAG_CBOR:
        raise UserError("is no record", where=cid_text(cid), fix="look at it as content")
    node = dag_cbor.decode(store.get(cid))
    kind = node.get("v") if isinstance(node, dict) else None
    if kind != "record/1":
        return {"cid": cid_text(cid), "kind": str(kind), "fields": as_json(node), "receipts": []}
    record = load_node(store, cid, Record)
    receipts = [_receipt(store, each, dissents=False) for each in record.receipts]
    receipts += [_receipt(store, each, dissents=True) for each in record.dissent]
    return {"cid": cid_text(cid), "kind": kind, "fields": as_json(node), "receipts": receipts}


def as_json(value: Any) -> Any:
    """Return data with links as `{"/": CID}`, as DAG-JSON has them."""
    if isinstance(value, bytes):
        return {"/": cid_text(CID(value))}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return value


def _receipt(store: BlockStore, cid: CID, *, dissents: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"cid": cid_text(cid), "dissents": dissents}
    try:
        receipt = load_node(store, cid, Receipt)
    except (UnavailableError, VerificationError) as error:
        return {**said, "problem": str(error)}
    engine = receipt.engine
    return {
        **said,
        "node": str(receipt.node),
        "output": cid_text(receipt.output),
        "exit_code": receipt.exit_code,
        "fuel": receipt.fuel,
        "state_digest": receipt.state_digest,
        "engine": f"{engine.name} {engine.version}",
        "arch": engine.arch,
        "isolation": list(engine.isolation),
    }
