"""Functions that are WebAssembly modules, and the runtime that executes them.

They stand where a Python function and its runtime stand: a task names either kind, and inputs, receipts and records are
the same. `load_function` reads whichever it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import VerificationError
from verifier.bounds import Hex32, JsonMap, Link, Word
from verifier.model import Function, Input, Runtime, load_node, version_of
from verifier.schema import Schema

ARGUMENTS_KEY: Final = "argv"
"""The one key of `Input.args`: a list of texts, what stands behind the program's name."""
MAGIC: Final = b"\0asm\1\0\0\0"
"""How a core module begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmFunction(Schema):
    """f: a WASI command, run from its export `_start`."""

    VERSION: ClassVar[str] = "wasm-function/1"

    module: Link
    """UnixFS file, the binary form."""
    runtime: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmRuntime(Schema):
    """Manifest of a runtime for modules: everything but the module that can change an output."""

    VERSION: ClassVar[str] = "wasm-runtime/1"

    profile: Word
    """Determinism profile, such as `wasi-1`."""
    engine: Word
    version: Word
    """Of the engine: fuel is counted as it counts."""
    host: Hex32
    """sha2-256 over the source of what answers the guest's calls."""
    settings: JsonMap
    """Of the engine and of the profile, by name."""


AnyFunction: TypeAlias = Function | WasmFunction


def kind_of_function(store: BlockStore, cid: CID) -> type[Function | WasmFunction]:
    """Return which kind of function a block is, as it says itself; what is neither reads as a Python function's.

    Raises:
        UnavailableError: the block is not here.
    """
    return WasmFunction if version_of(store, cid) == WasmFunction.VERSION else Function


def runtime_kind(function: AnyFunction) -> type[Runtime | WasmRuntime]:
    """Return the type of a function's runtime."""
    return WasmRuntime if isinstance(function, WasmFunction) else Runtime


def parts_of(function: AnyFunction) -> tuple[CID, ...]:
    """Return what a function consists of."""
    if isinstance(function, WasmFunction):
        return function.module, function.runtime
    return function.source, function.lock, function.runtime


def load_function(store: BlockStore, cid: CID) -> AnyFunction:
    """Read a function of either kind.

    Raises:
        UnavailableError, VerificationError: as `verifier.model.load_node`.
    """
    return load_node(store, cid, kind_of_function(store, cid))


def arguments_of(input_: Input) -> tuple[str, ...]:
    """Return the arguments of a module's input.

    Raises:
        VerificationError: `args` is not a list of texts without NUL under the one key `argv`.
    """
    found = input_.args.get(ARGUMENTS_KEY)
    if input_.args.keys() != {ARGUMENTS_KEY} or not isinstance(found, list):
        raise VerificationError(f"must be a list under the one key {ARGUMENTS_KEY!r}", where="input/1: args")
    for number, text in enumerate(found):
        if not isinstance(text, str) or "\0" in text:
            raise VerificationError("must be a text without NUL", where=f"input/1: args.{ARGUMENTS_KEY}[{number}]")
    return tuple(found)


def check_module_start(head: bytes) -> None:
    """Check that a file begins as a core module does.

    Raises:
        VerificationError: it does not.
    """
    if head != MAGIC:
        raise VerificationError("is not a WebAssembly module", where="module")
