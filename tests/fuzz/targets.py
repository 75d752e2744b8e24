"""What is fuzzed: each target takes any bytes and fails only if a promise of the decoder behind it is broken.

The promises: errors are ours (never an IndexError, a MemoryError or a panic of the codec), what is accepted encodes to
the same again, and work and memory are bounded by the size of what came in. Driven by hypothesis
(tests/property/test_storage_fuzz.py) and by atheris (`make fuzz`).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from typing import TypeVar

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.car import read_car, write_car
from storage.cid import CID, DAG_PB, make_cid
from storage.dag_pb import Link, decode_node, encode_node
from storage.dag_tar import DagTar
from storage.errors import BacalhauError, UserError, VerificationError
from storage.hamt import MURMUR3_X64_64, bitfield_of, hash_name, prefix_of, slot_of
from storage.unixfs_node import NodeType, UnixfsNode, decode_unixfs, encode_unixfs
from storage.unixfs_read import UnixfsReader

T = TypeVar("T")

_FANOUT = 8
"""The smallest: few names make deep tries."""
MOST_BYTES = 1 << 16
"""Read of one file or tar: a few blocks linked often stand for far more."""


def dag_pb(data: bytes) -> None:
    """A DAG-PB block, and the UnixFS message in it."""
    try:
        node = decode_node(data)
    except VerificationError:
        return
    again = encode_node(node.links, node.data)
    assert decode_node(again).links == tuple(sorted(node.links, key=lambda link: link.name))
    assert decode_node(again).data == node.data
    unixfs(data if node.data is None else node.data)


def unixfs(data: bytes) -> None:
    """A UnixFS message."""
    try:
        node = decode_unixfs(data)
    except VerificationError:
        return
    assert decode_unixfs(encode_unixfs(node)) == node


def cbor(data: bytes) -> None:
    """A DAG-CBOR block."""
    try:
        node = dag_cbor.decode(data)
    except VerificationError:
        return
    assert dag_cbor.encode(node) == data
    list(dag_cbor.links(node))


def car(data: bytes) -> None:
    """A CAR."""
    found = []
    try:
        archive = read_car(io.BytesIO(data))
        found.extend(archive.blocks)
    except VerificationError:
        return
    stream = io.BytesIO()
    write_car(stream, archive.roots, found)
    stream.seek(0)
    again = read_car(stream)
    assert (again.roots, list(again.blocks)) == (archive.roots, found)


class Choices:
    """Bytes as a row of decisions; all of them are 0 at the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, below: int) -> int:
        """Return a number from 0 on, smaller than `below`."""
        self._at += 2
        return int.from_bytes(self._data[self._at - 2 : self._at], "big") % below

    def text(self) -> bytes:
        """Return up to 15 bytes."""
        size = self.number(16)
        self._at += size
        return self._data[self._at - size : self._at]

    def more(self) -> bool:
        """Tell whether there are any left."""
        return self._at < len(self._data)


def _dag(choices: Choices) -> tuple[MemoryBlockStore, CID]:
    """Make a DAG from the bottom up, with a raw block, an empty directory and a file to begin with."""
    store = MemoryBlockStore()
    made: list[tuple[CID, int]] = []

    def add(codec: int, block: bytes, size: int) -> None:
        cid = make_cid(codec, block)
        store.put(cid, block)
        made.append((cid, size))

    add(0x55, b"raw", 3)
    add(DAG_PB, encode_node([], encode_unixfs(UnixfsNode(type=NodeType.FILE, data=b"file", filesize=4))), 4)
    for _ in range(24):
        if not choices.more():
            break
        add(DAG_PB, *_any_node(choices, made))
    return store, made[-1][0]


def _any_node(choices: Choices, made: list[tuple[CID, int]]) -> tuple[bytes, int]:
    """Make a node over those that are made, and tell what a file node above it should claim of it."""
    kind = (NodeType.DIRECTORY, NodeType.FILE, *NodeType)[choices.number(8)]
    links, sizes = [], []
    for _ in range(choices.number(5)):
        cid, size = made[-1 - choices.number(len(made))]
        name = _unless(choices, b"" if kind is NodeType.FILE else b"%x" % choices.number(99), choices.text)
        links.append(Link(cid=cid, name=name, tsize=size))
        sizes.append(_unless(choices, size, lambda: choices.number(99)))
    data = choices.text() if choices.number(2) else None
    filesize = _unless(choices, len(data or b"") + sum(sizes), lambda: choices.number(99))
    node = UnixfsNode(
        type=kind,
        data=data,
        filesize=filesize,
        blocksizes=_unless(choices, tuple(sizes), tuple),
        hash_type=MURMUR3_X64_64 if choices.number(2) else None,
        fanout=(None, 8, 256, 1024, 3)[choices.number(5)],
        mode=choices.number(0o10000) if choices.number(2) else None,
    )
    return encode_node(links, encode_unixfs(node)), filesize


def _trie(choices: Choices, store: MemoryBlockStore, names: list[bytes], depth: int) -> Link:
    """Make a directory of shards that is right, unless the bytes say otherwise."""
    slots: dict[int, list[bytes]] = {}
    for name in names:
        slots.setdefault(slot_of(hash_name(name), depth, _FANOUT), []).append(name)
    links = []
    for index, inside in slots.items():
        prefix = prefix_of(_unless(choices, index, lambda: choices.number(_FANOUT)), _FANOUT)
        if len(inside) > 1 and depth < 20:
            below = _trie(choices, store, inside, depth + 1)
            links.append(Link(cid=below.cid, name=prefix, tsize=below.tsize))
        else:
            name = _unless(choices, inside[0], choices.text)
            links.append(Link(cid=make_cid(0x55, name), name=prefix + name, tsize=len(name)))
            store.put(make_cid(0x55, name), name)
    node = UnixfsNode(
        type=NodeType.SHARD,
        data=_unless(choices, bitfield_of(sorted(slots)), choices.text),
        hash_type=MURMUR3_X64_64,
        fanout=_unless(choices, _FANOUT, lambda: choices.number(2048)),
    )
    block = encode_node(_unless(choices, links, lambda: links[1:]), encode_unixfs(node))
    store.put(make_cid(DAG_PB, block), block)
    return Link(cid=make_cid(DAG_PB, block), tsize=len(block))


def _unless(choices: Choices, right: T, wrong: Callable[[], T]) -> T:
    """Return what is right, or one time in 64 something else."""
    return wrong() if choices.number(64) == 63 else right


def _sharded(choices: Choices) -> tuple[MemoryBlockStore, CID]:
    store = MemoryBlockStore()
    names = {b"%x" % choices.number(1 << 16) for _ in range(choices.number(60))}
    return store, _trie(choices, store, sorted(names), 0).cid


def hamt(data: bytes) -> None:
    """A directory of shards: listing and looking up agree."""
    store, root = _sharded(Choices(data))
    reader = UnixfsReader(store)
    try:
        entries = list(reader.entries(root))
    except (VerificationError, UserError):
        return
    names = [name for name, _ in entries]
    assert names == sorted(set(names), key=lambda name: name.encode())
    assert all(reader.resolve(root, name) == link.cid for name, link in entries)


def dag(data: bytes) -> None:
    """Files and directories of any nodes: what can be listed and read."""
    store, root = _dag(Choices(data))
    reader = UnixfsReader(store)
    try:
        stat = reader.stat(root)
        if stat.kind == "directory":
            list(reader.entries(root))
        elif stat.kind == "symlink":
            reader.read_link(root)
        else:
            with reader.open(root) as file:
                content = file.read(MOST_BYTES)
            assert len(content) == min(stat.size, MOST_BYTES)
    except BacalhauError:
        return


def tar(data: bytes) -> None:
    """A directory of any nodes as a tar: as long as it says, and what tarfile reads is what the reader reads."""
    choices = Choices(data)
    store, root = _sharded(choices) if choices.number(2) else _dag(choices)
    reader = UnixfsReader(store)
    try:
        with DagTar(reader, root) as stream:
            if stream.size > MOST_BYTES:
                return
            whole = stream.read()
            assert len(whole) == stream.size
    except BacalhauError:
        return
    with tarfile.open(fileobj=io.BytesIO(whole), mode="r:") as archive:
        for member in archive:
            if member.isreg():
                inside = archive.extractfile(member)
                assert inside is not None
                with reader.open(reader.resolve(root, member.name)) as file:
                    assert inside.read() == file.read()


def _examples() -> Iterator[bytes]:
    stream = io.BytesIO()
    leaf = make_cid(0x55, b"leaf")
    block = encode_node([Link(cid=leaf, name=b"n", tsize=4)], encode_unixfs(UnixfsNode(type=NodeType.DIRECTORY)))
    write_car(stream, [make_cid(DAG_PB, block)], [(make_cid(DAG_PB, block), block), (leaf, b"leaf")])
    yield stream.getvalue()
    yield block
    yield dag_cbor.encode({"link": leaf, "list": [1, -2, 1.5, None, True, "text"]})
    yield encode_unixfs(UnixfsNode(type=NodeType.FILE, filesize=7, blocksizes=(3, 4), mode=0o755))
    yield bytes(range(256))


EXAMPLES = tuple(_examples())
"""Where a search begins."""
TARGETS: dict[str, Callable[[bytes], None]] = {
    "dag-pb": dag_pb,
    "unixfs": unixfs,
    "dag-cbor": cbor,
    "car": car,
    "hamt": hamt,
    "dag": dag,
    "tar": tar,
}
