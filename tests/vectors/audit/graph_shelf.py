"""Published graphs to break: roots, signed heads and chains of entries.

A graph is made node by node, past all types, so that each of its bytes can be wrong; what rests on what is broken is
made anew (entries linked, tree hashed, head signed), so that one thing alone is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage import dag_cbor
from storage.cid import CID, DAG_CBOR, cid_text, make_cid
from tests.vectors.audit.car_writing import car, reachable
from tests.vectors.audit.lineages import Line, forged
from tests.vectors.audit.shapes import Case
from tests.vectors.records.world import WHEEL, KeptStore, World, identity, put_unverified
from verifier.graph_tree import leaf_hash, node_hash, tree_hash

ALICE, BOB = 21, 22
"""Publishers, as numbers of `identity`."""
NOWHERE = make_cid(DAG_CBOR, b"\xa0")


def put(blocks: dict[CID, bytes], node: Any) -> CID:
    data = dag_cbor.encode(node)
    cid = make_cid(DAG_CBOR, data)
    blocks[cid] = data
    return cid


@dataclass(kw_only=True)
class Shelf:
    """A published graph over three generations of records, or those that are given."""

    blocks: dict[CID, bytes] = field(default_factory=dict)
    records: list[CID] = field(default_factory=list)
    """Oldest first."""
    log: Callable[[list[CID]], list[CID]] = list
    """What the log has of the records, in its order."""
    listed: Callable[[list[CID]], list[CID]] = sorted
    """What the root has of them."""
    entry: Callable[[int, dict[str, Any]], None] = lambda _number, _node: None
    """Changes an entry before the next is linked to it."""
    tree: Callable[[list[bytes]], bytes] = lambda leaves: tree_hash(list(map(leaf_hash, leaves)))
    head: Callable[[dict[str, Any]], None] = lambda _node: None
    """Changes the head before it is signed."""
    signed: Callable[[dict[str, Any]], None] = lambda _node: None
    """Changes it afterwards."""
    root: Callable[[dict[str, Any]], None] = lambda _node: None
    signer: int = ALICE

    def __post_init__(self) -> None:
        if not self.records:
            self.records, self.blocks = three_generations()

    def build(self) -> CID:
        """Add the blocks of the graph; return its root."""
        entries: list[CID] = []
        for number, record in enumerate(self.log(self.records)):
            node = {
                "v": "graph-entry/1",
                "publisher": identity(ALICE).peer,
                "number": number,
                "previous": entries[-1] if entries else None,
                "record": cid_text(record),
                "at": 1_000_000_000 + number,
            }
            self.entry(number, node)
            entries.append(put(self.blocks, node))
        self.entries = entries
        head = {
            "v": "graph-head/1",
            "publisher": identity(ALICE).peer,
            "size": len(entries),
            "last": entries[-1],
            "tree": self.tree([self.blocks[cid] for cid in entries]).hex(),
        }
        self.head(head)
        self.signed_head = identity(self.signer).sign(head)
        self.signed(self.signed_head)
        self.head_cid = put(self.blocks, self.signed_head)
        root = {"v": "graph/1", "head": self.head_cid, "records": self.listed(self.records)}
        self.root(root)
        return put(self.blocks, root)


def three_generations(**edits: Any) -> tuple[list[CID], dict[CID, bytes]]:
    """Return the records of a line, oldest first, and all blocks."""
    child, blocks = Line(**edits).build()
    parent = dag_cbor.decode(blocks[child])["parents"][0]
    oldest = dag_cbor.decode(blocks[parent])["parents"][0]
    return [oldest, parent, child], dict(blocks)


def filed(*shelves: Callable[[], Shelf], without: Callable[[Shelf], CID] | None = None) -> Callable[[], bytes]:
    """Return what makes the file of some graphs; without: a block that is left out, found on the first of them."""

    def data() -> bytes:
        blocks: dict[CID, bytes] = {}
        roots: list[CID] = []
        gone: list[CID] = []
        for make in shelves:
            shelf = make()
            roots.append(shelf.build())
            blocks |= shelf.blocks
            gone += [without(shelf)] if without is not None and not gone else []
        kept = {cid: block for cid, block in blocks.items() if cid not in gone}
        return car(roots, reachable(kept, roots))

    return data


def graph(about: str, check: int | None, **changes: Any) -> Case:
    return Case(about=about, check=check, data=filed(lambda: Shelf(**changes)))


def lacking(about: str, check: int, find: Callable[[Shelf], CID]) -> Case:
    return Case(about=about, check=check, data=filed(Shelf, without=find))


def of_records(make: Callable[[KeptStore], list[CID]], **changes: Any) -> Callable[[], Shelf]:
    def shelf() -> Shelf:
        store = KeptStore()
        records = make(store)
        return Shelf(records=records, blocks=dict(store.kept), **changes)

    return shelf


def numbered(number: int, **values: Any) -> Callable[[int, dict[str, Any]], None]:
    """Change one entry."""
    return lambda at, node: node.update(values) if at == number else None


def changed(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda node: node.update(values)


def upper_case(number: int, node: dict[str, Any]) -> None:
    """Base32 in upper case says the same, in another form."""
    if number == 1:
        node["record"] = node["record"].upper()


def renumbered(number: int, node: dict[str, Any]) -> None:
    """0, 2, 3: one was taken out, and what was linked to it is linked to the one before."""
    node["number"] = number + (number > 0)


def swapped(number: int, node: dict[str, Any]) -> None:
    """0, 2, 1: the chain leads through the entries in another order than that of their numbers."""
    node["number"] = (0, 2, 1)[number]


def unprefixed(leaves: list[bytes]) -> bytes:
    """Hashes as they would be without the byte that tells leaves from nodes."""
    return tree_hash([make_cid(DAG_CBOR, leaf)[-32:] for leaf in leaves])


def leaning(leaves: list[bytes]) -> bytes:
    """A tree of another shape: the first leaf above the two others."""
    first, second, third = map(leaf_hash, leaves)
    return node_hash(first, node_hash(second, third))


def dispute(store: KeptStore) -> list[CID]:
    return [
        World(store=store).build(),
        World(store=store, edits={"output": lambda files: files.update(result=b"a lie")}).build(),
    ]


def tainted(store: KeptStore) -> list[CID]:
    world = World(store=store)
    record = world.build()
    return [record, put_unverified(store, world.outputs[0])]


def annotated(make: Callable[[KeptStore], tuple[list[CID], list[CID], list[CID]]]) -> Callable[[], bytes]:
    """Return what makes the file of a `graph/2`; make: puts records, merges and rivals into a store."""

    def shelf() -> Shelf:
        store = KeptStore()
        records, merges, rivals = make(store)
        more = changed(v="graph/2", merges=sorted(merges), rivals=sorted(rivals))
        return Shelf(records=records, blocks=dict(store.kept), root=more)

    return filed(shelf)


def rival(**edits: Any) -> Callable[[KeptStore], tuple[list[CID], list[CID], list[CID]]]:
    """A record, and one of the same task with another output, changed."""

    def make(store: KeptStore) -> tuple[list[CID], list[CID], list[CID]]:
        first = World(store=store).build()
        lie = {"output": lambda files: files.update(result=b"a lie")}
        return [first], [], [World(store=store, edits=lie | edits).build()]

    return make


def merged(
    shards: Callable[[CID, CID], list[list[tuple[int, CID]]]],
) -> Callable[[KeptStore], tuple[list[CID], list[CID], list[CID]]]:
    """A record, another that is not in the graph, and a merge of parts that are made of the two."""

    def make(store: KeptStore) -> tuple[list[CID], list[CID], list[CID]]:
        world = World(store=store)
        first = world.build()
        other = World(store=store, edits={"input": lambda node: node.update(epoch=1)}).build()
        parts = []
        for part in shards(first, other):
            listed = [{"number": number, "record": record} for number, record in part]
            parts.append(world.put("part", {"v": "merge-part/1", "shards": listed}))
        merge = world.put("merge", {"v": "merge/1", "output": world.outputs[0], "parts": parts})
        return [first], [merge], []

    return make


def task_beside(store: KeptStore) -> list[CID]:
    world = World(store=store)
    return [world.build(), world.task]


def last_record(records: Sequence[CID]) -> list[CID]:
    return list(records[-1:])


def wheel_of(_shelf: Shelf) -> CID:
    from storage.cid import RAW

    return make_cid(RAW, WHEEL)


def first_only() -> Shelf:
    """The log as it was when one record had been published."""
    records, blocks = three_generations()
    return Shelf(records=records[:1], blocks=blocks)


def other_last() -> Shelf:
    """A log of the same publisher and size, with another last entry."""
    return Shelf(entry=numbered(2, at=1_000_000_009))


def other_first() -> Shelf:
    """A log of the same publisher that begins otherwise, and is shorter."""
    records, blocks = three_generations()
    return Shelf(records=records[:2], blocks=blocks, entry=numbered(0, at=999_999_999))


def by_bob() -> Shelf:
    """Another publisher's log of the same records."""
    peer = identity(BOB).peer
    return Shelf(signer=BOB, head=changed(publisher=peer), entry=lambda _, node: node.update(publisher=peer))


def child_of(shelf: Callable[[], Shelf]) -> Callable[[], str]:
    return lambda: cid_text(shelf().records[-1])


def forged_parent() -> dict[str, Any]:
    records, blocks = three_generations(parent={"stored receipt/0": forged})
    return {"records": records, "blocks": blocks}
