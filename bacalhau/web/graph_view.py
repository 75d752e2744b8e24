"""The records of a home as a graph to draw: which came of which, what is tainted, disputed, or not here.

Parents are read from the records themselves; nothing is believed of a record but its form, an audit checks it. Pure
but for the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import UnavailableError, VerificationError

MAX_NODES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    kind: str
    task: str
    output: str
    tier: str
    parents: tuple[CID, ...]


def graph_view(store: BlockStore, records: Iterable[CID], *, limit: int = MAX_NODES) -> dict[str, Any]:
    """Return nodes and edges: records, and the records that they came of, as far as they are here.

    records: where to begin, the most wanted first; limit: of nodes.
    """
    nodes: dict[CID, _Node | None] = {}
    todo = deque(records)
    while todo and len(nodes) < limit:
        cid = todo.popleft()
        if cid not in nodes:
            nodes[cid] = _read(store, cid)
            found = nodes[cid]
            todo.extend(found.parents if found is not None else ())
    is_cut = any(cid not in nodes for cid in todo)
    tainted = _below(nodes, {cid for cid, node in nodes.items() if node is not None and node.tier != "verified"})
    disputed = _below(nodes, _disputed(nodes))
    named = {parent for node in nodes.values() if node is not None for parent in node.parents}
    unknown = _below(nodes, {cid for cid in named | nodes.keys() if nodes.get(cid) is None})
    return {
        "nodes": [
            {
                **_entry(cid, node),
                "tainted": cid in tainted,
                "disputed": cid in disputed,
                "unknown": cid in unknown,
            }
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


def _read(store: BlockStore, cid: CID) -> _Node | None:
    """Return what a record says; None: it is not here, or is none."""
    if codec_of(cid) != DAG_CBOR:
        return None
    try:
        node = dag_cbor.decode(store.get(cid))
    except (UnavailableError, VerificationError):
        return None
    if not isinstance(node, dict) or "record/" not in str(node.get("v")):
        return None
    parents = node.get("parents")
    return _Node(
        kind=str(node["v"]),
        task=_link(node.get("task")),
        output=_link(node.get("output")),
        tier=str(node.get("tier")),
        parents=tuple(CID(one) for one in parents if isinstance(one, bytes)) if isinstance(parents, list) else (),
    )


def _link(value: Any) -> str:
    return cid_text(CID(value)) if isinstance(value, bytes) else ""


def _below(nodes: Mapping[CID, _Node | None], roots: set[CID]) -> set[CID]:
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


def _disputed(nodes: Mapping[CID, _Node | None]) -> set[CID]:
    """Return the verified records whose task has another output in another one of them (docs/graph.md, Lineage).

    A dissenting receipt is no dispute: the record's rule has settled it.
    """
    verified = {cid: node for cid, node in nodes.items() if node is not None and node.tier == "verified" and node.task}
    outputs: dict[str, set[str]] = {}
    for node in verified.values():
        outputs.setdefault(node.task, set()).add(node.output)
    return {cid for cid, node in verified.items() if len(outputs[node.task]) > 1}


def _entry(cid: CID, node: _Node | None) -> dict[str, Any]:
    return {
        "cid": cid_text(cid),
        "here": node is not None,
        "tier": None if node is None else node.tier,
        "task": None if node is None else node.task,
        "output": None if node is None else node.output,
    }
