"""What shards of merged jobs have written, and what statements say of them: for the cases of `merge_cases`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from storage.blocks import BlockStore
from storage.cid import CID, DAG_PB, make_cid
from storage.dag_pb import Link, encode_node
from storage.unixfs_import import Entry, Importer
from tests.vectors.audit.kind_cases import Trie
from tests.vectors.audit.merge_reference import entry_of
from tests.vectors.audit.merge_shelf import JobShelf, Shown, shard_world, with_size
from tests.vectors.records.world import KeptStore, put_unverified

TWO: Final[Mapping[int, Any]] = {
    0: {"day": {"log.txt": b"of 0", "0.csv": b"0"}, "same.txt": b"same"},
    1: {"day": {"log.txt": b"of 1", "1.csv": b"1"}, "same.txt": b"same"},
}
"""Two shards with one directory, one file that both wrote alike, and a conflict."""
MERGED: Final[Mapping[str, Any]] = {"day": {"0.csv": b"0", "1.csv": b"1"}, "same.txt": b"same"}
DIRECTORY: Final = bytes.fromhex("0801")

NESTED: Final[Mapping[int, Any]] = {
    0: {"a": {"b": {"c": {"0": b"0", "clash": b"0"}, "only": {"in": b"0"}}, "kind": b"a file"}, "e": {"x": b"x"}},
    1: {"a": {"b": {"c": {"1": b"1", "clash": b"1"}}, "kind": {"in": b"a directory"}}, "e": {}, "gone": {"n": b"1"}},
    2: {"a": {"b": {"c": {"clash": b"0"}}, "kind": b"a file"}, "gone": {"n": b"2"}, "none": {}},
    3: {"a": {"b": {"c": {"1": b"1"}}}, "none": {}},
}
NAMES: Final = ("~", "\uff5e", "\U0001f600", "e\u0301", "\u00e9", "Z", "a b", "\u202e", "%2F", "\x7f", "\x01")
"""In the order of UTF-16 the second stands behind the third; one letter is here in two forms."""


def swapped(shown: Shown) -> Shown:
    """The first two under each other's numbers."""
    first, second, *_ = shown
    return {**shown, first: shown[second], second: shown[first]}


def without_last(shown: Shown) -> Shown:
    return dict(list(shown.items())[:-1])


def as_merged(tree: Any) -> Callable[[Mapping[int, Any]], Any]:
    return lambda _shards: tree


def in_tries(importer: Importer) -> dict[int, Any]:
    """Two shards have the same small trie, and each one of its own, where a basic directory would do."""
    store = importer_store(importer)
    both = trie(store, {"a": b"a", "b": b"b"})
    return {
        0: {"same": both, "own": trie(store, {"x": b"0", "only": b"0"})},
        1: {"same": both, "own": trie(store, {"x": b"1", "y": b"1"}, fanout=256)},
    }


def importer_store(importer: Importer) -> BlockStore:
    return importer._batch._store


def trie(store: BlockStore, files: Mapping[str, bytes], fanout: int = 8) -> Entry:
    importer = Importer(store)
    links = [Link(cid=importer.bytes(data).cid, name=name.encode(), tsize=len(data)) for name, data in files.items()]
    made = Trie(fanout=fanout).put(store, links)
    return Entry(cid=made.cid, size=0, tsize=made.tsize)


def outputs_in_tries(importer: Importer) -> dict[int, Any]:
    return {0: trie(importer_store(importer), {"a": b"a", "b": b"b"})}


def sized(importer: Importer) -> dict[int, Any]:
    """One directory, of which each shard claims another size."""
    made = importer.directory({"a": importer.bytes(b"a")})
    return {number: {"d": with_size(made, 1000 + number), "x": b"%d" % number} for number in (1, 2, 3)}


def of_sizes(which: int) -> Callable[[Mapping[int, Any]], Any]:
    return lambda shards: {"d": shards[which]["d"]}


def two_versions(importer: Importer) -> dict[int, Any]:
    """One directory and one file, named by CIDs of both versions: other content as far as a merge can tell."""
    made = importer.directory({"a": importer.bytes(b"a")})
    file = Entry(cid=make_cid(DAG_PB, block := bytes.fromhex("0a0708021201611801")), size=1, tsize=len(block))
    importer_store(importer).put(file.cid, block)
    older = {name: replace(one, cid=CID(one.cid[2:])) for name, one in (("d", made), ("f", file))}
    return {0: older, 1: {"d": made, "f": file}}


def older_kept(shards: Mapping[int, Any]) -> Any:
    return shards[0]


def directory_kept(_shards: Mapping[int, Any]) -> Any:
    return {"d": {"a": b"a"}}


def unsorted(importer: Importer) -> dict[int, Any]:
    """Links of a directory stand in any order in blocks that others wrote."""
    one = importer.bytes(b"1")
    links = [Link(cid=one.cid, name=name, tsize=1) for name in (b"b", b"a", b"c")]
    block = b"".join(encode_node([link], None) for link in links) + encode_node([], DIRECTORY)
    cid = make_cid(DAG_PB, block)
    importer_store(importer).put(cid, block)
    return {0: {"d": Entry(cid=cid, size=0, tsize=len(block) + 3)}, 1: {"d": {"z": b"1"}}}


def deep(bottom: bytes) -> Any:
    tree: Any = {"file": bottom}
    for _ in range(129):
        tree = {"d": tree}
    return tree


def many(records: Shown) -> list[tuple[int, CID]]:
    """One record as 5,400 shards: in two parts, and `shards` too large for one block."""
    return [(number, records[0]) for number in range(5400)]


def other_job(store: KeptStore) -> list[CID]:
    """Records of another job, whose shards have the same numbers."""
    return [shard_world(store, 100 + n, {"day": {f"{n}.csv": b"other"}}, {}).build() for n in (0, 1)]


def of_other_job(records: Shown) -> Shown:
    store = KeptStore()
    return dict(zip(records, other_job(store), strict=True))


def an_output(_made: JobShelf) -> CID:
    """The directory `outputs/day` of the first shard."""
    return entry_of(Importer(KeptStore()), TWO[0]["day"]).cid


def unverified(store: KeptStore) -> list[CID]:
    world = shard_world(store, 1, TWO[1], {})
    world.build()
    return [put_unverified(store, world.outputs[0])]


def other_function(store: KeptStore) -> list[CID]:
    """A record of the second shard's input by another function."""
    return [shard_world(store, 1, TWO[1], {"function": lambda node: node.update(entry=None)}).build()]


def with_other_function(records: Shown) -> Shown:
    return {**records, 1: other_function(KeptStore())[0]}


def with_unverified(records: Shown) -> Shown:
    return {**records, 1: unverified(KeptStore())[0]}


def seen_second(outputs: Shown) -> Shown:
    world = shard_world(KeptStore(), 1, TWO[1], {})
    world.build()
    return {**outputs, 1: world.outputs[0]}


def not_to_be_merged(importer: Importer) -> dict[int, Any]:
    """The first shard's `outputs` is a file."""
    return {0: importer.bytes(b"a file"), 1: {"a": b"a"}}


def last_not_to_be_merged(importer: Importer) -> dict[int, Any]:
    return {0: TWO[0], 1: TWO[1], 2: importer.bytes(b"a file")}
