"""An engine that runs nothing, for tests of scheduling: it takes its time and its room, and then says that it failed.

It has no way to return an `Execution`, so no commitment, no receipt and no record can ever come of it. An engine that
gave an output without running anything would make evidence of nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NoReturn

from runtime.engine import Plan, Progress, UndeterminedError, silent
from runtime.stop_signal import StopSignal
from storage.blocks import BlockStore

SAID = "the noop engine runs nothing"


def at_once(_plan: Plan) -> None:
    """Take no time."""


class NoopEngine:
    """An `Engine`; safe for several threads."""

    def __init__(self, work: Callable[[Plan], None] = at_once) -> None:
        """Make it.

        work: stands in for the time that an execution takes; it blocks for as long as one should.
        """
        self._work = work
        self._stopped = threading.Event()
        self.executed = 0
        """Executions that were begun."""
        self._lock = threading.Lock()

    def execute(
        self,
        plan: Plan,
        store: BlockStore,  # noqa: ARG002
        progress: Progress = silent,
        stop: StopSignal | None = None,
    ) -> NoReturn:
        """Fail, after the work.

        Raises:
            UndeterminedError: always.
        """
        if self._stopped.is_set():
            raise UndeterminedError("the execution was given up")
        with self._lock:
            self.executed += 1
        progress("running nothing")
        if stop is None:
            self._work(plan)
        else:
            with stop.ending(lambda: None):
                self._work(plan)
        raise UndeterminedError(SAID)

    def stop(self) -> None:
        """Refuse later executions."""
        self._stopped.set()
