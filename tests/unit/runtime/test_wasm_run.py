"""How runs end, in this process: every end of the guest's has one exit code, and what it left is kept."""

import struct

import pytest
from wasmtime import wat2wasm

from runtime.wasm_config import compile_module, make_engine
from runtime.wasm_run import HostFailureError, run_module
from runtime.wasm_task import WasmTask
from tests.unit.runtime.test_wasm_module import in_thread
from tests.unit.runtime.wasi_world import Tree, mounted

IMPORTS = """
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $resize (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "said\\nouts/file")
  (global $zero (mut i32) (i32.const 0)) (global $nan (mut f64) (f64.const nan))
  (func $say (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 5))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $make (result i32)
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 69) (i32.const 9) (i32.const 1)
      (i64.const -1) (i64.const 0) (i32.const 0) (i32.const 16)))
    (i32.load (i32.const 16)))
"""
DEFAULTS = {
    "arguments": (), "environment": (), "stdin": None, "mounts": (), "outputs": (("outs", "/outs"),), "epoch_s": 0,
    "fuel": 10_000_000, "memory_bytes": 1 << 20, "output_bytes": 1 << 10,
}  # fmt: skip


def run(body, *, more="", parent=None, **task):
    engine = make_engine()
    module, _ = compile_module(engine, bytes(wat2wasm(f'(module {IMPORTS} {more} (func (export "_start") {body}))')))
    return run_module(engine, module, WasmTask(**{**DEFAULTS, **task}), parent or Tree())


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("(call $say)", 0, ""),
        ("(call $say) (call $exit (i32.const 300)) unreachable", 44, ""),
        ("(call $say) unreachable", 134, "unreachable instruction"),
        ("(call $say) (drop (i32.div_s (i32.const 1) (global.get $zero)))", 134, "integer division by zero"),
        ("(call $say) (drop (i32.div_s (i32.const -2147483648) (i32.const -1)))", 134, "integer overflow"),
        ("(call $say) (drop (i32.trunc_f64_s (global.get $nan)))", 134, "conversion to an integer that cannot hold it"),
        ("(call $say) (drop (i32.load (i32.const 65536)))", 134, "memory access out of bounds"),
        ("(call $say) (drop (i32.load offset=4294967295 (i32.const -1)))", 134, "memory access out of bounds"),
        ("(call $say) (memory.fill (i32.const 0) (i32.const 1) (i32.const 65537))", 134, "memory access out of bounds"),
        ("(call $say) (call_indirect (i32.const 0))", 134, "call of an empty table element"),
        ("(call $say) (call_indirect (i32.const 1))", 134, "call of a function of another type"),
        ("(call $say) (call_indirect (i32.const 9))", 134, "table access out of bounds"),
        ("(call $say) (loop (br 0))", 152, ""),
        ("(call $say) (loop (br_if 0 (i32.eqz (call $random (i32.const 0) (i32.const 64)))))", 152, ""),
        ("(loop (call $say) (br 0))", 153, ""),
        ("(call $say) (drop (call $resize (call $make) (i64.const 5000)))", 153, ""),
    ],
)
def test_every_end_has_one_code(body, code, words):
    table = "(table 3 funcref) (elem (i32.const 1) $make)"
    done = run(body, more=table)
    assert done.exit_code == code
    assert done.stderr.decode() == (f"main.wasm: trap: {words}\n" if words else "")
    assert done.stdout.startswith(b"said\n")
    assert (done.fuel == 10_000_000) is (code == 152)
    again = run(body, more=table)
    assert (again.fuel, again.state_digest) == (done.fuel, done.state_digest)
    assert again == done


@pytest.mark.parametrize(
    "store",
    [
        "(v128.store (i32.const {at}) (v128.const i64x2 -1 -1))",
        "(i64.store (i32.const {at}) (i64.const -1))",
        "(i32.store16 (i32.const {at}) (i32.const -1))",
        "(drop (i64.load (i32.const {at})))",
        "(drop (i64.load (i32.const 70000)))",
    ],
)
def test_a_store_that_is_half_outside_leaves_the_same_on_every_processor(store):
    """Some write what is inside before they trap: the bytes that this may be are not in the state."""
    clean = run("(drop (i32.load (i32.const 65535)))")
    before = "(memory.fill (i32.const 65521) (i32.const 7) (i32.const 15))"
    done = run(before + store.format(at=65535))
    assert (done.exit_code, done.state_digest) == (134, clean.state_digest)
    further = run("(i32.store8 (i32.const 65520) (i32.const 7))" + store.format(at=65535))
    assert further.state_digest != clean.state_digest
    assert run(f"{before} unreachable").state_digest != clean.state_digest


def test_a_memory_of_no_bytes_ends_out_of_bounds_too():
    engine = make_engine()
    wat = '(module (memory 0) (func (export "_start") (drop (i32.load (i32.const 0)))))'
    module, _ = compile_module(engine, bytes(wat2wasm(wat)))
    assert run_module(engine, module, WasmTask(**DEFAULTS), Tree()).exit_code == 134


def test_recursion_without_end_is_an_output():
    more = "(func $deep (param i64) (call $deep (local.get 0)) (call $say))"
    done = in_thread(lambda: run("(call $deep (i64.const 1))", more=more, fuel=1 << 40))
    assert (done.exit_code, done.stderr) == (134, b"main.wasm: trap: call stack exhausted\n")


def test_a_memory_that_is_too_large_at_the_beginning_is_no_fault_of_the_host():
    done = run("(call $say)", memory_bytes=65535)
    assert (done.exit_code, done.stdout, done.fuel) == (137, b"", 0)


def test_growing_beyond_the_limit_gives_minus_one_whatever_the_host_has():
    body = """(local i32) (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
              (call $exit (memory.size))"""
    assert run(body).exit_code == 16
    assert run(body, memory_bytes=3 * 65536 + 5).exit_code == 3


def test_nans_are_canonical():
    body = """(f64.store (i32.const 64) (f64.sub (f64.const inf) (f64.const inf)))
              (f32.store (i32.const 72) (f32.sqrt (f32.const -1)))
              (v128.store (i32.const 76) (f32x4.div (f32x4.splat (f32.const 0)) (f32x4.splat (f32.const 0))))
              (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 28))
              (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"""
    assert run(body).stdout == struct.pack("<Q5I", 0x7FF8 << 48, *[0x7FC00000] * 5)


def test_the_state_digest_is_of_the_whole_memory_and_of_nothing_else():
    same = [run(f"(i32.store8 (i32.const 65535) (i32.const {n}))").state_digest for n in (1, 1, 2)]
    assert same[0] == same[1] != same[2]
    assert run("", more="(global $other (mut i32) (i32.const 5))").state_digest == run("").state_digest


def test_outputs_are_collected_and_a_file_that_is_too_large_takes_all_of_them():
    body = "(drop (call $resize (call $make) (i64.const 3)))"
    assert [(one.path, one.content) for one in run(body).outputs] == [
        ("outputs/outs", None),
        ("outputs/outs/file", bytes(3)),
    ]
    assert run(body, output_bytes=2).outputs == ()


def test_a_failing_parent_ends_the_run_and_is_no_outcome():
    class Lost(Tree):
        def draw(self, count):
            raise EOFError("gone")

    with pytest.raises(EOFError):
        run("(drop (call $random (i32.const 0) (i32.const 1)))", parent=Lost())


def test_a_host_without_the_memory_that_was_promised_runs_nothing():
    with pytest.raises(HostFailureError, match="no 4611686018427387904 bytes"):
        run("", memory_bytes=1 << 62)


def test_calls_while_it_is_instantiated_find_the_memory():
    more = "(start $say)"
    assert run("", more=more).stdout == b"said\n"


def test_inputs_are_where_they_were_mounted():
    tree = Tree(outs={"file": b"inside"})
    done = run("(call $exit (call $make))", parent=tree, mounts=mounted(tree, "/given/outs"), outputs=())
    assert done.exit_code == 0  # nothing was opened: there is no /outs
