"""The Node side: modules that run in Node and inside Pyodide, and where to find them.

Holds no logic in Python. `HOST_MODULES` and `GUEST_MODULES` are part of every prepared runtime and so of its CID.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

HOST_DIR: Final = Path(__file__).parent
"""Where the `.mjs` files lie."""

HOST_MODULES: Final = (
    "boot.mjs",
    "build.mjs",
    "checkpoint.mjs",
    "clock.mjs",
    "collect.mjs",
    "devices.mjs",
    "disk.mjs",
    "entropy.mjs",
    "file_state.mjs",
    "file_system.mjs",
    "frames.mjs",
    "gate.mjs",
    "handed_fs.mjs",
    "hex.mjs",
    "host.mjs",
    "image.mjs",
    "imports.mjs",
    "instrument/admission.mjs",
    "instrument/bytes.mjs",
    "instrument/call_graph.mjs",
    "instrument/canonical_nan.mjs",
    "instrument/fuel_plan.mjs",
    "instrument/function_reader.mjs",
    "instrument/function_writer.mjs",
    "instrument/hidden_state.mjs",
    "instrument/instrument.mjs",
    "instrument/meter.mjs",
    "instrument/module_reader.mjs",
    "instrument/nan_plan.mjs",
    "instrument/opcodes.mjs",
    "instrument/refusals.mjs",
    "instrument/section_writers.mjs",
    "instrument/stack_plan.mjs",
    "instrument/tool.mjs",
    "instrument/webs.mjs",
    "last_pages.mjs",
    "libraries.mjs",
    "links.mjs",
    "lockdown.mjs",
    "path_tree.mjs",
    "pristine.mjs",
    "remote_tree.mjs",
    "runtime_files.mjs",
    "source_trace.mjs",
    "source_tree.mjs",
    "state_digest.mjs",
    "table_watch.mjs",
    "task.mjs",
    "utf8_order.mjs",
    "wheel_tree.mjs",
    "worker.mjs",
    "world.mjs",
)

GUEST_MODULES: Final = (
    "_faas_data.py",
    "_faas_loop.py",
    "_faas_main.py",
    "_faas_preload.py",
    "_faas_result.py",
    "_faas_seal.py",
    "_faas_trace.py",
)
"""Python that runs inside Pyodide; below `guest/`."""


def npm_manifest_dir() -> Path:
    """Return the directory with package.json and package-lock.json: the checkout's root, or inside the wheel."""
    inside = HOST_DIR / "npm"
    return inside if inside.is_dir() else HOST_DIR.parent
