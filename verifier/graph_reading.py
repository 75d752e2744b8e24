"""What a record says of its place in the graph, whatever kind of record it is.

`record/1` is read strictly. Of an `unverified-record/1` only its place is read; that it is sound is not claimed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import VerificationError
from verifier.ancestry import Ancestor, load_ancestor
from verifier.model import Record, load_node

VERIFIED: Final = "verified"
UNVERIFIED: Final = "unverified"
_KEYS: Final = ("task", "function", "input")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts:
    """A record's place in the graph."""

    cid: CID
    tier: str
    """`verified` (a `record/1`) or `unverified`."""
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


def read_facts(store: BlockStore, cid: CID) -> RecordFacts:
    """Read a record's block.

    Raises:
        UnavailableError: it is not here.
        VerificationError: it is damaged, or no record.
    """
    if codec_of(cid) != DAG_CBOR:
        raise VerificationError("is no record", where=cid_text(cid))
    data = store.get(cid)
    try:
        node = dag_cbor.decode(data)
    except VerificationError as error:
        raise VerificationError(error.problem, where=cid_text(cid)) from error
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
    return _unverified(cid, node, load_ancestor(store, cid))


def _unverified(cid: CID, node: Any, found: Ancestor) -> RecordFacts:
    # In decoded DAG-CBOR bytes are links and nothing else.
    links = [node.get(key) for key in _KEYS]
    if not all(type(link) is bytes for link in links):
        raise VerificationError("lacks its task, function or input", where=cid_text(cid))
    task, function, given = map(CID, links)
    return RecordFacts(
        cid=cid,
        tier=UNVERIFIED,
        task=task,
        function=function,
        input=given,
        output=found.output,
        receipts=0,
        dissent=0,
        parents=found.parents,
    )
