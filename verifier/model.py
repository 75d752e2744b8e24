"""The nouns of the flow as frozen types: what a task is, what a node says about it, what was made of that.

This is the data model of docs/record.ipldsch; the types are in `task_types` and `claim_types`, and imported from here.
Each type with a `VERSION` is one DAG-CBOR block whose first key is `v`, so that every hashed or signed preimage starts
with its type and version. Types are checked when made (`ModelError`) and when read (`VerificationError`). A published
version is never edited: a change of meaning is a new version.
"""

from __future__ import annotations

from typing import TypeVar

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of, make_cid
from storage.errors import UserError, VerificationError
from verifier.claim_types import Commitment, CommitmentList, EngineInfo, Receipt, Record, Rule, Verdict
from verifier.peer_id import PeerId
from verifier.schema import ModelError, Schema
from verifier.task_types import (
    Function,
    Input,
    Limits,
    Lock,
    OutputMount,
    Runtime,
    RuntimeFile,
    Task,
    Volume,
    Wheel,
)

__all__ = [
    "CID", "Commitment", "CommitmentList", "EngineInfo", "Function", "Input", "Limits", "Lock", "ModelError",
    "OutputMount", "PeerId", "Receipt", "Record", "Rule", "Runtime", "RuntimeFile", "Task", "Verdict", "Volume",
    "Wheel", "load_node", "node_cid", "store_node", "version_of",
]  # fmt: skip

T = TypeVar("T", bound=Schema)


def store_node(store: BlockStore, thing: Schema) -> CID:
    """Keep a thing of the model as one block and return its CID.

    Raises:
        UserError: it is larger than a block may be (2 MiB), by arguments or environment.
    """
    data = dag_cbor.encode(thing.to_node())
    if len(data) > dag_cbor.MAX_NODE_BYTES:
        raise UserError("is larger than 2 MiB", where=thing.VERSION, fix="pass large values as data, not as arguments")
    cid = make_cid(DAG_CBOR, data)
    store.put(cid, data)
    return cid


def node_cid(thing: Schema) -> CID:
    """Return the CID of a thing's block."""
    return make_cid(DAG_CBOR, dag_cbor.encode(thing.to_node()))


def load_node(store: BlockStore, cid: CID, kind: type[T]) -> T:
    """Read a thing of the model from its block.

    Raises:
        UnavailableError: the block is not here.
        VerificationError: it does not match its CID, is not canonical, or is not of this type.
    """
    if codec_of(cid) != DAG_CBOR:
        raise VerificationError(f"is not a {kind.VERSION} node", where=cid_text(cid))
    data = store.get(cid)
    try:
        return kind.from_node(dag_cbor.decode(data))
    except VerificationError as error:
        raise VerificationError(error.problem, where=f"{cid_text(cid)} {error.where}".strip()) from error


def version_of(store: BlockStore, cid: CID) -> str | None:
    """Return what a block says that it is, type and version; None if it is no sound node, or says nothing.

    Raises:
        UnavailableError: it is not here.
    """
    if codec_of(cid) != DAG_CBOR:
        return None
    try:
        node = dag_cbor.decode(store.get(cid))
    except VerificationError:
        return None
    version = node.get("v") if isinstance(node, dict) else None
    return version if isinstance(version, str) else None
