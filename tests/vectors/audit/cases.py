"""The cases of the audit: what each file is, what must come of it, and the check that must say so.

What must come is written here by hand: the verdict by the end of the name (`_fail`: invalid, `_missing`: unchecked,
else valid), and the number of the check in charge, the first that is not true. `write_vectors.py` makes the folders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from storage import dag_cbor
from storage.cid import CID, DAG_CBOR, DAG_PB, RAW, cid_text, make_cid
from storage.unixfs_import import Entry, Importer
from storage.unixfs_read import UnixfsReader
from tests.vectors.audit.car_writing import Block, car, framed, header, reachable
from tests.vectors.audit.graph_cases import GRAPH_CASES
from tests.vectors.audit.kind_cases import KIND_CASES
from tests.vectors.audit.lineages import Line, forged
from tests.vectors.audit.merge_cases import MERGE_CASES
from tests.vectors.audit.round_cases import ROUND_CASES
from tests.vectors.audit.shapes import Case
from tests.vectors.records.cases import BAD, GOOD, TOUCHED
from tests.vectors.records.world import Edit, KeptStore, World, put_unverified, tree


def parts(world: World) -> tuple[CID, list[Block]]:
    """Build a world; return its record and the blocks that it leads to."""
    record = world.build()
    assert isinstance(world.store, KeptStore)
    return record, reachable(world.store.kept, [record])


def whole(make: Callable[[], World]) -> Callable[[], bytes]:
    def data() -> bytes:
        record, blocks = parts(make())
        return car([record], blocks)

    return data


def without(find: Callable[[World], CID]) -> Callable[[], bytes]:
    """Leave one block out; with it goes what nothing else leads to."""

    def data() -> bytes:
        world = World()
        record, blocks = parts(world)
        kept = dict(blocks)
        if find(world) == record:
            return car([record], [])
        del kept[find(world)]
        return car([record], reachable(kept, [record]))

    return data


def flipped(find: Callable[[World], CID]) -> Callable[[], bytes]:
    def data() -> bytes:
        world = World()
        record, blocks = parts(world)
        return car([record], [(cid, flip(block) if cid == find(world) else block) for cid, block in blocks])

    return data


def flip(data: bytes, at: int | None = None, bit: int = 1) -> bytes:
    place = len(data) // 2 if at is None else at
    return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]


def changed(change: Callable[[CID, list[Block]], bytes]) -> Callable[[], bytes]:
    """Make a file of a sound record and its blocks, in a way of one's own."""

    def data() -> bytes:
        return change(*parts(World()))

    return data


STRAY: Block = (make_cid(RAW, b"stray"), b"stray")


def recoded(record: CID, blocks: list[Block]) -> bytes:
    """The first raw block under the codec beside it: its hash is right."""
    at = next(n for n, (cid, _) in enumerate(blocks) if cid[1] == RAW)
    cid, data = blocks[at]
    return car([record], [*blocks[:at], (CID(flip(cid, 1)), data), *blocks[at + 1 :]])


def long_varint(record: CID, blocks: list[Block]) -> bytes:
    """The last section's length takes a byte more than it needs."""
    at = next(n for n, (cid, data) in enumerate(blocks) if len(cid + data) < 0x80)
    cid, data = blocks[at]
    size = len(cid + data)
    rest = car([], blocks[at + 1 :])[len(header([])) :]
    return car([record], blocks[:at]) + bytes([size | 0x80, 0]) + cid + data + rest


def version_2(record: CID, blocks: list[Block]) -> bytes:
    inner = car([record], blocks)
    start = 11 + 40
    offsets = b"\0" * 16 + b"".join(number.to_bytes(8, "little") for number in (start, len(inner), 0))
    return bytes.fromhex("0aa16776657273696f6e02") + offsets + inner


FILE_CASES: Mapping[str, Case] = {
    "file-order": Case(
        about="the blocks stand in another order, which means nothing",
        check=None,
        data=changed(lambda record, blocks: car([record], blocks[::-1])),
    ),
    "file-two-roots": Case(about="two records in one file", check=None, data=lambda: two_roots()),
    "file-asked-output": Case(
        about="the file is asked to prove an output",
        check=None,
        data=whole(World),
        cid=lambda: cid_text(built(World()).outputs[0]),
    ),
    "file-asked-other_missing": Case(
        about="the file is asked to prove a task that it is not of",
        check=0,
        data=whole(World),
        cid=lambda: cid_text(make_cid(DAG_CBOR, b"\xa0")),
    ),
    "file-empty_fail": Case(about="a file of no bytes", check=0, data=lambda: b""),
    "file-text_fail": Case(about="a file that is a text", check=0, data=lambda: b"not an archive, but a text\n"),
    "file-no-root_fail": Case(about="no root", check=0, data=changed(lambda record, blocks: car([], blocks))),
    "file-root-twice_fail": Case(
        about="a root is named twice", check=0, data=changed(lambda record, blocks: car([record, record], blocks))
    ),
    "file-root-flipped_fail": Case(
        about="one bit of the root is wrong: nothing leads to the record any more",
        check=0,
        data=changed(lambda record, blocks: car([CID(flip(record))], blocks)),
    ),
    "file-header-key_fail": Case(
        about="the header has a key too many",
        check=0,
        data=changed(
            lambda record, blocks: (
                framed(dag_cbor.encode({"roots": [record], "version": 1, "note": "x"}))
                + car([record], blocks)[len(header([record])) :]
            )
        ),
    ),
    "file-header-version_fail": Case(
        about="a version that does not exist",
        check=0,
        data=changed(lambda record, blocks: header([record], 3) + car([record], blocks)[len(header([record])) :]),
    ),
    "file-version-2_fail": Case(
        about="a CAR of version 2, whose offsets and index nothing vouches for", check=0, data=changed(version_2)
    ),
    "file-truncated_fail": Case(
        about="the last byte is missing", check=0, data=changed(lambda record, blocks: car([record], blocks)[:-1])
    ),
    "file-trailing-zero_fail": Case(
        about="a zero byte follows", check=0, data=changed(lambda record, blocks: car([record], blocks) + b"\0")
    ),
    "file-trailing-byte_fail": Case(
        about="the beginning of a section follows",
        check=0,
        data=changed(lambda record, blocks: car([record], blocks) + b"\x24"),
    ),
    "file-twice_fail": Case(
        about="a block is there twice",
        check=0,
        data=changed(lambda record, blocks: car([record], [*blocks, blocks[3]])),
    ),
    "file-stray_fail": Case(
        about="a block that nothing leads to",
        check=0,
        data=changed(lambda record, blocks: car([record], [*blocks, STRAY])),
    ),
    "file-codec_fail": Case(
        about="one bit of a block's codec is wrong; its hash is right", check=0, data=changed(recoded)
    ),
    "file-digest_fail": Case(
        about="one bit of a CID's digest is wrong",
        check=0,
        data=changed(lambda record, blocks: car([record], [*blocks[:-1], (CID(flip(blocks[-1][0])), blocks[-1][1])])),
    ),
    "file-varint_fail": Case(about="a length takes more bytes than it needs", check=0, data=changed(long_varint)),
    "file-hash_fail": Case(
        about="a CID with a hash function that is not allowed (sha2-512)",
        check=0,
        data=changed(lambda record, blocks: car([record], blocks) + framed(sha2_512(b"x") + b"x")),
    ),
    "file-root-version_fail": Case(
        about="the root is a map whose version is a list",
        check=1,
        data=lambda: car([cid := make_cid(DAG_CBOR, data := dag_cbor.encode({"v": ["graph/1"]}))], [(cid, data)]),
    ),
    "file-root-hash_fail": Case(
        about="the root is named by a hash function that is not allowed (sha3-256), and no block is there for it",
        check=1,
        data=lambda: header([CID(bytes.fromhex("01711620") + bytes(32))]),
    ),
}


def sha2_512(data: bytes) -> bytes:
    return bytes([1, RAW, 0x13, 64]) + hashlib.sha512(data).digest()


def built(world: World) -> World:
    world.build()
    return world


def two_roots() -> bytes:
    first = World()
    record = first.build()
    second = World(store=first.store, edits={"input": lambda node: node.update(epoch=1)})
    other = second.build()
    assert isinstance(first.store, KeptStore)
    return car([record, other], reachable(first.store.kept, [record, other]))


def line(about: str, check: int | None, *, drop: str = "", **edits: Any) -> Case:
    """A case over three generations; drop: whose record is not there ("parent", "oldest")."""

    def data() -> bytes:
        record, blocks = Line(**edits).build()
        if drop:
            parent = dag_cbor.decode(blocks[record])["parents"][0]
            gone = parent if drop == "parent" else dag_cbor.decode(blocks[parent])["parents"][0]
            blocks = {cid: block for cid, block in blocks.items() if cid != gone}
        return car([record], reachable(blocks, [record]))

    return Case(about=about, check=check, data=data, deep=True)


def unverified_parent() -> bytes:
    """The input is what a record of the tier `unverified` gave."""
    store = KeptStore()
    output = tree(store, {"result": b"nobody's word", "exit_code": b"0"})
    parent = put_unverified(store, output)
    taken = UnixfsReader(store).resolve(output, "result")
    edits: dict[str, Edit] = {
        "input": lambda one: one.update(data=taken),
        "record": lambda one: one.update(parents=[parent]),
    }
    record = World(store=store, edits=edits).build()
    return car([record], reachable(store.kept, [record]))


def unverified_alone() -> bytes:
    store = KeptStore()
    record = put_unverified(store, tree(store, {"result": b"nobody's word", "exit_code": b"0"}))
    return car([record], reachable(store.kept, [record]))


def unrelated_parent() -> bytes:
    """The parent is a sound record, and nothing of its output is in the input."""
    first = World(edits={"output": lambda files: files.update({"result": b"elsewhere"})})
    parent = first.build()
    edits: dict[str, Edit] = {
        "input": lambda node: node.update(epoch=7),
        "record": lambda node: node.update(parents=[parent]),
    }
    record = World(store=first.store, edits=edits).build()
    assert isinstance(first.store, KeptStore)
    return car([record], reachable(first.store.kept, [record]))


def parent_of_nothing() -> bytes:
    """Parent and input have nothing in common but an empty file: an edge, and said to be a weak one."""
    store = KeptStore()
    parent = World(store=store, edits={"output": lambda files: files.update({"result": b"elsewhere"})}).build()
    volume = tree(store, {"empty.txt": b"", "other.txt": b"other"})
    edits: dict[str, Edit] = {
        "input": lambda node: node.update(volumes=[{"path": "/more", "cid": volume}]),
        "record": lambda node: node.update(parents=[parent]),
    }
    record = World(store=store, edits=edits).build()
    return car([record], reachable(store.kept, [record]))


def malformed_tree() -> bytes:
    """Deep in a volume is a block that its CID names rightly, and that is no DAG-PB."""
    store = KeptStore()
    junk = b"\xff no node"
    cid = make_cid(DAG_PB, junk)
    store.put(cid, junk)
    inner = Importer(store).directory({"junk": Entry(cid=cid, size=9, tsize=9)})
    outer = Importer(store).directory({"inner": inner})
    edits: dict[str, Edit] = {"input": lambda node: node.update(volumes=[{"path": "/more", "cid": outer.cid}])}
    record = World(store=store, edits=edits).build()
    return car([record], reachable(store.kept, [record]))


class Beside(World):
    """Of the output's folder `a` the block is not here, and its file `z` has another size than its link claims."""

    def _output(self, *, lying: bool) -> CID:
        del lying
        importer = Importer(self.store)
        entries = {name: importer.bytes(data) for name, data in {"z": b"The quick", "exit_code": b"0"}.items()}
        folder = importer.directory({"made": importer.bytes(b"made")})
        self.folder = folder.cid
        entries["z"] = Entry(cid=entries["z"].cid, size=9, tsize=5)
        return importer.directory(entries | {"a": folder}).cid


def wrong_beside_missing() -> bytes:
    world = Beside()
    record, blocks = parts(world)
    return car([record], reachable({cid: block for cid, block in blocks if cid != world.folder}, [record]))


LINE_CASES: Mapping[str, Case] = {
    "deep": line("three generations, each takes a directory of the one before it", None),
    "deep-nothing": Case(about="a record without parents, followed", check=None, data=whole(World), deep=True),
    "input-tree_fail": Case(about="a block deep in a volume is malformed", check=2, data=malformed_tree),
    "output-beside_fail": Case(
        about="a folder of the output is not here, and a file beside it is of another size",
        check=12,
        first=2,
        data=wrong_beside_missing,
    ),
    "parent-of-nothing": Case(about="an empty file is all that is in common", check=None, data=parent_of_nothing),
    "parent-unrelated_fail": Case(
        about="nothing of the parent's output is in the input", check=13, data=unrelated_parent
    ),
    "parent-unverified": Case(
        about="valid by itself: the parent is of the tier unverified", check=None, data=unverified_parent
    ),
    "unverified_missing": Case(
        about="a record of the tier unverified: nothing is claimed", check=1, data=unverified_alone
    ),
    "deep-unverified_missing": Case(
        about="the parent is of the tier unverified: nobody vouches for it", check=17, data=unverified_parent, deep=True
    ),
    "deep-parent_missing": line("the parent's record is not here", 2, drop="parent"),
    "deep-oldest_missing": line("the record before the parent's is not here", 17, drop="oldest"),
    "deep-parent-forged_fail": line(
        "valid by itself: the parent has a forged receipt", 17, parent={"stored receipt/0": forged}
    ),
    "deep-oldest-forged_fail": line(
        "valid by itself: two generations back a receipt is forged", 17, oldest={"stored receipt/0": forged}
    ),
    "deep-oldest-rule_fail": line(
        "two generations back too few agree", 17, oldest={"record": lambda node: node["rule"].update(confidence=4)}
    ),
}


def all_cases() -> Iterator[tuple[str, Case]]:
    """Yield (name, case) in the order of the names."""
    found: dict[str, Case] = {}
    for name, (about, make) in GOOD.items():
        found[name] = Case(about=about, check=None, data=whole(make))
    for name, (about, check, make) in BAD.items():
        # A receipt that agrees and is listed as dissent is missing among those that agree.
        first = 10 if check == 11 else None
        found[f"{name}_fail"] = Case(about=about, check=check, first=first, data=whole(make))
    for name, (check, find) in TOUCHED.items():
        found[f"flipped-{name}_fail"] = Case(about=f"one bit of a block is wrong: {name}", check=0, data=flipped(find))
        found[f"without-{name}_missing"] = Case(about=f"a block is not here: {name}", check=check, data=without(find))
    found |= FILE_CASES | LINE_CASES | GRAPH_CASES | KIND_CASES | MERGE_CASES | ROUND_CASES
    yield from sorted(found.items())
