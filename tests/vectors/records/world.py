"""A small but complete record, built node by node, with a place to break each of them.

`edits` maps the name of a node to a function that changes it before it is encoded, past all types; names are those that
`World` passes to `_edit`: "lock", "commitment/0", "stored receipt/1", … Everything is fixed (keys, nonces, contents):
a world is the same bytes on every machine. `write_cases.py` makes the committed cases of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import CID, DAG_CBOR, make_cid
from storage.unixfs_import import Importer
from storage.unixfs_tree import TreeBuilder
from verifier.commitment import commitment_digest
from verifier.identity import Identity

Edit = Callable[[Any], None]

STATE = "5a" * 32
ENGINE = {"name": "pyodide", "version": "314.0.3", "arch": "x86_64", "isolation": ["process"]}
WHEEL = b"PK\x05\x06" + b"\0" * 18


class KeptStore(MemoryBlockStore):
    """Also keeps the CIDs, so that blocks can be written out."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[CID, bytes] = {}

    def put(self, cid: CID, data: bytes) -> None:
        self.put_many([(cid, data)])

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        batch = list(blocks)
        super().put_many(batch)
        self.kept.update(batch)


def identity(number: int) -> Identity:
    return Identity.from_seed(hashlib.sha256(f"node {number}".encode()).digest())


def nonce(number: int) -> str:
    return hashlib.sha256(f"nonce {number}".encode()).hexdigest()


def tree(store: MemoryBlockStore, files: Mapping[str, bytes]) -> CID:
    builder = TreeBuilder(Importer(store))
    for path, data in files.items():
        builder.add_file(path, data)
    return builder.finish().cid


def put_unverified(store: MemoryBlockStore, output: CID, parents: Iterable[CID] = (), **changes: Any) -> CID:
    """Put a record of the tier that nobody verifies; its function and input are nowhere."""
    elsewhere = make_cid(DAG_CBOR, b"\xa0")
    run = {"output": output, "exit_code": 0, "engine": ENGINE, "node": None}
    node = {
        "v": "unverified-record/1",
        "tier": "unverified",
        "task": elsewhere,
        "function": elsewhere,
        "input": elsewhere,
        "output": output,
        "exit_code": 0,
        "runs": [run],
        "parents": sorted(parents),
    } | changes
    data = dag_cbor.encode(node)
    cid = make_cid(DAG_CBOR, data)
    store.put(cid, data)
    return cid


@dataclass(kw_only=True)
class World:
    """One task, executed by `nodes` nodes of which the last `liars` claim another output."""

    nodes: int = 3
    liars: int = 0
    confidence: int = 2
    edits: Mapping[str, Edit] = field(default_factory=dict)
    store: MemoryBlockStore = field(default_factory=KeptStore)

    def _edit(self, name: str, node: Any) -> Any:
        if name in self.edits:
            self.edits[name](node)
        return node

    def put(self, name: str, node: dict[str, Any]) -> CID:
        data = dag_cbor.encode(self._edit(name, node))
        cid = make_cid(DAG_CBOR, data)
        self.store.put(cid, data)
        return cid

    def build(self) -> CID:
        """Fill the store and return the record's CID."""
        self.task = self._task()
        self.outputs = [self._output(lying=number >= self.nodes - self.liars) for number in range(self.nodes)]
        self.list = self.put("list", self._list())
        receipts = [self.put(f"stored receipt/{number}", self._receipt(number)) for number in range(self.nodes)]
        honest = self.nodes - self.liars
        record = {
            "v": "record/1",
            "tier": "verified",
            "task": self.task,
            "function": self.function,
            "input": self.input,
            "output": self.outputs[0],
            "rule": {"replication": self.nodes, "confidence": self.confidence, "diverse": False},
            "commitments": self.list,
            "receipts": sorted(receipts[:honest]),
            "dissent": sorted(receipts[honest:]),
            "parents": [],
        }
        self.receipts = receipts
        self.record = self.put("record", record)
        return self.record

    def _task(self) -> CID:
        importer = Importer(self.store)
        wheel = self._edit("wheel", {"data": WHEEL})["data"]
        lock = {
            "v": "lock/1",
            "python": "3.14",
            "platform": "pyemscripten_2026_0_wasm32",
            "wheels": [
                {
                    "name": "tiny",
                    "version": "1.0",
                    "file_name": "tiny-1.0-py3-none-any.whl",
                    "sha256": hashlib.sha256(WHEEL).hexdigest(),
                    "wheel": importer.bytes(wheel).cid,
                }
            ],
        }
        runtime = {
            "v": "runtime/1",
            "profile": "pyodide-1",
            "pyodide": "314.0.3",
            "files": self._runtime_files(importer),
        }
        source = self._edit("source", {"function.py": b"def main(data, n=1):\n    return data[:n]\n"})
        self.function_node = {
            "v": "function/1",
            "source": tree(self.store, source),
            "entry": "main",
            "lock": self.put("lock", lock),
            "runtime": self.put("runtime", runtime),
        }
        self.input_node = self._input(importer)
        self.function = self.put("function", self.function_node)
        self.input = self.put("input", self.input_node)
        return self.put("task", {"v": "task/1", "function": self.function, "input": self.input})

    def _runtime_files(self, importer: Importer) -> list[dict[str, Any]]:
        files = {"host/boot.mjs": b"export {}\n", "pyodide.asm.wasm": b"\0asm\1\0\0\0"}
        return [
            {"path": path, "size": len(data), "cid": importer.bytes(data).cid} for path, data in sorted(files.items())
        ]

    def _input(self, importer: Importer) -> dict[str, Any]:
        return {
            "v": "input/1",
            "data": importer.bytes(b"The quick brown fox\n").cid,
            "volumes": [{"path": "/more", "cid": tree(self.store, {"a.txt": b"a", "b/c.txt": b"c"})}],
            "outputs": [{"name": "outputs", "path": "/outputs"}],
            "args": {"n": 9, "ratio": 0.5, "names": ["x", None, True]},
            "env": {"TZ": "UTC"},
            "seed": None,
            "epoch": 946684800,
            "limits": {"fuel": None, "memory": 1 << 29, "output": 1 << 26},
        }

    def _output(self, *, lying: bool) -> CID:
        result = b"a lie" if lying else b"The quick"
        files = {"result": result, "stdout": b"", "stderr": b"", "exit_code": b"0", "outputs/outputs/made.txt": b"made"}
        return tree(self.store, files if lying else self._edit("output", files))

    def _list(self) -> dict[str, Any]:
        commitments = [self._commitment(number) for number in range(self.nodes)]
        ordered = sorted(commitments, key=lambda one: one["node"])
        return {"v": "commitments/1", "task": self.task, "commitments": ordered}

    def _commitment(self, number: int) -> dict[str, Any]:
        me = identity(number)
        digest = commitment_digest(
            task=self.task, node=me.peer, nonce=nonce(number), output=self.outputs[number], state_digest=STATE
        )
        node = {"v": "commitment/1", "task": self.task, "node": me.peer, "digest": digest}
        signed = me.sign(self._edit(f"commitment/{number}", node))
        return self._edit(f"signed commitment/{number}", signed)

    def _receipt(self, number: int) -> dict[str, Any]:
        me = identity(number)
        node = {
            "v": "receipt/1",
            "task": self.task,
            "output": self.outputs[number],
            "exit_code": 0,
            "fuel": None,
            "state_digest": STATE,
            "engine": ENGINE,
            "node": me.peer,
            "nonce": nonce(number),
            "round": self.list,
        }
        return me.sign(self._edit(f"receipt/{number}", node))
