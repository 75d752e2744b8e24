"""An engine whose clock is wrong once: at one of its readings, in tasks of one epoch, and right before and after.

Only what a worker is handed is another file; the function, its images and its task are everybody's, so this is
a node whose machine has failed, and no other runtime.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import runtime.pyodide_engine
from runtime.prepared_runtime import RuntimeDirectory
from runtime.pyodide_engine import PyodideEngine, make_pool

EPOCH = 1_234_567_890
"""Of the tasks in which the clock is wrong: images are made in others."""
_READ = "    this.#elapsedNs += TICK_NS;\n"
_GATE = "this.#epochNs === {epoch}000000000n && this.#elapsedNs === {reading}000n"


class UncheckedDirectory(RuntimeDirectory):
    """Files of a runtime that are not what its manifest says."""

    def check(self) -> None:
        """Find nothing."""


def faulty_engine(engine: PyodideEngine, directory: Path, reading: int, monkeypatch) -> PyodideEngine:
    """Return an engine beside another that shows the clock 7 ns late at one reading, counted from 1."""
    sound = runtime.pyodide_engine.find_runtime

    def find(cid, store, runtimes_dir):
        if runtimes_dir != directory:
            return sound(cid, store, runtimes_dir)
        found = sound(cid, store, engine.runtimes_dir)
        target = directory / found.path.name
        if not target.is_dir():
            shutil.copytree(found.path, target)
            clock = (target / "clock.mjs").read_text()
            assert clock.count(_READ) == 1
            gate = _GATE.format(epoch=EPOCH, reading=reading)
            (target / "clock.mjs").write_text(clock.replace(_READ, f"{_READ}    if ({gate}) this.#elapsedNs += 7n;\n"))
        return UncheckedDirectory(path=target, manifest=found.manifest)

    monkeypatch.setattr(runtime.pyodide_engine, "find_runtime", find)
    images = engine.images_dir or engine.wheels_dir.parent / "images"
    return dataclasses.replace(engine, runtimes_dir=directory, images_dir=images, pool=make_pool())
