"""The seam to what executes a task: `Engine`, and the values that go in and come out.

Implementations live beside this file (`pyodide_engine.py`), one library each. An engine never decides whether a result
is right; it reports what one execution gave, or that it could not be determined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError
from verifier.model import EngineInfo, Function, Input, Lock
from verifier.wasm_types import AnyFunction, WasmFunction

if TYPE_CHECKING:
    from runtime.stop_signal import StopSignal

Progress = Callable[[str], None]
"""Called with a short phrase when a long step begins ("booting Python"); must not raise or block."""


def silent(_phrase: str) -> None:
    """Report nothing."""


NO_PACKAGES: Final = Lock(python="none", platform="wasm32-wasip1", wheels=())
"""In the place of a lock, where there is none; part of no task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything an engine needs for one execution of one task; made by `runtime.plan`, same on every node."""

    task: CID
    function_cid: CID
    input_cid: CID
    function: AnyFunction
    input: Input
    lock: Lock
    """The packages; `NO_PACKAGES` of a module."""
    wall_clock_s: float
    """Host guard only: an execution that takes longer is undetermined, never an output."""
    submitter: str = ""
    """Who asked, as this node knows them; not part of the task. A worker serves one submitter."""
    checkpoints_of: str = ""
    """The node whose own checkpoints the execution may go on from and leaves; without one it runs whole."""

    @property
    def python(self) -> Function:
        """The function, for whoever executes Python.

        Raises:
            UndeterminedError: it is a module.
        """
        if isinstance(self.function, WasmFunction):
            raise UndeterminedError("this engine runs Python functions, and the task is a WebAssembly module")
        return self.function

    @property
    def module(self) -> WasmFunction:
        """The module, for whoever executes them.

        Raises:
            UndeterminedError: it is a Python function.
        """
        if not isinstance(self.function, WasmFunction):
            raise UndeterminedError("this engine runs WebAssembly modules, and the task is a Python function")
        return self.function


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What one run of a task on one node gave."""

    task: CID
    output: CID
    """Directory `result`, `stdout`, `stderr`, `exit_code`, `outputs/…`, already in the node's store."""
    exit_code: int
    fuel: int | None
    """None where the runtime does not meter."""
    state_digest: str
    """Digest of the whole linear memory after the run, lower-case hex (docs/determinism.md)."""
    engine: EngineInfo
    timings_s: dict[str, float] = field(default_factory=dict)
    """Host seconds by phase; never hashed or signed."""


class UndeterminedError(UnavailableError):
    """The host failed (worker died, host stack overflow, disk full, wall-clock guard): no output, no receipt."""


class Engine(Protocol):
    """Executes tasks."""

    def execute(
        self, plan: Plan, store: BlockStore, progress: Progress = silent, stop: StopSignal | None = None
    ) -> Execution:
        """Run the task once in a worker that nobody can tell from a fresh one, and import its output into `store`.

        stop: ends this execution alone, which then raises UndeterminedError. Blocks; thread-safe.

        Raises:
            UndeterminedError: the host, not the function, failed.
            VerificationError: a block or wheel of the task is not what its CID says.
        """
        ...

    def stop(self) -> None:
        """End the executions that are under way, and refuse later ones: all of them raise UndeterminedError.

        For a caller that gives up (an interrupt, an error elsewhere); may be called from any thread, and twice.
        """
        ...
