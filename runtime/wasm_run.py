"""Runs one module once, and says what came of it. Imported by the worker alone.

What the guest does is an outcome, its traps included; what the host does not have is `HostFailureError`.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

from wasmtime import (
    Caller,
    Engine,
    Func,
    FuncType,
    Global,
    Instance,
    Linker,
    Memory,
    MemoryType,
    Module,
    Store,
    Trap,
    TrapCode,
    ValType,
    WasmtimeError,
)
from wasmtime import _ffi as ffi
from wasmtime._extern import wrap_extern

from runtime.state_digest import state_digest
from runtime.wasi_imports import MODULE, RETURNS_NOTHING, SIGNATURES
from runtime.wasi_system import GuestExitError
from runtime.wasm_collect import Collected
from runtime.wasm_config import START
from runtime.wasm_module import PAGE_BYTES
from runtime.wasm_profile import ABORTED, MAX_TABLE_ELEMENTS, OUT_OF_FUEL, OUT_OF_MEMORY, OUTPUT_EXCEEDED, PROGRAM_NAME
from runtime.wasm_stack import LEFT_NAME, MEMORY_NAME, SPENT
from runtime.wasm_streams import OutputExceededError
from runtime.wasm_task import Outcome, WasmTask
from runtime.wasm_world import Parent, World, make_world

UNBOUNDED_FUEL: Final = (1 << 63) - 1
_TRAPS: Final[Mapping[TrapCode, str]] = MappingProxyType(
    {
        TrapCode.MEMORY_OUT_OF_BOUNDS: "memory access out of bounds",
        TrapCode.TABLE_OUT_OF_BOUNDS: "table access out of bounds",
        TrapCode.INDIRECT_CALL_TO_NULL: "call of an empty table element",
        TrapCode.BAD_SIGNATURE: "call of a function of another type",
        TrapCode.INTEGER_OVERFLOW: "integer overflow",
        TrapCode.INTEGER_DIVISION_BY_ZERO: "integer division by zero",
        TrapCode.BAD_CONVERSION_TO_INTEGER: "conversion to an integer that cannot hold it",
        TrapCode.UNREACHABLE: "unreachable instruction",
    }
)
"""Traps that are the guest's doing. The words are ours: they are part of the output, and the engine's may change."""
TORN_BYTES: Final = 15
"""Of the memory's end, which are zeros in the state of a run that ended by an access out of bounds: a store of 16 bytes
that begins inside and ends outside has written what is inside, or has not, by what the processor likes."""
_STACK_SPENT: Final = "call stack exhausted"


class HostFailureError(Exception):
    """The host, not the guest, failed."""


class OutOfFuelError(Exception):
    """A call cost more than there was left."""


def run_module(engine: Engine, module: Module, task: WasmTask, parent: Parent) -> Outcome:
    """Run a module's `_start` in a store and an instance of its own, which are gone when this returns.

    Raises:
        HostFailureError: the host has too little of something, or its own stack ended first.
    """
    _check_room(task.memory_bytes)
    run = _Run(engine, module, task, parent)
    try:
        return run.outcome()
    finally:
        run.close()


def _check_room(memory_bytes: int) -> None:
    """Go on if the host has the memory that the guest may come to have: a growth that fails for want of it looks to the
    guest as if it had reached its limit."""
    try:
        mmap.mmap(-1, memory_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError as error:
        raise HostFailureError(f"the host has no {memory_bytes} bytes of memory: {error.strerror}") from error


class _Run:
    """One instance."""

    def __init__(self, engine: Engine, module: Module, task: WasmTask, parent: Parent) -> None:
        self._module = module
        self._task = task
        self._fuel = UNBOUNDED_FUEL if task.fuel is None else task.fuel
        self._store = Store(engine)
        self._store.set_limits(
            memory_size=task.memory_bytes, table_elements=MAX_TABLE_ELEMENTS, instances=1, memories=1
        )
        self._store.set_fuel(self._fuel)
        self._memory: Memory | None = None
        self._view = memoryview(bytearray())
        self._instance: Instance | None = None
        self._linker = Linker(engine)
        self._world: World = make_world(task, parent, self._look)

    def outcome(self) -> Outcome:
        world = self._world
        code = self._run() if self._fits() else OUT_OF_MEMORY
        left = self._store.get_fuel()
        outputs: list[Collected] = []
        if code != OUTPUT_EXCEEDED:
            try:
                outputs = world.collected()
            except OutputExceededError:
                code = OUTPUT_EXCEEDED
        return Outcome(
            exit_code=code,
            stdout=world.stdout.content,
            stderr=world.stderr.content,
            outputs=tuple(outputs),
            fuel=self._fuel - left,
            state_digest=state_digest(self._look()),
        )

    def close(self) -> None:
        """Give back the guest's memory and all that belongs to the store."""
        # The view reads the memory wherever it is: it must not outlive it.
        self._view, self._memory, self._instance = memoryview(b""), None, None
        self._linker.close()
        self._store.close()

    def _fits(self) -> bool:
        """Tell whether the memory is, at the beginning, no larger than it may be."""
        ours = (one.type for one in self._module.exports if one.name == MEMORY_NAME)
        return all(
            one.limits.min * PAGE_BYTES <= self._task.memory_bytes for one in ours if isinstance(one, MemoryType)
        )

    def _run(self) -> int:
        """Run the guest to its end, however that comes, and return the exit code."""
        try:
            self._define_calls()
            self._instance = self._linker.instantiate(self._store, self._module)
            self._find_memory(lambda name: _export(self._store, self._instance, name))
            start = _export(self._store, self._instance, START)
            assert isinstance(start, Func)  # noqa: S101  checked before it was compiled
            start(self._store)
        except GuestExitError as ended:
            return ended.code
        except OutputExceededError:
            return OUTPUT_EXCEEDED
        except OutOfFuelError:
            return OUT_OF_FUEL
        except Trap as trap:
            return self._trapped(trap.trap_code)
        except WasmtimeError as error:
            raise HostFailureError(" ".join(str(error).split())[:300]) from error
        return 0

    def _trapped(self, code: TrapCode | None) -> int:
        if code is TrapCode.OUT_OF_FUEL:
            return OUT_OF_FUEL
        if code is TrapCode.STACK_OVERFLOW:
            raise HostFailureError("the host's stack ended before the guest's")
        if code is None or code not in _TRAPS:
            raise HostFailureError(f"the engine ended the run: {code}")
        words = _TRAPS[code]
        if code is TrapCode.MEMORY_OUT_OF_BOUNDS:
            end = self._look()[-TORN_BYTES:]
            end[:] = bytes(len(end))
        if code is TrapCode.UNREACHABLE and self._stack_left() == SPENT:
            words = _STACK_SPENT
        with suppress(OutputExceededError):  # as much as there is room for
            self._world.stderr.write(memoryview(f"{PROGRAM_NAME}: trap: {words}\n".encode()))
        return ABORTED

    def _stack_left(self) -> int | None:
        left = None if self._instance is None else _export(self._store, self._instance, LEFT_NAME)
        return int(left.value(self._store)) if isinstance(left, Global) else None

    # The guest's calls

    def _define_calls(self) -> None:
        linker = self._linker
        linker.allow_shadowing = True  # one that is imported twice
        for one in self._module.imports:
            name = str(one.name)
            parameters = [ValType.i64() if letter == "I" else ValType.i32() for letter in SIGNATURES[name]]
            results = [] if name in RETURNS_NOTHING else [ValType.i32()]
            linker.define_func(MODULE, name, FuncType(parameters, results), self._answer(name), access_caller=True)

    def _answer(self, name: str) -> Callable[..., Any]:
        host, store = self._world.host, self._store

        def answer(caller: Caller, *numbers: int) -> int:
            if self._memory is None:  # called while the module is being instantiated
                self._find_memory(caller.get)
            errno = host.call(name, *numbers)
            spent, left = host.spent(), store.get_fuel()
            if spent > left:
                store.set_fuel(0)
                raise OutOfFuelError
            store.set_fuel(left - spent)
            return errno

        return answer

    def _find_memory(self, find: Callable[[str], Any]) -> None:
        found = find(MEMORY_NAME)
        self._memory = found if isinstance(found, Memory) else None

    def _look(self) -> memoryview:
        """Return the guest's memory; none before there is an instance, or if the module has none."""
        if self._memory is None:
            return self._view
        size = self._memory.data_len(self._store)
        if size != len(self._view):
            # It never moves (`memory_may_move`), and lives as long as the store.
            pointer = ctypes.addressof(self._memory.data_ptr(self._store).contents)
            self._view = memoryview((ctypes.c_ubyte * size).from_address(pointer)).cast("B")
        return self._view


def _export(store: Store, instance: Instance | None, name: str) -> Any:
    """Return an export by its name: the engine's own list of all takes long where there are thousands."""
    if instance is None:
        return None
    found, text = ffi.wasmtime_extern_t(), name.encode()
    context = store._context()
    is_there = ffi.wasmtime_instance_export_get(
        context, ctypes.byref(instance._instance), ctypes.create_string_buffer(text), len(text), ctypes.byref(found)
    )
    if not is_there:
        return None
    return wrap_extern(found)
