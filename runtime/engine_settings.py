"""Flags and environment of each JavaScript engine: what keeps it in bounds, and gives it the whole stack.

Flags that refuse something are defence in depth (docs/sandbox.md): Node has many, Bun few.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_STACK_SHARE: Final = 0.9
"""The engine may use this part of the host's stack; the rest is for the native code below."""

NODE_FLAGS: Final = (
    "--no-warnings",
    "--no-addons",
    "--no-experimental-sqlite",  # opens and makes files that the permission model does not ask about
    "--no-deprecation",
    "--disable-proto=delete",
    "--disallow-code-generation-from-strings",
    "--permission",
)
"""What every Node of ours is started with, workers and the rewriter."""

_WORKER_FLAGS: Final = (
    "--wasm-lazy-validation",  # of functions when they are first called: modules are checked by their hashes
    "--min-semi-space-size=32",  # MB: starting leaves little that is garbage
    # CPython is many small functions, and counting fuel has made them larger than the engine expects: more of them are
    # put into one another (decision 0039). Node 22 knows these and puts nothing into anything.
    "--wasm-inlining-max-size=2000",  # bytes of a function that may be, 500 by default
    "--wasm-inlining-budget=50000",  # nodes of what comes of it, 5,000 by default
    "--wasm-inlining-factor=10",  # times its own nodes, 3 by default
)
"""What Node workers are started with besides, to start sooner and to run faster."""

_BUN_FLAGS: Final = ("--no-install", "--no-addons", "--no-env-file")

_BUN_ENVIRONMENT: Final[Mapping[str, str]] = {
    # RLIMIT_DATA counts what may be written to, used or not, so little is to be reserved that way.
    "BUN_JSC_jitMemoryReservationSize": str(256 << 20),
    "BUN_JSC_structureHeapSizeInKB": str(128 << 10),
    "MIMALLOC_ARENA_EAGER_COMMIT": "0",
    "MIMALLOC_SCAVENGER": "0",  # a thread with a stack of the main stack's size
    # The other kind of memory is copied when it grows, and may find no room where there is enough.
    "BUN_JSC_crashIfWasmCantFastMemory": "1",
    # A crash is the parent's to report, and not to be sent to anyone.
    "BUN_ENABLE_CRASH_REPORTING": "0",
    "DO_NOT_TRACK": "1",
}

_BUN_RESERVED_BYTES: Final = (4 << 30) + (64 << 20)
"""JavaScriptCore asks for all that a 32-bit memory could become, and for a margin, before it gives back the rest."""


def engine_flags(name: str, runtime_dir: Path, stack_bytes: int) -> list[str]:
    """Return the flags of an engine. stack_bytes: size of the main thread's stack."""
    if name == "bun":
        return [*_BUN_FLAGS]
    stack = f"--stack-size={int(stack_bytes / 1024 * _STACK_SHARE)}"
    return [*NODE_FLAGS, *_WORKER_FLAGS, f"--allow-fs-read={runtime_dir}", stack]


def engine_environment(name: str, stack_bytes: int) -> dict[str, str]:
    """Return the environment that an engine is started in; the guest has its own.

    stack_bytes: size of the main thread's stack.
    """
    environment = {"TZ": "UTC"}  # for the engine's own dates
    if name == "bun":
        environment |= _BUN_ENVIRONMENT
        environment["BUN_JSC_maxPerThreadStackUsage"] = str(int(stack_bytes * _STACK_SHARE))
    return environment


def reserved_bytes(name: str) -> int:
    """Return how much memory an engine is allowed for a moment, and never uses."""
    return _BUN_RESERVED_BYTES if name == "bun" else 0
