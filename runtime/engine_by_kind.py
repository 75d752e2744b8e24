"""An engine for tasks of either kind, Python functions and WebAssembly modules: gives each to the one that runs it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final

from runtime.cache_counts import CacheCounts, KeepsCaches
from runtime.engine import Engine, Execution, Plan, Progress, UndeterminedError, silent
from runtime.stop_signal import StopSignal
from storage.blocks import BlockStore
from verifier.wasm_types import WasmFunction

_STOPPED: Final = "the engine was stopped"


class EngineByKind:
    """Runs Python functions in one engine, and modules in another, which is made when the first of them comes."""

    def __init__(self, python: Engine, make_wasm: Callable[[], Engine]) -> None:
        """Make one. make_wasm: called once at most."""
        self.python = python
        self._make_wasm = make_wasm
        self._wasm: Engine | None = None
        self._is_stopped = False
        self._lock = Lock()

    @property
    def caches(self) -> CacheCounts:
        """Return what the engine for Python found on this disk; nothing if it keeps nothing there."""
        return self.python.caches if isinstance(self.python, KeepsCaches) else CacheCounts()

    def execute(
        self, plan: Plan, store: BlockStore, progress: Progress = silent, stop: StopSignal | None = None
    ) -> Execution:
        """Run the task once; see `runtime.engine.Engine.execute`."""
        engine = self._for_modules() if isinstance(plan.function, WasmFunction) else self.python
        return engine.execute(plan, store, progress, stop)

    def stop(self) -> None:
        """End the executions that are under way and refuse later ones; see `runtime.engine.Engine.stop`."""
        with self._lock:
            self._is_stopped = True
            made = self._wasm
        self.python.stop()
        if made is not None:
            made.stop()

    def _for_modules(self) -> Engine:
        with self._lock:
            if self._is_stopped:
                raise UndeterminedError(_STOPPED)
            if self._wasm is None:
                self._wasm = self._make_wasm()
            return self._wasm
