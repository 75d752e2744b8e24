"""Executes assigned tasks in threads: brings the task's blocks here, runs the engine, tells what it gave."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeVar

import trio

from network.node.reasons import reason
from network.protocol_events import Executed, ExecutionFailed, Run
from runtime.engine import Engine, Execution, Plan, UndeterminedError
from runtime.plan import plan_of_task
from runtime.stop_signal import StopSignal
from storage.block_source import BlockSource
from storage.cid import CID
from storage.dag_fetch import fetch_dag
from storage.errors import BacalhauError, UnavailableError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold
from verifier.model import PeerId

BRING_S: Final = 120.0
"""How long the blocks of a task are sought, while nobody gives them."""
FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 10.0
log = logging.getLogger(__name__)
T = TypeVar("T")


class Sources(Protocol):
    """Finds who may have the blocks of a task."""

    def __call__(self, first: PeerId) -> Sequence[BlockSource]:
        """Return sources, `first` before all others. Called in the node's loop."""
        ...


@dataclass(slots=True, kw_only=True)
class Executor:
    """At most `slots` executions at a time; one that is given up keeps its slot until it has ended."""

    engine: Engine
    store: SqliteBlockStore
    sources: Sources
    fitness: Callable[[Plan], str]
    """Why a plan whose blocks are all here is not run; empty if it is."""
    nursery: trio.Nursery
    slots: int
    wall_clock_s: float
    """Host guard of one execution: the requester's own deadline comes first, as a rule."""
    alter: Callable[[Execution], Execution] = field(default=lambda execution: execution)
    """For tests of the network: what a bad actor makes of its execution."""
    _limiter: trio.CapacityLimiter = field(init=False)
    _threads: trio.CapacityLimiter = field(init=False)
    """Apart from those of everything else in the process, which has few, and must not wait for an execution."""
    _stops: dict[str, StopSignal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._limiter, self._threads = trio.CapacityLimiter(self.slots), trio.CapacityLimiter(self.slots)

    @property
    def running(self) -> int:
        """Return how many executions are under way or wait for one that is being given up."""
        return len(self._stops)

    def resize(self, slots: int) -> None:
        """Have at most so many executions at a time from now on; those that are under way go on."""
        self._limiter.total_tokens = self._threads.total_tokens = slots

    def start(self, run: Run, tell: Callable[[Executed | ExecutionFailed], None]) -> None:
        """Begin an execution; `tell` is called in the loop when it is over, unless it was given up."""
        stop = StopSignal()
        self._stops[run.session] = stop
        self.nursery.start_soon(self._run, run, stop, tell)

    def give_up(self, session: str) -> None:
        """End an execution that nobody waits for any more."""
        stop = self._stops.pop(session, None)
        if stop is not None:
            stop.set()

    def give_up_all(self) -> None:
        """End all of them."""
        for session in list(self._stops):
            self.give_up(session)

    async def _run(self, run: Run, stop: StopSignal, tell: Callable[[Executed | ExecutionFailed], None]) -> None:
        event: Executed | ExecutionFailed
        try:
            async with self._limiter:
                await self._bring(run, stop)
                # Threads cannot be cancelled: a node that ends stops its engine, and then they end too.
                execution = await self._in_thread(partial(self._execute, run, stop))
            event = Executed(session=run.session, execution=execution, nonce=secrets.token_hex(32))
        except BacalhauError as error:
            log.info("session %s: %s", run.session[:8], error)
            event = ExecutionFailed(session=run.session, reason=reason(str(error), otherwise="the host failed"))
        except Exception:
            log.exception("session %s", run.session[:8])
            event = ExecutionFailed(session=run.session, reason="internal error of the node")
        # Given up meanwhile, perhaps begun anew under the same name: then nobody waits for this one.
        if self._stops.get(run.session) is stop:
            del self._stops[run.session]
            tell(event)

    async def _bring(self, run: Run, stop: StopSignal) -> None:
        """Bring the task's blocks here. Its requester may be away for a while, as after a restart."""
        pause_s, until = FIRST_PAUSE_S, trio.current_time() + BRING_S
        while True:
            sources = self.sources(run.requester)
            try:
                return await self._in_thread(partial(self._fetch, run.task, sources, stop))
            except UndeterminedError:
                raise
            except UnavailableError:
                if trio.current_time() + pause_s > until:
                    raise
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._threads)

    def _fetch(self, task: CID, sources: Sequence[BlockSource], stop: StopSignal) -> None:
        # One that was given up is not begun, and asks nobody any more: who gives a block now and then keeps no slot.
        with stop.ending(partial(_close, sources)):
            # Held first, so that a collection leaves alone what arrives.
            try:
                hold(self.store, task)
            except BacalhauError:
                fetch_dag(self.store, task, sources)
                hold(self.store, task)

    def _execute(self, run: Run, stop: StopSignal) -> Execution:
        plan = replace(plan_of_task(run.task, self.store, self.wall_clock_s), submitter=run.requester)
        if why := self.fitness(plan):
            raise UndeterminedError(why)
        execution = self.alter(self.engine.execute(plan, self.store, stop=stop))
        hold(self.store, execution.output)
        self.store.sync()  # the commitment is a promise to give it
        return execution


def _close(sources: Sequence[BlockSource]) -> None:
    for source in sources:
        source.close()
