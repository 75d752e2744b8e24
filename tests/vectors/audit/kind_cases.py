"""The cases of WebAssembly modules, and of directories that are kept as tries over the hashes of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.blocks import BlockStore
from storage.cid import CID, DAG_PB, RAW, make_cid
from storage.dag_pb import Link, encode_node
from storage.hamt import MURMUR3_X64_64, bitfield_of, hash_name, prefix_of, slot_of
from storage.unixfs_import import Importer
from storage.unixfs_node import NodeType, UnixfsNode, encode_unixfs
from tests.vectors.audit.car_writing import car, reachable
from tests.vectors.audit.shapes import Case
from tests.vectors.records.cases import change
from tests.vectors.records.world import Edit, KeptStore, World, tree

MODULE = b"\0asm\1\0\0\0"
COMPONENT = b"\0asm\x0d\0\1\0"


class WasmWorld(World):
    """As `World`; its function is a module."""

    def _task(self) -> CID:
        self.module = Importer(self.store).bytes(self._edit("module", {"data": MODULE})["data"]).cid
        runtime = {
            "v": "wasm-runtime/1",
            "profile": "wasi-1",
            "engine": "wasmtime",
            "version": "36.0.0",
            "host": "ab" * 32,
            "settings": {"stack": 1 << 27, "simd": True},
        }
        function = {"v": "wasm-function/1", "module": self.module, "runtime": self.put("runtime", runtime)}
        self.function = self.put("function", function)
        self.input = self.put("input", self._input(Importer(self.store)) | {"args": self.arguments()})
        return self.put("task", {"v": "task/1", "function": self.function, "input": self.input})

    def arguments(self) -> Any:
        return self._edit("args", {"argv": ["--column", "price", ""]})


def filed(make: Callable[[], World], without: Callable[[World], CID] | None = None) -> Callable[[], bytes]:
    """Return what makes a record's file; without: a block that is left out."""

    def data() -> bytes:
        world = make()
        record = world.build()
        assert isinstance(world.store, KeptStore)
        gone = None if without is None else without(world)
        return car(
            [record], reachable({cid: block for cid, block in world.store.kept.items() if cid != gone}, [record])
        )

    return data


def wasm(about: str, check: int | None, **edits: Edit) -> Case:
    return Case(about=about, check=check, data=filed(lambda: WasmWorld(edits=edits)))


def python_runtime(node: dict[str, Any]) -> None:
    node.clear()
    node.update(v="runtime/1", profile="pyodide-1", pyodide="314.0.3", files=[])


class FolderWorld(WasmWorld):
    """The module is a folder with a module in it."""

    def put(self, name: str, node: dict[str, Any]) -> CID:
        if name == "function":
            node["module"] = tree(self.store, {"main.wasm": MODULE})
        return super().put(name, node)


# Sharded directories

Shard = tuple[list[Link], dict[str, Any]]
"""The links of a shard and the fields of its message, before it is encoded."""


@dataclass(kw_only=True)
class Trie:
    """Makes sharded directories; `edit` changes each shard, which it gets with its depth."""

    fanout: int = 256
    edit: Callable[[int, Shard], None] = lambda _depth, _shard: None

    def put(self, store: BlockStore, links: Sequence[Link], depth: int = 0) -> Link:
        """Put a directory of these entries; return a link to it without a name."""
        slots: dict[int, list[Link]] = {}
        for link in links:
            slots.setdefault(slot_of(hash_name(link.name), depth, self.fanout), []).append(link)
        found: list[Link] = []
        for index, slot in slots.items():
            below = slot[0] if len(slot) == 1 else self.put(store, slot, depth + 1)
            found.append(Link(cid=below.cid, name=prefix_of(index, self.fanout) + below.name, tsize=below.tsize))
        shard: Shard = (
            found,
            {"data": bitfield_of(sorted(slots)), "hash_type": MURMUR3_X64_64, "fanout": self.fanout},
        )
        self.edit(depth, shard)
        block = encode_node(shard[0], encode_unixfs(UnixfsNode(type=NodeType.SHARD, **shard[1])))
        cid = make_cid(DAG_PB, block)
        store.put(cid, block)
        return Link(cid=cid, tsize=len(block) + sum(link.tsize for link in shard[0]))


FILES = {"result": b"The quick", "stdout": b"", "stderr": b"", "exit_code": b"0"}
FILES |= {f"part-{number:02}.csv": b"part %d" % number for number in range(40)}


def links_of_files(store: BlockStore, files: Mapping[str, bytes]) -> list[Link]:
    importer = Importer(store)
    return [Link(cid=importer.bytes(data).cid, name=name.encode(), tsize=len(data)) for name, data in files.items()]


@dataclass(kw_only=True)
class ShardedWorld(World):
    """The output is one sharded directory of 44 files."""

    trie: Trie

    def _output(self, *, lying: bool) -> CID:
        del lying
        return self.trie.put(self.store, links_of_files(self.store, FILES)).cid


def sharded(about: str, check: int | None, **trie: Any) -> Case:
    return Case(about=about, check=check, data=filed(lambda: ShardedWorld(trie=Trie(**trie))))


def at(wanted: int, change_shard: Callable[[Shard], None]) -> Callable[[int, Shard], None]:
    """Change the shards of one depth."""
    return lambda depth, shard: change_shard(shard) if depth == wanted else None


def field(**values: Any) -> Callable[[Shard], None]:
    return lambda shard: shard[1].update(values)


def misplace(shard: Shard) -> None:
    """One name moves to a slot that is free; the bit field follows."""
    links, fields = shard
    used = {int(link.name[:2], 16) for link in links}
    free = min(set(range(256)) - used)
    number = next(n for n, link in enumerate(links) if link.name[2:].startswith(b"part"))
    moved = links[number]
    links[number] = Link(cid=moved.cid, name=prefix_of(free) + moved.name[2:], tsize=moved.tsize)
    fields["data"] = bitfield_of(sorted(int(link.name[:2], 16) for link in links))


def lower_case(shard: Shard) -> None:
    links, _ = shard
    for number, link in enumerate(links):
        links[number] = Link(cid=link.cid, name=link.name[:2].lower() + link.name[2:], tsize=link.tsize)


def emptied(shard: Shard) -> None:
    """An empty shard stands in place of the one that was here."""
    shard[0].clear()
    shard[1]["data"] = b""


def padded(shard: Shard) -> None:
    """Leading zero bytes of the bit field do not matter."""
    shard[1]["data"] = b"\0\0" + shard[1]["data"]


def a_shard_below(world: World) -> CID:
    """A shard of the output that is not on the way to `exit_code`."""
    assert isinstance(world.store, KeptStore)
    way = prefix_of(slot_of(hash_name(b"exit_code"), 0))
    return next(link.cid for link in root_links(world) if len(link.name) == 2 and link.name != way)


def root_links(world: World) -> Sequence[Link]:
    from storage.dag_pb import decode_node

    return decode_node(world.store.get(world.outputs[0])).links


class SourceWorld(World):
    """The source is sharded: `function.py` beside 40 modules."""

    def put(self, name: str, node: dict[str, Any]) -> CID:
        if name == "function":
            files = {"function.py": b"def main(data):\n    return data\n"}
            files |= {f"part_{number:02}.py": b"x = %d\n" % number for number in range(40)}
            node["source"] = Trie(fanout=8).put(self.store, links_of_files(self.store, files)).cid
            self.source = node["source"]
        return super().put(name, node)


def a_module_beside(world: World) -> CID:
    """A shard of the source that is not on the way to `function.py`."""
    from storage.dag_pb import decode_node

    assert isinstance(world, SourceWorld)
    way = prefix_of(slot_of(hash_name(b"function.py"), 0, 8), 8)
    links = decode_node(world.store.get(world.source)).links
    return next(link.cid for link in links if len(link.name) == 1 and link.name != way)


def taken_from_shard() -> bytes:
    """The child's data is one file of the parent's sharded output."""
    store = KeptStore()
    parent = ShardedWorld(trie=Trie(fanout=8), store=store).build()
    taken = make_cid(RAW, b"part 7")
    edits: dict[str, Edit] = {
        "input": lambda node: node.update(data=taken, volumes=[]),
        "record": lambda node: node.update(parents=[parent]),
    }
    record = World(store=store, edits=edits).build()
    return car([record], reachable(store.kept, [record]))


def named_arguments(node: dict[str, Any]) -> None:
    node.clear()
    node["n"] = 1


KIND_CASES: Mapping[str, Case] = {
    "wasm": wasm("the function is a WebAssembly module", None),
    "wasm-args_fail": wasm("a module's arguments are those of a Python function", 3, args=named_arguments),
    "wasm-args-more_fail": wasm("a key beside argv", 3, args=change(n=1)),
    "wasm-args-number_fail": wasm("an argument is a number", 3, args=change(argv=["--rows", 10])),
    "wasm-args-nul_fail": wasm("an argument has a NUL", 3, args=change(argv=["a\0b"])),
    "wasm-lock_fail": wasm("a module has no lock", 3, function=lambda node: node.update(lock=node["runtime"])),
    "wasm-runtime_fail": wasm("the runtime is one of Python", 3, runtime=python_runtime),
    "wasm-runtime-host_fail": wasm("the runtime's host is no hash", 3, runtime=change(host="none")),
    "wasm-module_fail": wasm("the module is a text", 4, module=change(data=b"(module)\n")),
    "wasm-module-short_fail": wasm("the module ends in its first eight bytes", 4, module=change(data=MODULE[:7])),
    "wasm-component_fail": wasm("the module is a component", 4, module=change(data=COMPONENT)),
    "wasm-folder_fail": Case(about="the module is a folder", check=4, data=filed(FolderWorld)),
    "wasm-without-module_missing": Case(
        about="the module is not here", check=2, data=filed(WasmWorld, lambda world: make_cid(RAW, MODULE))
    ),
    "sharded": sharded("the output is a sharded directory", None),
    "sharded-8": sharded("shards of eight slots, some levels deep", None, fanout=8),
    "sharded-1024": sharded("shards of 1024 slots", None, fanout=1024),
    "sharded-padded": sharded("the bit field has leading zero bytes", None, edit=at(0, padded)),
    "sharded-parent": Case(about="the input is a file of a parent's sharded output", check=None, data=taken_from_shard),
    "sharded-place_fail": sharded("a name is in a slot that its hash does not demand", 12, edit=at(0, misplace)),
    "sharded-bits_fail": sharded("the bit field is of other slots", 12, edit=at(0, field(data=b"\1"))),
    "sharded-prefix_fail": sharded("slots in lower case", 12, edit=at(0, lower_case)),
    "sharded-fanout_fail": sharded("twelve slots", 12, edit=at(0, field(fanout=12))),
    "sharded-fanout-large_fail": sharded("2048 slots", 12, edit=at(0, field(fanout=2048))),
    "sharded-fanout-below_fail": sharded(
        "shards below have another fanout", 12, fanout=8, edit=at(1, field(fanout=16))
    ),
    "sharded-hash_fail": sharded("another hash function", 12, edit=at(0, field(hash_type=0x23))),
    "sharded-no-hash_fail": sharded("no hash function", 12, edit=at(0, field(hash_type=None))),
    "sharded-empty_fail": sharded("shards below the root are empty", 12, fanout=8, edit=at(2, emptied)),
    "sharded-shard_missing": Case(
        about="a shard of the output is not here",
        check=2,
        data=filed(lambda: ShardedWorld(trie=Trie()), a_shard_below),
    ),
    "sharded-source_missing": Case(
        about="a shard of the source is not here, and function.py is", check=2, data=filed(SourceWorld, a_module_beside)
    ),
}
