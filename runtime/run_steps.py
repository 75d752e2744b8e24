"""The checkpoints of one execution: finds the one to go on from, and keeps those that the worker sends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from runtime.checkpoint_model import going_on, key_name, read_taken
from runtime.checkpoint_store import MOST_BYTES, CheckpointStore, OpenCheckpoint
from runtime.engine import Plan, UndeterminedError
from runtime.frames import Frame
from runtime.source_files import Entry
from storage.cid import CID
from storage.errors import VerificationError

DEFAULT_AFTER_S: Final = 1.0
"""How long steps must have taken for a checkpoint to be worth its time and room."""


class UnusableCheckpointError(UndeterminedError):
    """A worker could not go on from a checkpoint, which is gone now: run the task whole, in another worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKeeper:
    """What a worker needs for checkpoints of the function that it serves."""

    store: CheckpointStore
    image: CID
    """What the worker starts from."""
    entries: Sequence[Entry]
    """All of the function's directory, as the worker was given it."""
    after_s: float = DEFAULT_AFTER_S

    def begin(self, stack: ExitStack, plan: Plan, *, resumes: bool) -> RunSteps | None:
        """Return the checkpoints of a run, which close with the stack; None if the run has none.

        resumes: without, it begins at the beginning in any case.
        """
        key = key_name(plan, self.image)
        if key is None:
            return None
        found = self.store.find(key, self.entries) if resumes else None
        return RunSteps(keeper=self, key=key, found=None if found is None else stack.enter_context(found))


@dataclass(slots=True, kw_only=True)
class RunSteps:
    """One run."""

    keeper: StepKeeper
    key: str
    found: OpenCheckpoint | None
    """What it goes on from."""
    _is_resuming: bool = field(default=False, init=False)

    def describe(self) -> dict[str, Any]:
        """Return what the worker is told with its task."""
        found = self.found
        sizes = None if found is None else {"state_bytes": found.state_bytes, "data_bytes": found.data_bytes}
        self._is_resuming = found is not None
        return {"resume": sizes, "after_ms": self.keeper.after_s * 1000, "most_bytes": MOST_BYTES}

    def frames(self) -> Iterator[Frame]:
        """Yield the checkpoint that the worker asks for.

        Raises:
            VerificationError: it was harmed.
        """
        if self.found is not None:
            for piece in self.found.pieces():
                yield Frame(header={"type": "piece"}, payload=piece)

    def resumed(self) -> str:
        """Note that the worker has gone on; return what to tell of it."""
        self._is_resuming = False
        return "" if self.found is None else going_on(self.keeper.entries, self.found.steps)

    def keep(self, frame: Frame, following: Iterator[Frame]) -> None:
        """Keep a checkpoint; its pieces follow.

        Raises:
            UndeterminedError: the worker speaks nonsense.
        """
        try:
            taken = read_taken(frame.header, MOST_BYTES)
        except VerificationError as error:
            raise UndeterminedError(error.problem) from error
        pieces = _pieces(following, taken.state_bytes + taken.data_bytes)
        self.keeper.store.keep(self.key, taken, self.keeper.entries, pieces)

    def failed(self, error: UndeterminedError | VerificationError) -> None:
        """Tell whose fault a failure is; the checkpoint goes if the worker had not come out of it.

        Raises:
            UnusableCheckpointError: it had not.
        """
        if self._is_resuming and self.found is not None:
            self.found.discard()
            raise UnusableCheckpointError(error.problem) from error


def _pieces(frames: Iterator[Frame], size: int) -> Iterator[bytes]:
    left = size
    while left > 0:
        frame = next(frames)
        if frame.type != "piece" or not 0 < len(frame.payload) <= left:
            raise UndeterminedError("the worker sent less of a checkpoint than it promised")
        left -= len(frame.payload)
        yield frame.payload
