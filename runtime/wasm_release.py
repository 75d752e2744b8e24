"""The profile `wasi-1`: which runtime this release runs modules in, as one CID.

The manifest names the engine with its version and settings, and the source of what answers the guest's calls. A machine
runs a module only in the runtime of its own release: the answering code is never taken from anyone.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from runtime.wasi_imports import CALL_FUEL
from runtime.wasm_profile import ENGINE, FEATURES, MAX_TABLE_ELEMENTS, PROFILE
from runtime.wasm_stack import FRAME_BYTES, STACK_BYTES, VALUE_BYTES
from storage.cid import CID
from storage.errors import UnavailableError
from verifier.model import node_cid
from verifier.wasm_types import WasmRuntime

HOST_MODULES: Final = (
    "state_digest.py", "wasi_abi.py", "wasi_clock.py", "wasi_descriptors.py", "wasi_files.py", "wasi_imports.py",
    "wasi_inputs.py", "wasi_memory.py", "wasi_nodes.py", "wasi_paths.py", "wasi_status.py", "wasi_system.py",
    "wasi_tree.py", "wasm_collect.py", "wasm_config.py", "wasm_module.py", "wasm_profile.py", "wasm_run.py",
    "wasm_stack.py", "wasm_streams.py", "wasm_task.py", "wasm_world.py",
)  # fmt: skip
"""What an output depends on, of this package."""


@cache
def engine_version() -> str:
    """Return the version of the engine that is installed.

    Raises:
        UnavailableError: it is not.
    """
    try:
        return version(ENGINE)
    except PackageNotFoundError as error:
        raise UnavailableError("is not installed", where=ENGINE, fix="install bacalhau again") from error


@cache
def wasm_runtime() -> WasmRuntime:
    """Return the manifest of this installation's runtime.

    Raises:
        UnavailableError: the engine is not installed.
    """
    settings: dict[str, Any] = {
        "nan": "canonical",
        "features": dict(FEATURES),
        "fuel": {"instructions": ENGINE, "call": CALL_FUEL, "byte": 1},
        "stack": {"bytes": STACK_BYTES, "frame": FRAME_BYTES, "value": VALUE_BYTES},
        "table_elements": MAX_TABLE_ELEMENTS,
    }
    return WasmRuntime(profile=PROFILE, engine=ENGINE, version=engine_version(), host=_host_digest(), settings=settings)


@cache
def wasm_runtime_cid() -> CID:
    """Return the CID of this installation's runtime; raises as `wasm_runtime`."""
    return node_cid(wasm_runtime())


def _host_digest() -> str:
    digest = hashlib.sha256(b"bacalhau-wasi-host/1\0")
    for name in HOST_MODULES:
        source = (Path(__file__).parent / name).read_bytes()
        digest.update(name.encode() + b"\0" + len(source).to_bytes(8, "little") + source)
    return digest.hexdigest()
