"""Records of WebAssembly modules: read strictly, audited like those of Python functions, and told apart from them."""

import pytest

from storage import dag_cbor
from storage.cid import DAG_CBOR, make_cid
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_import import Importer
from tests.vectors.records.world import World
from verifier.audit import audit_record
from verifier.model import Function, Input, load_node
from verifier.wasm_types import MAGIC, WasmFunction, WasmRuntime, arguments_of, kind_of_function, load_function

MODULE = MAGIC + b"\0\2\1x"


class WasmWorld(World):
    """A record of a module, with the same places to break it."""

    def _task(self):
        super()._task()
        importer = Importer(self.store)
        runtime = {
            "v": "wasm-runtime/1", "profile": "wasi-1", "engine": "wasmtime", "version": "50.0.1", "host": "5a" * 32,
            "settings": {"nan": "canonical"},
        }  # fmt: skip
        module = importer.bytes(self._edit("module", {"data": MODULE})["data"]).cid
        function = {"v": "wasm-function/1", "module": module, "runtime": self.put("wasm runtime", runtime)}
        self.function = self.put("wasm function", function)
        self.input = self.put("wasm input", {**self.input_node, "args": {"argv": ["one", "two"]}})
        return self.put("task", {"v": "task/1", "function": self.function, "input": self.input})


def wrong(**edits):
    """The names of the checks that are false, and of those that are unknown."""
    world = WasmWorld(edits={name.replace("_", " "): edit for name, edit in edits.items()})
    report = audit_record(world.store, world.build())
    return (
        [check.name for check in report.checks if check.ok is False],
        [check.name for check in report.checks if check.ok is None],
    )


def test_a_sound_record_of_a_module_is_valid():
    world = WasmWorld(liars=1)
    report = audit_record(world.store, world.build())
    assert [check for check in report.checks if not check.ok] == []
    details = {check.name: check.detail for check in report.checks}
    assert details["source"] == "a WebAssembly module"
    assert details["runtime"] == "wasi-1, wasmtime 50.0.1"


@pytest.mark.parametrize(
    ("edits", "false"),
    [
        ({"module": lambda node: node.update(data=b"MZ" + MODULE)}, ["source"]),
        ({"module": lambda node: node.update(data=b"")}, ["source"]),
        ({"module": lambda node: node.update(data=b"\0asm\x0d\0\1\0")}, ["source"]),
        ({"wasm_function": lambda node: node.update(entry="main")}, ["task"]),
        ({"wasm_function": lambda node: node.pop("runtime")}, ["task"]),
        ({"wasm_function": lambda node: node.update(v="wasm-function/2")}, ["task"]),
        ({"wasm_runtime": lambda node: node.update(v="runtime/1")}, ["task"]),
        ({"wasm_runtime": lambda node: node.update(host="5A" * 32)}, ["task"]),
        ({"wasm_input": lambda node: node.update(args={})}, ["task"]),
        ({"wasm_input": lambda node: node.update(args={"argv": ["a\0b"]})}, ["task"]),
        ({"wasm_input": lambda node: node.update(args={"argv": [1]})}, ["task"]),
        ({"wasm_input": lambda node: node.update(args={"argv": [], "n": 1})}, ["task"]),
    ],
)
def test_what_is_wrong_with_it_is_false(edits, false):
    assert wrong(**edits)[0] == false


def test_every_block_of_it_is_part_of_the_audit():
    world = WasmWorld()
    record = world.build()
    needed = 0
    for digest, data in list(world.store._blocks.items()):
        del world.store._blocks[digest]
        verdict = audit_record(world.store, record).verdict
        world.store._blocks[digest] = data
        needed += verdict == "unchecked"
        assert verdict in ("valid", "unchecked")
        if data == MODULE or b"wasm-runtime/1" in data or b"wasm-function/1" in data:
            assert verdict == "unchecked"
    assert needed > 10


def test_a_function_is_of_the_kind_that_it_says():
    world = WasmWorld()
    world.build()
    assert isinstance(load_function(world.store, world.function), WasmFunction)
    python = World()
    python.build()
    assert isinstance(load_function(python.store, python.function), Function)
    with pytest.raises(VerificationError, match="function/1"):
        load_function(world.store, world.task)
    absent = make_cid(DAG_CBOR, b"absent")
    with pytest.raises(UnavailableError):
        kind_of_function(world.store, absent)
    junk = dag_cbor.encode(["wasm-function/1"])
    world.store.put(make_cid(DAG_CBOR, junk), junk)
    assert kind_of_function(world.store, make_cid(DAG_CBOR, junk)) is Function


def test_arguments_are_texts_in_their_order():
    world = WasmWorld()
    world.build()
    assert arguments_of(load_node(world.store, world.input, Input)) == ("one", "two")
    python = World()
    python.build()
    with pytest.raises(VerificationError, match="argv"):
        arguments_of(load_node(python.store, python.input, Input))


def test_a_runtime_reads_and_writes_the_same():
    runtime = WasmRuntime(profile="wasi-1", engine="wasmtime", version="1", host="00" * 32, settings={"a": [1, True]})
    assert WasmRuntime.from_node(runtime.to_node()) == runtime
