"""The process that runs one module: compiles it, or takes what was compiled before, and runs it task after task.

Every task gets a store, an instance and a world of its own (`wasm_run`, `wasm_world`); they share code alone.

Started by `wasm_engine` in a jail, with a bare interpreter: it imports nothing beyond the standard library, the
engine, and the modules named in `wasm_release.HOST_MODULES` with `frames` and `wasm_link`.

    parent: open {is_compiled}, piece…, end       the module, or what it was compiled to
    worker: stale                                  if that is of another machine; the parent sends the module instead
    worker: compiled, piece…, end                  what it compiled, before anything of the guest's has run
    worker: ready
    parent: task, with the task as JSON            from here on the worker asks (lookup, list, read, entropy)
    worker: phase…, file…, directory…, symlink…, done
    worker: pristine | spent                       nothing of the task is left; the next one, or no other, may come
    worker: failed {message}                       at any time: the host has failed, or the module is none
"""

from __future__ import annotations

import gc
import io
import json
import resource
import sys
import time
from collections.abc import Sequence
from typing import Final

from runtime.wasm_config import Engine, Module, StaleError, compile_module, load_compiled, make_engine
from runtime.wasm_link import Link, opened_pipes
from runtime.wasm_module import PAGE_BYTES, ModuleError
from runtime.wasm_run import HostFailureError, run_module
from runtime.wasm_task import Outcome, WasmTask

MAX_KEPT_BYTES: Final = 512 << 20
"""By which a process may have grown for a task and still run another: what was freed is not all given back."""
_TRIAL: Final = bytes.fromhex("0061736d01000000 010401600000 03020100 0503010001 070a01065f73746172740000 0a040102000b")
"""A module with one page of memory whose `_start` does nothing."""


def main(arguments: Sequence[str]) -> None:
    """Serve tasks over the descriptors that are named, until the parent is gone or enough was used."""
    sys.setrecursionlimit(1000)
    link = Link(*opened_pipes(arguments))
    try:
        engine = make_engine()
        module = _module(link, engine)
        link.tell({"type": "ready"})
        gc.freeze()  # what is there now stays: to collect what a task leaves takes less than a millisecond
        size = _peak_bytes()
        while (told := _next_task(link)) is not None:
            _serve(engine, module, told, link)
            gc.collect()
            is_spent = _peak_bytes() - size > MAX_KEPT_BYTES
            link.tell({"type": "spent" if is_spent else "pristine"})
    except ModuleError as error:
        link.tell({"type": "failed", "message": f"the module {error}"})
    except (HostFailureError, MemoryError) as error:
        link.tell({"type": "failed", "message": str(error) or "the host has no memory left"})


def trial(_arguments: Sequence[str]) -> None:
    """Say how many bytes a page of memory has, of a module that was compiled and has run: for a jail that is tried."""
    engine = make_engine()
    task = WasmTask(
        arguments=(), environment=(), stdin=None, mounts=(), outputs=(), epoch_s=0, fuel=1000, memory_bytes=PAGE_BYTES,
        output_bytes=1,
    )  # fmt: skip
    outcome = run_module(engine, compile_module(engine, _TRIAL)[0], task, Link(io.BytesIO(), io.BytesIO()))
    sys.stdout.write(f"{PAGE_BYTES if outcome.exit_code == 0 else outcome.exit_code}\n")


def _next_task(link: Link) -> bytes | None:
    """Wait for a task; None: there will be none."""
    try:
        return link.hear().payload
    except EOFError:
        return None


def _serve(engine: Engine, module: Module, told: bytes, link: Link) -> None:
    """Run a task and tell what came of it."""
    task = WasmTask.read(json.loads(told))
    link.tell({"type": "phase", "name": "run"})
    began = time.perf_counter()
    outcome = run_module(engine, module, task, link)
    ran = time.perf_counter()
    link.tell({"type": "phase", "name": "collect"})
    _tell_outcome(link, outcome, {"run": ran - began})


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _module(link: Link, engine: Engine) -> Module:
    opening = link.hear().header
    content = link.hear_pieces()
    if opening["is_compiled"]:
        try:
            return load_compiled(engine, content)
        except StaleError:
            link.tell({"type": "stale"})
            content = link.hear_pieces()
    link.tell({"type": "phase", "name": "compile"})
    module, compiled = compile_module(engine, content)
    link.tell({"type": "compiled"})
    link.tell_pieces(compiled)
    return module


def _tell_outcome(link: Link, outcome: Outcome, seconds: dict[str, float]) -> None:
    for path, content in (("stdout", outcome.stdout), ("stderr", outcome.stderr)):
        link.tell({"type": "file", "path": path})
        link.tell_pieces(content)
    for entry in outcome.outputs:
        if entry.content is not None:
            link.tell({"type": "file", "path": entry.path})
            link.tell_pieces(entry.content)
        elif entry.target is not None:
            link.tell({"type": "symlink", "path": entry.path, "target": entry.target})
        else:
            link.tell({"type": "directory", "path": entry.path})
    link.tell(
        {
            "type": "done",
            "exit_code": outcome.exit_code,
            "fuel": outcome.fuel,
            "state_digest": outcome.state_digest,
            "timings_ms": {name: round(1000 * value, 3) for name, value in seconds.items()},
        }
    )
