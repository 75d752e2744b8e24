"""Which executions a cluster has room for: no more are given to it than its workers can do at a time. Thread-safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Condition

from runtime.cluster import WorkerRoom
from runtime.engine import UndeterminedError


def total_slots(workers: Sequence[WorkerRoom]) -> int:
    """Return how many executions all workers do at a time."""
    return sum(worker.slots for worker in workers)


def total_memory(workers: Sequence[WorkerRoom]) -> int:
    """Return what the executions of all workers may take together, in bytes."""
    return sum(worker.memory_bytes for worker in workers)


def largest_memory(workers: Sequence[WorkerRoom]) -> int:
    """Return the most that one execution may take, in bytes; 0 without workers."""
    return max((worker.memory_bytes for worker in workers), default=0)


class ClusterRoom:
    """Counts what is under way against what the workers of the moment have; the rest waits."""

    def __init__(self, workers: Callable[[], Sequence[WorkerRoom]]) -> None:
        """Count nothing yet. workers: asked whenever something may have changed."""
        self._workers = workers
        self._changed = Condition()
        self._taken: list[int] = []

    @contextmanager
    def taken(self, memory_bytes: int, is_over: Callable[[], bool]) -> Iterator[None]:
        """Wait for room, and hold it. is_over: whether to wait no longer; `look_again` has it asked.

        Without any worker this waits: one may come. Which worker an execution gets is the cluster's to say.

        Raises:
            UndeterminedError: it is larger than any worker, or over.
        """
        with self._changed:
            while not self._fits(memory_bytes):
                if is_over():
                    raise UndeterminedError("the execution was given up")
                self._changed.wait()
            self._taken.append(memory_bytes)
        try:
            yield
        finally:
            with self._changed:
                self._taken.remove(memory_bytes)
                self._changed.notify_all()

    def look_again(self) -> None:
        """Tell whoever waits that something has changed."""
        with self._changed:
            self._changed.notify_all()

    @property
    def under_way(self) -> int:
        """Return how many executions hold room."""
        with self._changed:
            return len(self._taken)

    def _fits(self, memory_bytes: int) -> bool:
        workers = self._workers()
        largest = largest_memory(workers)
        if workers and memory_bytes > largest:
            problem = f"it needs {memory_bytes} bytes of memory, and no worker of the cluster has more than {largest}"
            raise UndeterminedError(problem)
        has_memory = sum(self._taken) + memory_bytes <= total_memory(workers)
        return len(self._taken) < total_slots(workers) and has_memory
