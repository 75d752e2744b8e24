"""The numbers of the profile `wasi-1` that are neither WASI's nor of the stack (`wasm_stack`): part of the runtime."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

PROFILE: Final = "wasi-1"
ENGINE: Final = "wasmtime"
PROGRAM_NAME: Final = "main.wasm"
"""What a program is told that it is called: the name of a file is no part of a task."""
MAX_TABLE_ELEMENTS: Final = 10_000_000
"""Of all tables of a module."""
FEATURES: Final = MappingProxyType(
    {
        "bulk_memory": True, "multi_value": True, "reference_types": True, "simd": True,
        "relaxed_simd": False, "threads": False, "tail_call": False, "exceptions": False, "gc": False,
        "function_references": False, "memory64": False, "multi_memory": False, "stack_switching": False,
        "wide_arithmetic": False, "custom_page_sizes": False,
    }
)  # fmt: skip
"""WebAssembly 2.0 and nothing that came later, by the names that wasmtime has for it."""

ABORTED: Final = 134
"""Exit code of every trap: the shell's code for SIGABRT, as compilers make `abort()` and panics an `unreachable`."""
OUT_OF_MEMORY: Final = 137
"""Where a module's memory is larger at its beginning than it may ever be."""
OUT_OF_FUEL: Final = 152
OUTPUT_EXCEEDED: Final = 153
