"""The records of a home as a graph to draw: which came of which, what is tainted, disputed, or not here.

Parents are read from the records themselves; nothing is believed of a record but its form, an audit checks it. Pure
but for the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, VerificationError
from verifier.graph_reading import RecordFacts, read_facts

MAX_NODES: Final = 10_000


def graph_view(store: BlockStore, records: Iterable[CID], *, limit: int = MAX_NODES) -> dict[str, Any]:
    """Return nodes and edges: records, and the records that they came of, as far as they are here.

    records: where to begin, the most wanted first; limit: of nodes.
    """
    nodes: dict[CID, RecordFacts | None] = {}
    todo = deque(records)
    while todo and len(nodes) < limit:
        cid = todo.popleft()
        if cid not in nodes:
            nodes[cid] = _read(store, cid)
            found = nodes[cid]
            todo.extend(found.parents if found is not None else ())
    is_cut = any(cid not in nodes for cid in todo)
    tainted = _below(nodes, {cid for cid, node in nodes.items() if node is not None and not node.is_verified})
    unknown = _below(nodes, {cid for cid, node in nodes.items() if node is None or not nodes.keys() >= {*node.parents}})
    disputed = _below(nodes, _disputed(nodes))
    return {
        "nodes": [
            _entry(
                cid,
                node,
                tainted=True if cid in tainted else None if cid in unknown else False,
                disputed=cid in disputed,
            )
            for cid, node in nodes.items()
        ],
        "edges": [
            [cid_text(parent), cid_text(cid)]
            for cid, node in nodes.items()
            if node is not None
            for parent in node.parents
            if parent in nodes
        ],
        "more": is_cut,
    }


def _read(store: BlockStore, cid: CID) -> RecordFacts | None:
    """Return what a record says; None: it is not here, or is none."""
    try:
        return read_facts(store, cid)
    except (UnavailableError, VerificationError):
        return None


def _below(nodes: Mapping[CID, RecordFacts | None], roots: set[CID]) -> set[CID]:
    """Return roots and all that came of them."""
    children: dict[CID, list[CID]] = {}
    for cid, node in nodes.items():
        for parent in node.parents if node is not None else ():
            children.setdefault(parent, []).append(cid)
    found, todo = set(roots), deque(roots)
    while todo:
        for child in children.get(todo.popleft(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def _disputed(nodes: Mapping[CID, RecordFacts | None]) -> set[CID]:
    """Return the verified records whose task has another output in another one of them (docs/graph.md, Lineage).

    A dissenting receipt is no dispute: the record's rule has settled it.
    """
    verified = {cid: node for cid, node in nodes.items() if node is not None and node.is_verified}
    outputs: dict[CID, set[CID]] = {}
    for node in verified.values():
        outputs.setdefault(node.task, set()).add(node.output)
    return {cid for cid, node in verified.items() if len(outputs[node.task]) > 1}


def _entry(cid: CID, node: RecordFacts | None, *, tainted: bool | None, disputed: bool) -> dict[str, Any]:
    """Return what is said of a record. tainted: None where one that it comes from was not looked at."""
    return {
        "cid": cid_text(cid),
        "here": node is not None,
        "tier": None if node is None else node.tier,
        "task": None if node is None else cid_text(node.task),
        "output": None if node is None else cid_text(node.output),
        "tainted": tainted,
        "disputed": disputed,
    }
