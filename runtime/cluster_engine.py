"""Executes tasks on the workers of a cluster, as one engine of this node.

The cluster places an order and places it anew when a worker is lost; the worker dials this node, asks for the blocks
that it lacks and executes. When it is done this node asks for the output's blocks, and an execution is one only when
the whole output is here, every block checked against its CID. Whatever else happens is undetermined, never an output.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Lock
from typing import Final

from runtime.channel_transport import Channel, hang_up
from runtime.cluster import Cluster, Ended, LostWorkerError, Order
from runtime.cluster_room import ClusterRoom
from runtime.door_transport import Door
from runtime.engine import Execution, Plan, Progress, UndeterminedError, silent
from runtime.jail import Level
from runtime.stop_signal import StopSignal
from runtime.worker_transport import worker_memory
from runtime.worker_visit import MadeElsewhere, converse
from storage.blocks import BlockStore

MOST_TRIES: Final = 3
"""Workers that may be lost with one execution; it may be what kills them."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEngine:
    """Runs tasks elsewhere. Thread-safe."""

    cluster: Cluster
    door: Door
    engine: str = "node"
    """JavaScript engine of the workers."""
    strict: bool = False
    """Whether they refuse to run anything outside of a whole jail."""
    level: Level | None = None
    """Of the jail, if a policy chose one; None for the best that each of them has."""
    made: MadeElsewhere = field(default_factory=MadeElsewhere)
    room: ClusterRoom = field(init=False)
    _over: StopSignal = field(default_factory=StopSignal, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "room", ClusterRoom(self.cluster.workers))
        self.cluster.watch(self.room.look_again)

    def execute(
        self, plan: Plan, store: BlockStore, progress: Progress = silent, stop: StopSignal | None = None
    ) -> Execution:
        """Run the task once; see `runtime.engine.Engine.execute`."""
        errand = _Errand(self.room.look_again)
        memory = worker_memory(plan.input.limits.memory)
        with (
            self._over.ending(errand.give_up),
            (stop or StopSignal()).ending(errand.give_up),
            self.room.taken(memory, lambda: errand.is_over),
            self.door.expecting(errand.arrived) as ticket,
        ):
            order = Order(
                task=plan.task,
                wall_clock_s=plan.wall_clock_s,
                submitter=plan.submitter,
                engine=self.engine,
                strict=self.strict,
                level=self.level,
                checkpoints_of=plan.checkpoints_of,
                contact=self.door.contact,
                ticket=ticket,
            )
            visit = partial(converse, plan=plan, store=store, progress=progress, made=self.made)
            try:
                return self._pursue(order, memory, errand, visit)
            finally:
                errand.close()

    def stop(self) -> None:
        """End the executions that are under way and refuse later ones; leaves the cluster."""
        self._over.set()
        self.door.close()
        self.cluster.close()

    def _pursue(
        self, order: Order, memory: int, errand: _Errand, converse: Callable[[Channel], Execution]
    ) -> Execution:
        """Give an order until a worker has done it; the cluster gives it to another one by itself when one is lost."""
        lost: list[str] = []
        while len(lost) < MOST_TRIES:
            before = len(lost)
            with self._given(order, memory, errand):
                while len(lost) < MOST_TRIES and not isinstance(news := errand.next(), Ended):
                    try:
                        return converse(news)
                    except LostWorkerError as error:
                        errand.check()
                        lost.append(error.problem)
                        log.warning("an execution goes to another worker: %s", error)
                    finally:
                        news.close()
            if len(lost) == before:
                lost.append("it went away without a word")
        raise UndeterminedError(f"{MOST_TRIES} workers were lost with it; the last time: {lost[-1]}")

    @contextmanager
    def _given(self, order: Order, memory: int, errand: _Errand) -> Iterator[None]:
        take_back = self.cluster.submit(order, memory, errand.ended)
        try:
            yield
        finally:
            take_back()


class _Errand:
    """What is heard of one order: workers that dial for it, and that the cluster has no more to do with it."""

    def __init__(self, given_up: Callable[[], None]) -> None:
        """Hear nothing yet. given_up: called when `is_over` has become true."""
        self._given_up = given_up
        self._news: SimpleQueue[Channel | Ended] = SimpleQueue()
        self._lock = Lock()
        self._current: socket.socket | None = None
        self.is_over = False

    def arrived(self, connection: socket.socket) -> None:
        """Take a connection. If there was one before, the cluster has given that worker up."""
        with self._lock:
            if self.is_over:
                connection.close()
                return
            before, self._current = self._current, connection
            # First, for the end of whoever is hung up on is news too: then the order would be given a second time.
            self._news.put(Channel(connection, "a worker of the cluster"))
            if before is not None:
                hang_up(before)

    def ended(self, ended: Ended) -> None:
        """Hear from the cluster."""
        self._news.put(ended)

    def give_up(self) -> None:
        """End it: whoever executes notices that this end has hung up."""
        with self._lock:
            self.is_over = True
            if self._current is not None:
                hang_up(self._current)
            self._news.put(Ended(problem="the execution was given up"))
        self._given_up()

    def next(self) -> Channel | Ended:
        """Wait for what comes next; a channel is the caller's to close.

        Raises:
            UndeterminedError: it was given up, or the cluster will not execute it.
        """
        news = self._news.get()
        if isinstance(news, Ended) and news.problem:
            raise UndeterminedError(news.problem)
        return news

    def check(self) -> None:
        """Raise UndeterminedError if it was given up."""
        if self.is_over:
            raise UndeterminedError("the execution was given up")

    def close(self) -> None:
        """Let nobody in any more, and hang up on who waits."""
        with self._lock:
            self.is_over = True
            while not self._news.empty():
                news = self._news.get()
                if isinstance(news, Channel):
                    news.close()
