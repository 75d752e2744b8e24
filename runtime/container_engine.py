"""The seam to what runs containers: values that go in and come out, of the tier that nobody verifies.

`ContainerRun` is no `Execution` and has no state digest: nothing that commits or signs takes one, so there is no way
from a container to a receipt. `docker_engine.py` implements it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from runtime.engine import Progress, UndeterminedError, silent
from storage.blocks import BlockStore
from storage.cid import CID
from verifier.model import EngineInfo

if TYPE_CHECKING:
    from runtime.container_plan import ContainerPlan
    from runtime.stop_signal import StopSignal

CONTAINER_ENGINES = ("docker", "podman")
"""What an engine of containers may call itself, in records and in what a node offers."""
MAX_KEPT_TEXT_BYTES = 64 << 10
"""Of each stream of a run that gave no output: what is shown of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What an engine says of an image that it has."""

    id: str
    """`sha256:…`, of its configuration."""
    repo_digest: str | None
    """`NAME@sha256:…` if it came from a registry."""
    user: str
    """Who the image says its program runs as; empty if it does not."""
    arch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRun:
    """What one run of a container gave."""

    task: CID
    output: CID
    """Directory `result` (empty), `stdout`, `stderr`, `exit_code`, `outputs/…`, in the store."""
    exit_code: int
    engine: EngineInfo
    was_out_of_memory: bool = False
    timings_s: dict[str, float] = field(default_factory=dict)
    """Host seconds by phase."""


class IncompleteRunError(UndeterminedError):
    """A container gave no output: it was ended from outside, or its engine failed. Carries what it wrote so far."""

    def __init__(
        self,
        problem: str,
        *,
        where: str = "",
        fix: str = "",
        stdout: bytes = b"",
        stderr: bytes = b"",
        is_of_engine: bool = False,
    ) -> None:
        super().__init__(problem, where=where, fix=fix)
        self.is_of_engine = is_of_engine
        """The engine failed, and not the program: elsewhere it may go well."""
        self.stdout = stdout
        """At most MAX_KEPT_TEXT_BYTES, the beginning; so `stderr`."""
        self.stderr = stderr


class ContainerEngine(Protocol):
    """Runs containers."""

    def find_image(self, reference: str, progress: Progress = silent) -> ImageFacts:
        """Return what an image is; one that is not here is pulled.

        Raises:
            UserError: there is no such image.
            UnavailableError: there is no engine, or it cannot pull.
        """
        ...

    def bring_image(self, digest: str, stop: StopSignal) -> ImageFacts:
        """Pull an image by the name and digest that somebody else gave, and return what it is.

        Nobody's credentials are used, so what it gets is what everybody gets. Ends when `stop` is set, and in a bounded
        time.

        Raises:
            UserError: there is no such image, for everybody.
            UnavailableError: there is no engine, or it cannot pull; UndeterminedError: it was ended.
        """
        ...

    def identify(self) -> tuple[str, str]:
        """Return what the engine calls itself, one of CONTAINER_ENGINES, and its architecture.

        Raises:
            UnavailableError: there is none.
        """
        ...

    def has_image(self, image: str) -> bool:
        """Tell whether an image is here, by its id; nothing is pulled.

        Raises:
            UnavailableError: there is no engine.
        """
        ...

    def run(
        self,
        plan: ContainerPlan,
        store: BlockStore,
        progress: Progress = silent,
        stop: StopSignal | None = None,
        gpus: Sequence[str] | None = None,
    ) -> ContainerRun:
        """Run a container to its end, import what it gave into `store`, and leave nothing of it behind.

        stop: ends this run alone. gpus: the devices that are its own, of a caller who holds the plan's room already;
        None: it waits for its room here. Blocks; thread-safe.

        Raises:
            IncompleteRunError: it gave no output.
            UserError: its program cannot be started.
            UnavailableError: there is no engine, or never so much room.
        """
        ...

    def sweep(self) -> Sequence[str]:
        """Remove what processes of this home left behind that were killed, and return its names.

        Raises:
            UnavailableError: there is no engine.
        """
        ...

    def stop(self) -> None:
        """End what runs, and refuse later runs; from any thread, and twice."""
        ...

    def end(self, within_s: float) -> None:
        """Do the same, and wait until all runs have ended and nothing of them is left, but no longer than that."""
        ...
