"""What a record says of its place in the graph, whatever kind of record it is.

`record/1` is read strictly. A block of another kind that has the keys of a record counts as one of the unverified tier,
whatever it says of itself: what is not known to be verified never is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import VerificationError
from verifier.bounds import MAX_NODES
from verifier.model import Record, load_node

VERIFIED: Final = "verified"
UNVERIFIED: Final = "unverified"
UNVERIFIED_RECORD: Final = "unverified-record/1"
_KEYS: Final = ("task", "function", "input", "output")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts:
    """A record's place in the graph."""

    cid: CID
    tier: str
    """`verified` (a `record/1`) or `unverified` (anything else)."""
    task: CID
    function: CID
    input: CID
    output: CID
    receipts: int
    dissent: int
    parents: tuple[CID, ...]

    @property
    def is_verified(self) -> bool:
        """Tell whether it claims to be verified; whether that is so, an audit says."""
        return self.tier == VERIFIED


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


def read_facts(store: BlockStore, cid: CID) -> RecordFacts:
    """Read a record's block.

    Raises:
        UnavailableError: it is not here.
        VerificationError: it is damaged, or no record.
    """
    if codec_of(cid) != DAG_CBOR:
        raise VerificationError("is no record", where=cid_text(cid))
    node = dag_cbor.decode(store.get(cid))
    if isinstance(node, dict) and node.get("v") == Record.VERSION:
        record = load_node(store, cid, Record)
        return RecordFacts(
            cid=cid,
            tier=VERIFIED,
            task=record.task,
            function=record.function,
            input=record.input,
            output=record.output,
            receipts=len(record.receipts),
            dissent=len(record.dissent),
            parents=record.parents,
        )
    return _unverified(cid, node)


def _unverified(cid: CID, node: Any) -> RecordFacts:
    is_record = isinstance(node, dict) and isinstance(node.get("v"), str) and "record/" in node["v"]
    parents = node.get("parents") if is_record else None
    # In decoded DAG-CBOR bytes are links and nothing else.
    if not is_record or not isinstance(parents, list) or not all(type(node.get(key)) is bytes for key in _KEYS):
        raise VerificationError("is no record", where=cid_text(cid))
    if node["v"] == UNVERIFIED_RECORD and node.get("tier") != UNVERIFIED:
        raise VerificationError("its tier is not 'unverified'", where=cid_text(cid))
    if len(parents) > MAX_NODES or not all(type(parent) is bytes for parent in parents):
        raise VerificationError("its parents are no list of at most 4096 links", where=cid_text(cid))
    task, function, given, output = (CID(node[key]) for key in _KEYS)
    return RecordFacts(
        cid=cid,
        tier=UNVERIFIED,
        task=task,
        function=function,
        input=given,
        output=output,
        receipts=0,
        dissent=0,
        parents=tuple(CID(parent) for parent in parents),
    )
