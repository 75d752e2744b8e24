"""One process runs task after task of a module: nothing that one did can be seen by the next, whatever it was.

Every guest here leaves as much as it can behind, by every end that a run has; the one that comes after it looks at
everything that a guest can see, and must find what it finds in a process that never ran anything.
"""

import importlib

import pytest
from wasmtime import wat2wasm
from wasmtime._func import FUNCTIONS

from runtime.wasm_config import compile_module, make_engine
from runtime.wasm_release import HOST_MODULES
from runtime.wasm_run import run_module
from runtime.wasm_task import WasmTask
from tests.unit.runtime.test_wasm_module import in_thread
from tests.unit.runtime.wasi_world import Tree

GUEST = r"""(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $list (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (table $table 4 funcref)
  (elem (i32.const 1) $deep)
  (elem $kept func $deep)
  (data (i32.const 64) "tmp/left-behindtmp")
  (data $late "SECRET")
  (global $seen (mut i32) (i32.const 7))
  (global $wide (mut v128) (v128.const i64x2 1 2))
  (func $deep (call $deep))
  (func $say (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $length))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $number (param $value i32)
    (i32.store (i32.const 16) (local.get $value)) (call $say (i32.const 16) (i32.const 4)))
  (func $make (result i32)
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 15) (i32.const 1)
      (i64.const 536870911) (i64.const 536870911) (i32.const 0) (i32.const 24)))
    (i32.load (i32.const 24)))

  ;; everything that a guest can see
  (func $look (local $at i32) (local $sum i32)
    (call $number (memory.size))
    (loop $each
      (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31)) (i32.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br_if $each (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
    (call $number (local.get $sum))
    (call $number (global.get $seen))
    (v128.store (i32.const 32) (global.get $wide)) (call $say (i32.const 32) (i32.const 16))
    (call $number (table.size $table))
    (call $number (ref.is_null (table.get $table (i32.const 0))))
    (call $number (ref.is_null (table.get $table (i32.const 1))))
    ;; what was dropped, and what has a number: files, inodes, times
    (memory.init $late (i32.const 128) (i32.const 0) (i32.const 6)) (call $say (i32.const 128) (i32.const 6))
    (table.init $table $kept (i32.const 2) (i32.const 0) (i32.const 1))
    (call $number (call $open (i32.const 3) (i32.const 0) (i32.const 79) (i32.const 3) (i32.const 2)
      (i64.const 536870911) (i64.const 536870911) (i32.const 0) (i32.const 24)))
    (call $number (i32.load (i32.const 24)))
    (drop (call $list (i32.load (i32.const 24)) (i32.const 4096) (i32.const 4096) (i64.const 0) (i32.const 28)))
    (call $number (i32.load (i32.const 28)))
    (call $say (i32.const 4096) (i32.load (i32.const 28)))
    (call $number (call $make))
    (drop (call $stat (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 15) (i32.const 8192)))
    (call $say (i32.const 8192) (i32.const 64))
    (drop (call $time (i32.const 0) (i64.const 0) (i32.const 8192))) (call $say (i32.const 8192) (i32.const 8))
    (drop (call $time (i32.const 1) (i64.const 0) (i32.const 8192))) (call $say (i32.const 8192) (i32.const 8))
    (drop (call $random (i32.const 8192) (i32.const 32))) (call $say (i32.const 8192) (i32.const 32)))

  ;; as much as a guest can leave behind
  (func $spoil (local $i i32)
    (drop (memory.grow (i32.const 15)))
    (memory.fill (i32.const 256) (i32.const 0xaa) (i32.const 1048000))
    (drop (table.grow $table (ref.func $deep) (i32.const 50)))
    (table.fill $table (i32.const 0) (ref.func $deep) (i32.const 54))
    (global.set $seen (i32.const 99)) (global.set $wide (v128.const i64x2 -1 -1))
    (data.drop $late) (elem.drop $kept)
    (loop $more
      (drop (call $make))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $i) (i32.const 40))))
    (drop (call $renumber (call $make) (i32.const 0)))
    (drop (call $renumber (call $make) (i32.const 3)))
    (drop (call $random (i32.const 8192) (i32.const 48)))
    ;; an hour later
    (i64.store (i32.const 9000) (i64.const 0)) (i64.store (i32.const 9008) (i64.const 0))
    (i32.store (i32.const 9016) (i32.const 1)) (i64.store (i32.const 9024) (i64.const 3600000000000))
    (i64.store (i32.const 9032) (i64.const 0)) (i64.store (i32.const 9040) (i64.const 0))
    (drop (call $poll (i32.const 9000) (i32.const 9100) (i32.const 1) (i32.const 9200))))

  (func (export "_start") (local $how i32)
    (drop (call $sizes (i32.const 16) (i32.const 20)))
    (drop (call $args (i32.const 512) (i32.const 640)))
    (local.set $how (i32.load8_u (i32.load (i32.const 516))))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 64)) (memory.fill (i32.const 512) (i32.const 0) (i32.const 256))
    (if (i32.eq (local.get $how) (i32.const 0x6c)) (then (call $look) (return)))      ;; l
    (call $spoil)
    (if (i32.eq (local.get $how) (i32.const 0x65)) (then (call $exit (i32.const 3)))) ;; e
    (if (i32.eq (local.get $how) (i32.const 0x74)) (then unreachable))                ;; t
    (if (i32.eq (local.get $how) (i32.const 0x66)) (then (loop $ever (br $ever))))    ;; f
    (if (i32.eq (local.get $how) (i32.const 0x64)) (then (call_indirect $table (i32.const 1)))) ;; d
    (if (i32.eq (local.get $how) (i32.const 0x6f))                                    ;; o
      (then (loop $on (call $say (i32.const 4096) (i32.const 60000)) (br $on))))))
"""
ENDS = {"n": 0, "e": 3, "t": 134, "f": 152, "d": 134, "o": 153}


def task(how, **more):
    given = {
        "arguments": (how,), "environment": (), "stdin": None, "mounts": (), "outputs": (("outputs", "/outputs"),),
        "epoch_s": 0, "fuel": 20_000_000, "memory_bytes": 1 << 20, "output_bytes": 1 << 20,
    }  # fmt: skip
    return WasmTask(**{**given, **more})


class Process:
    """What a worker process has for the length of its life."""

    def __init__(self):
        self.engine = make_engine()
        self.module, _ = compile_module(self.engine, bytes(wat2wasm(GUEST)))

    def run(self, how, **more):
        return in_thread(lambda: run_module(self.engine, self.module, task(how, **more), Tree()))


@pytest.fixture(scope="module")
def process():
    return Process()


@pytest.fixture(scope="module")
def fresh():
    """What the guest that looks finds where nothing ran before."""
    found = Process().run("l")
    assert (found.exit_code, found.stderr) == (0, b"")
    return found


def test_the_guest_that_looks_sees_what_the_other_one_does(process, fresh):
    """Spoiling by itself, and looking then, gives another picture: a test that sees nothing shows nothing."""
    wat = GUEST.replace("(call $look) (return)", "(call $spoil) (call $look) (return)")
    engine = make_engine()
    module, _ = compile_module(engine, bytes(wat2wasm(wat)))
    found = run_module(engine, module, task("l"), Tree())
    assert found.stdout[:28] != fresh.stdout[:28]
    assert found.state_digest != fresh.state_digest


@pytest.mark.parametrize("how", ENDS)
def test_nothing_of_a_task_is_there_for_the_next(process, fresh, how):
    done = process.run(how)
    assert done.exit_code == ENDS[how]
    assert process.run("l") == fresh
    assert process.run(how) == done


def test_no_order_of_tasks_is_told_from_another(process, fresh):
    orders = (("o", "f", "t", "e", "n"), ("n", "e", "t", "f", "o"))
    one, other = ([process.run(how) for how in order] for order in orders)
    assert one == other[::-1]
    assert process.run("l") == fresh


def test_a_run_that_the_host_gave_up_leaves_nothing_either(process, fresh):
    class Gone(Tree):
        def draw(self, count):
            raise EOFError

    with pytest.raises(EOFError):
        run_module(process.engine, process.module, task("n"), Gone())
    assert process.run("l") == fresh


def test_what_a_run_had_is_given_back(process):
    process.run("n")
    before = len(FUNCTIONS.handles)
    for _ in range(3):
        process.run("t")
    assert len(FUNCTIONS.handles) == before


@pytest.mark.parametrize("name", HOST_MODULES)
def test_code_that_answers_guests_keeps_nothing_of_its_own(name):
    """What a module of the host names is made once and cannot be changed, so no call can leave anything in it."""
    module = importlib.import_module(f"runtime.{name.removesuffix('.py')}")
    changing = (dict, list, set, bytearray)
    own = {key: value for key, value in vars(module).items() if not key.startswith("__")}
    assert [key for key, value in own.items() if isinstance(value, changing)] == []
    assert [key for key, value in own.items() if hasattr(value, "cache_info")] == []
    for kind in [value for value in own.values() if isinstance(value, type) and value.__module__ == module.__name__]:
        kept = {key: value for key, value in vars(kind).items() if not key.startswith("_")}
        assert [key for key, value in kept.items() if isinstance(value, changing)] == [], kind
