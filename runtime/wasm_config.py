"""The engine of the profile `wasi-1`: wasmtime with every setting that decides a result. Imported by the worker alone.

Compiled code is tied to the engine's version, these settings and the processor; it is made on this machine and never
taken from anyone, for loading it is running it.
"""

from __future__ import annotations

from typing import Final

from wasmtime import Config, Engine, Module, WasmtimeError
from wasmtime import _ffi as ffi

from runtime.wasi_imports import MODULE, RETURNS_NOTHING, SIGNATURES
from runtime.wasm_module import KINDS, ModuleError, WasmModule, read_module
from runtime.wasm_profile import FEATURES, MAX_TABLE_ELEMENTS
from runtime.wasm_stack import HOST_STACK_SHARE, STACK_BYTES, count_stack
from storage.counting import counted

__all__ = ["Engine", "Module", "StaleError", "check_module", "compile_module", "load_compiled", "make_engine"]

HOST_STACK_BYTES: Final = HOST_STACK_SHARE * STACK_BYTES
START: Final = "_start"
_I32, _I64 = 0x7F, 0x7E


class StaleError(Exception):
    """What was compiled is of another version, of other settings, or for another processor."""


def make_engine() -> Engine:
    """Return an engine. Time is no setting of it: what takes too long is ended from outside."""
    config = Config()
    for name, is_on in FEATURES.items():
        setattr(config, f"wasm_{name}", is_on)
    config.cranelift_nan_canonicalization = True
    config.consume_fuel = True
    config.memory_init_cow = False  # it needs a file in memory, and one instance gains nothing
    config.memory_reservation = 1 << 32
    config.memory_may_move = False
    # It must hold the other one, though nothing is asynchronous here.
    ffi.wasmtime_config_async_stack_size_set(config.ptr(), HOST_STACK_BYTES + (1 << 20))
    config.max_wasm_stack = HOST_STACK_BYTES
    return Engine(config)


def check_module(engine: Engine, data: bytes) -> WasmModule:
    """Check that a module can be run in this profile, and return it taken apart.

    Raises:
        ModuleError: it cannot; says why.
    """
    module = read_module(data)
    for one in module.imports:
        _check_import(module, one.module, one.name, one.type_index)
    if module.table_elements > MAX_TABLE_ELEMENTS:
        raise ModuleError(
            f"its tables have {counted(module.table_elements, 'element')}, more than {MAX_TABLE_ELEMENTS}"
        )
    start = next((export for export in module.exports if export.name == START), None)
    if start is None or KINDS[start.kind] != "function":
        raise ModuleError(f"exports no function {START}: it is no WASI command (a program with a main function)")
    own = start.index - len(module.imports)
    if not 0 <= own < len(module.functions) or _type(module, module.functions[own]) != (b"", b""):
        raise ModuleError(f"its {START} takes arguments, gives results, or is an import")
    try:
        Module.validate(engine, data)
    except WasmtimeError as error:
        raise ModuleError(f"is not valid: {_first_line(error)}") from error
    return module


def _check_import(module: WasmModule, space: str, name: str, type_index: int) -> None:
    if space != MODULE or name not in SIGNATURES:
        raise ModuleError(f"imports {space}.{name}, which WASI preview 1 does not have")
    parameters = bytes(_I64 if letter == "I" else _I32 for letter in SIGNATURES[name])
    results = b"" if name in RETURNS_NOTHING else bytes([_I32])
    if _type(module, type_index) != (parameters, results):
        raise ModuleError(f"imports {space}.{name} with another type than it has")


def _type(module: WasmModule, index: int) -> tuple[bytes, bytes]:
    if index >= len(module.parameters):
        raise ModuleError("names a type that is not there")
    return module.parameters[index], module.results[index]


def compile_module(engine: Engine, data: bytes) -> tuple[Module, bytearray]:
    """Compile a module whose stack is counted; return it, and what `load_compiled` takes.

    Raises:
        ModuleError: it cannot be run in this profile.
    """
    counted = count_stack(check_module(engine, data))
    try:
        module = Module(engine, counted)
    except WasmtimeError as error:
        raise ModuleError(f"cannot be compiled: {_first_line(error)}") from error
    return module, module.serialize()


def load_compiled(engine: Engine, data: bytes) -> Module:
    """Return a module that was compiled on this machine.

    Raises:
        StaleError: it was for another one, or something changed since.
    """
    try:
        return Module.deserialize(engine, data)
    except WasmtimeError as error:
        raise StaleError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
