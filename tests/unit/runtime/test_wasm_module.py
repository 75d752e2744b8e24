"""Reading modules, counting their stack, and what is refused: bytes of strangers, taken apart by hand."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from wasmtime import Instance, Module, Store, Trap, wat2wasm

from runtime.wasm_config import StaleError, check_module, compile_module, load_compiled, make_engine
from runtime.wasm_module import MAX_MODULE_BYTES, ModuleError, read_module
from runtime.wasm_stack import FRAME_BYTES, LEFT_NAME, MEMORY_NAME, SPENT, STACK_BYTES, VALUE_BYTES, count_stack

EMPTY = b"\0asm\1\0\0\0"
START = '(func (export "_start"))'


def assembled(text):
    return bytes(wat2wasm(f"(module {text})"))


@pytest.fixture(scope="module")
def engine():
    return make_engine()


def instance_of(engine, data):
    store = Store(engine)
    store.set_fuel(1 << 60)
    return store, Instance(store, Module(engine, data), [])


def in_thread(play):
    """Call it with as much of the host's stack as a worker has."""
    before = threading.stack_size(1 << 30)
    try:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(play).result()
    finally:
        threading.stack_size(before)


def test_a_module_is_taken_apart():
    module = read_module(
        assembled(
            """(import "a" "b" (func (param i64) (result i32)))
               (func (export "f") (param f32) (result v128) unreachable) (func (param i32 i32))
               (memory 3 9) (table 7 funcref) (table 2 externref)
               (global i32 (i32.const 1)) (global f64 (f64.const 2))"""
        )
    )
    assert [(one.module, one.name) for one in module.imports] == [("a", "b")]
    assert module.parameters[module.functions[0]] == b"\x7d"
    assert module.results[module.functions[0]] == b"\x7b"
    assert (module.memory_pages, module.table_elements, module.globals) == (3, 9, 2)
    assert [(one.name, one.kind, one.index) for one in module.exports] == [("f", 0, 1)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "does not begin with"),
        (b"(module)", "does not begin with"),
        (b"\0asm\x0d\0\1\0", r"is a component \(WASI 0\.2\), and only core modules"),
        (b"\0asm\2\0\0\0", "a version of WebAssembly that is not known"),
        (EMPTY + b"\x01", "ends too early"),
        (EMPTY + b"\x01\xff\xff\xff\xff\xff\x01", "a number is too long"),
        (EMPTY + b"\x01\xff\xff\xff\xff\x7f", "a number is too large"),
        (EMPTY + b"\x01\x01\x05", "ends too early"),
        (EMPTY + b"\x01\x04\x01\x5f\x00\x00", "a type that this profile does not have"),
        (EMPTY + b"\x03\x01\x00\x01\x01\x00", "out of order"),
        (EMPTY + b"\x01\x01\x00\x01\x01\x00", "out of order"),
        (EMPTY + b"\x0d\x01\x00", "section 13, which this profile does not have"),
        (EMPTY + b"\x03\x02\x01\x00", "of a type that is not there"),
        (EMPTY + b"\x07\x05\x01\x01\xff\x00\x00", "not UTF-8"),
        (EMPTY + b"\x07\x05\x01\x01a\x09\x00", "unknown kind"),
        (b"\0asm" + bytes(MAX_MODULE_BYTES), "more than"),
    ],
)  # fmt: skip
def test_what_is_no_module_is_refused_in_words(data, said):
    with pytest.raises(ModuleError, match=said):
        read_module(data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no function _start"),
        ('(func (export "_start") (param i32))', "takes arguments"),
        ('(memory (export "_start") 1)', "no function _start"),
        (f'(import "env" "f" (func)) {START}', "env.f, which WASI preview 1 does not have"),
        (f'(import "wasi_snapshot_preview1" "fd_write" (func)) {START}', "with another type"),
        (f'(import "wasi_snapshot_preview1" "sock_open" (func)) {START}', "does not have"),
        (f'(import "env" "memory" (memory 1)) {START}', "imports the memory env.memory"),
        (f"(memory 1) (memory 1) {START}", "memories are more than"),
        (f"(memory i64 1) {START}", "of 64 bits"),
        (f"(memory 1 1 shared) {START}", "shared"),
        (f"(table 20000000 funcref) {START}", "more than 10000000"),
        ('(func (export "_start") (return_call 0))', "not valid"),
        ('(func (export "_start") (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i64x2 0 0))))', "not valid"),
        ("(tag) " + START, "section 13"),
        (f'(memory (export "{MEMORY_NAME}") 1) {START}', None),
    ],
)
def test_what_the_profile_does_not_have_is_refused(engine, text, said):
    data = assembled(text)
    if said is None:
        with pytest.raises(ModuleError, match="belongs to the runtime"):
            compile_module(engine, data)
        return
    with pytest.raises(ModuleError, match=said):
        check_module(engine, data)


RECURSION = """(func $deep (export "deep") (param $n i32) (param f64) (result i32) (local i64 i64)
    (if (result i32) (i32.eqz (local.get $n)) (then (i32.const 0))
     (else (i32.add (i32.const 1) (call $deep (i32.sub (local.get $n) (i32.const 1)) (f64.const 0))))))
  (func $table (export "by_table") (param $n i32) (result i32)
    (if (result i32) (i32.eqz (local.get $n)) (then (i32.const 0))
     (else (i32.add (i32.const 1)
       (call_indirect (param i32) (result i32) (i32.sub (local.get $n) (i32.const 1)) (i32.const 0))))))
  (table 1 funcref) (elem (i32.const 0) $table)
  (func $many (export "many") (param i32) (result i32 i64) (call $two))
  (func $two (result i32 i64) (i32.const 7) (i64.const 8))
  (memory 2) (data (i32.const 5) "kept") (global $g (mut i32) (i32.const 41))
  (func (export "global") (result i32) (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g))
  (func (export "_start"))"""


def test_a_counted_module_does_the_same_and_gives_back_what_it_took(engine):
    store, instance = instance_of(engine, count_stack(read_module(assembled(RECURSION))))
    exports = instance.exports(store)
    for _ in range(2):
        assert exports["deep"](store, 1000, 0.0) == 1000
        assert exports["by_table"](store, 1000) == 1000
        assert exports["many"](store, 1) == [7, 8]
        assert exports[LEFT_NAME].value(store) == STACK_BYTES
    assert [exports["global"](store), exports["global"](store)] == [42, 43]
    assert exports[MEMORY_NAME].read(store, 5, 9) == b"kept"


@pytest.mark.parametrize(("name", "values"), [("deep", 4), ("by_table", 1)])
def test_recursion_ends_at_a_depth_that_is_counted(engine, name, values):
    """The deepest call that fits is computed from the module alone: no machine, no compiler has a part in it."""
    deepest = STACK_BYTES // (FRAME_BYTES + VALUE_BYTES * values)
    store, instance = instance_of(engine, count_stack(read_module(assembled(RECURSION))))
    exports = instance.exports(store)
    arguments = (0.0,) if name == "deep" else ()

    def play():
        assert exports[name](store, deepest - 1, *arguments) == deepest - 1
        with pytest.raises(Trap):
            exports[name](store, deepest, *arguments)
        return True

    assert in_thread(play)
    assert exports[LEFT_NAME].value(store) == SPENT


def test_what_was_compiled_is_loaded_and_what_was_not_is_stale(engine):
    _, compiled = compile_module(engine, assembled(START))
    assert [one.name for one in load_compiled(engine, bytes(compiled)).exports] == ["_start", LEFT_NAME]
    for harmed in (b"", bytes(compiled[:100]), b"\0asm\1\0\0\0"):
        with pytest.raises(StaleError):
            load_compiled(engine, harmed)


def test_every_cut_of_a_module_is_refused_or_valid(engine):
    """No prefix, and no changed byte, makes the reader raise anything but its own error."""
    data = assembled(RECURSION)
    for at in range(len(data)):
        for changed in (data[:at], data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]):
            try:
                count_stack(check_module(engine, changed))
            except ModuleError:
                continue
