"""The pinned release: which Pyodide this version of Bacalhau prepares runtimes from.

Raising a pin makes a new runtime CID; records made with older runtimes keep theirs and stay runnable from their blocks.
"""

from __future__ import annotations

from typing import Final

PROFILE: Final = "pyodide-1"
"""Determinism profile (docs/determinism.md). A changed rule is a new profile."""

PYODIDE_VERSION: Final = "314.0.3"
PYTHON_VERSION: Final = "3.14"
PLATFORM: Final = "pyemscripten_2026_0_wasm32"

PYODIDE_FILES: Final = {
    "pyodide.asm.mjs": "1a9775427ef6e8abaa7db88ece0515422d1886915ae5c9093776410c865dfd8d",
    "pyodide.asm.wasm": "e7f8fac36f8bf11085309cbc5c829b3ec3057c18bf1d73b05a6741612d63cdbf",
    "python_stdlib.zip": "444c770dfd75a32097fc0a7d5c1413fd3140601f49c3a1f2e9af0376fcd124b4",
}
"""sha-256 of the files of the npm package that become part of the runtime."""

DISTRIBUTION_FILE: Final = "pyodide-lock.json"
"""List of the packages built for this release, with hashes; read when requirements are locked."""
DISTRIBUTION_SHA256: Final = "c963d22858f6bcb8f41586a2142f03905ab370c88ea22a86a2736e95fac2a8f3"
"""sha-256 of that list: two machines with the same one lock alike."""
