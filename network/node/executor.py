"""Executes assigned tasks in threads: brings the task's blocks here, runs the engine, tells what it gave.

What the node's machine counts is what it has promised; what is counted here, with the same books, is what is in use: an
execution that was given up keeps its room until it has ended.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol, TypeAlias, TypeVar

import trio

from network.demand import room_of
from network.messages import Demand
from network.node.container_run import run_container
from network.node.disk_promises import DiskPromises
from network.node.measures import GIVEN_UP, UNDETERMINED, Measures
from network.node.peer_source import PeerSource
from network.node.pending_blocks import PendingBlocks
from network.node.reasons import reason
from network.node.task_header import Headers
from network.protocol_events import ContainerEnded, Executed, ExecutionFailed, Run
from network.statement import Statement
from runtime.any_plan import AnyPlan, any_plan_of_task
from runtime.capacity_gate import CapacityGate
from runtime.capacity_ledger import Claim
from runtime.container_host import ContainerHost
from runtime.container_plan import ContainerPlan
from runtime.demand import WORKER_CPU_MILLI
from runtime.engine import Engine, Execution, Progress, UndeterminedError
from runtime.stop_signal import StopSignal
from storage.blocks import BatchingBlockStore, BlockStore
from storage.cid import CID, cid_text, inline_data
from storage.dag_fetch import fetch_dag
from storage.dag_walk import links_of
from storage.errors import BacalhauError, UnavailableError, UserError
from storage.reserved_block_store import ReservedBlockStore
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import has_links, hold, known_whole, seen_below
from verifier.model import PeerId

BRING_S: Final = 120.0
"""How long the blocks of a task are sought, while nobody gives them."""
FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 10.0
log = logging.getLogger(__name__)
T = TypeVar("T")
Ended: TypeAlias = Executed | ContainerEnded | ExecutionFailed
Made: TypeAlias = Execution | Statement
"""Of a function, or of a container: nothing that takes the one takes the other."""


class Sources(Protocol):
    """Finds who may have the blocks of a task."""

    def __call__(self, first: PeerId) -> Sequence[PeerSource]:
        """Return sources, `first` before all others. Called in the node's loop."""
        ...


def threads_of(total: Demand) -> int:
    """Return how many executions a node has at a time: one for each core that a worker takes, at least one."""
    return max(1, total.cpu_milli // WORKER_CPU_MILLI)


@dataclass(slots=True, kw_only=True)
class Executor:
    """Executions as far as the gate lets them in, and there are threads for them."""

    node: PeerId
    """Ours, whose checkpoints an execution may go on from."""
    engine: Engine
    store: SqliteBlockStore
    sources: Sources
    fitness: Callable[[AnyPlan, BlockStore], str]
    """Why a plan whose blocks are all in a store is not run; empty if it is."""
    nursery: trio.Nursery
    gate: CapacityGate
    threads: int
    """Executions that fetch or compute at a time, however little each demands."""
    disk: DiskPromises
    wall_clock_s: float
    """Host guard of one execution: the requester's own deadline comes first, as a rule."""
    headers: Headers = field(default_factory=Headers)
    """Blocks of tasks that came with the word about them."""
    alter: Callable[[Execution, BlockStore], Execution] = field(default=lambda execution, _store: execution)
    """For tests of the network: what a bad actor makes of its execution."""
    measures: Measures = field(default_factory=Measures)
    containers: ContainerHost | None = None
    """None: containers are not run here."""
    made: int = 0
    """Counts outputs: a commitment is a promise to give one, so it is on the disk before that is said."""
    pending: PendingBlocks = field(init=False)
    """What executions have made, and read, and is to be on the disk before their commitments are said."""
    _threads: trio.CapacityLimiter = field(init=False)
    """Apart from those of everything else in the process, which has few, and must not wait for an execution."""
    _stops: dict[str, StopSignal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pending = PendingBlocks(self.store)
        self._threads = trio.CapacityLimiter(self.threads)

    @property
    def running(self) -> int:
        """Return how many executions are under way or wait for one that is being given up."""
        return len(self._stops)

    def resize(self, total: Demand) -> None:
        """Have so much for executions from now on; those that are under way go on, what can never begin fails."""
        self._threads.total_tokens = threads_of(total)
        self.gate.resize(room_of(total))

    def start(self, run: Run, tell: Callable[[Ended], None]) -> None:
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

    async def _run(self, run: Run, stop: StopSignal, tell: Callable[[Ended], None]) -> None:
        event: Ended
        made: Made | None = None
        began = trio.current_time()
        try:
            async with self._room(run, stop) as claim:
                began = trio.current_time()
                store = ReservedBlockStore(self.store, run.demand.disk)
                # Threads cannot be cancelled: a node that ends stops its engine, and then they end too.
                made = await self._in_thread(partial(self._execute_what_is_here, run, stop, store, claim))
                if made is None:
                    await self._bring(run, stop, store)
                    made = await self._in_thread(partial(self._execute, run, stop, claim))
                took_ms = int(1000 * (trio.current_time() - began))
            event = _event(run, made, took_ms)
        except BacalhauError as error:
            log.info("session %s: %s", run.session[:8], error, extra=_about(run))
            event = ExecutionFailed(session=run.session, reason=reason(str(error), otherwise="the host failed"))
        except Exception:
            log.exception("session %s", run.session[:8], extra=_about(run))
            event = ExecutionFailed(session=run.session, reason="internal error of the node")
        took_s = trio.current_time() - began
        if made is not None:
            self.measures.executed(made, took_s)
        else:
            self.measures.not_executed(UNDETERMINED if self._stops.get(run.session) is stop else GIVEN_UP, took_s)
        # Given up meanwhile, perhaps begun anew under the same name: then nobody waits for this one.
        if self._stops.get(run.session) is stop:
            del self._stops[run.session]
            tell(event)

    @asynccontextmanager
    async def _room(self, run: Run, stop: StopSignal) -> AsyncIterator[Claim]:
        """Hold what an execution demands; wait for it while others that were given up still end."""
        claim, ready, token = Claim(room=room_of(run.demand)), trio.Event(), trio.lowlevel.current_trio_token()
        loop = threading.get_ident()

        def ring() -> None:
            if threading.get_ident() == loop:
                ready.set()
                return
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(ready.set)

        try:
            self.gate.enter(claim, ring)
            await ready.wait()
            self.gate.require(claim)
            yield claim
        finally:
            self.disk.end(stop)
            self.gate.leave(claim)

    async def _bring(self, run: Run, stop: StopSignal, store: ReservedBlockStore) -> None:
        """Bring the task's blocks here. Its requester may be away for a while, as after a restart.

        No more comes than was demanded, less what the function may write. A task says how much that is when it is here.
        """
        pause_s, until = FIRST_PAUSE_S, trio.current_time() + BRING_S
        while True:
            sources = self.sources(run.requester)
            try:
                return await self._in_thread(partial(self._fetch, run.task, sources, stop, store))
            except UndeterminedError:
                raise
            except UnavailableError:
                if trio.current_time() + pause_s > until:
                    raise
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._threads)

    def _fetch(self, task: CID, sources: Sequence[PeerSource], stop: StopSignal, store: ReservedBlockStore) -> None:
        # One that was given up is not begun, and asks nobody any more: who gives a block now and then keeps no slot.
        with stop.ending(partial(_close, sources)):
            self.pending.flush()  # what came already is not to be paid for again
            # Held first, so that a collection leaves alone what arrives.
            try:
                hold(self.store, task)
            except BacalhauError:
                self.disk.make(stop, lambda: store.left_bytes)
                self._fetch_reserved(task, sources, store)
                hold(self.store, task)
            self._promise_output(task, stop, store)

    def _fetch_reserved(self, task: CID, sources: Sequence[PeerSource], store: ReservedBlockStore) -> None:
        try:
            self._pull(task, sources, store)
        except UserError as error:
            raise UndeterminedError(f"the task was not fetched as a whole: {error.problem}") from error

    def _pull(self, task: CID, sources: Sequence[PeerSource], store: ReservedBlockStore) -> None:
        """Bring a task here. Of most tasks little lacks: their function ran here before, and was found to be whole."""
        known = known_whole(self.store)
        # A second try has them from the first: what was reserved is not to pay for them twice.
        store.put_many([(cid, data) for cid, data in self.headers.of(task) if not self.store.has(cid)])
        if sources and self.store.has(task):
            source = sources[0]
            try:
                missing = missing_below(self.store, task, known)
                batch = BatchingBlockStore(store)
                for cid, data in source.dags(missing, lambda cid: cid in known or batch.has(cid)):
                    batch.put(cid, data)
                batch.flush()
            except BacalhauError as error:
                log.info("%s: %s", source.name, error)
        fetch_dag(store, task, sources, known=known)

    def _execute_what_is_here(self, run: Run, stop: StopSignal, store: ReservedBlockStore, claim: Claim) -> Made | None:
        """Execute a task whose blocks are here, or came with the word about it; None if some lack.

        One step for what is tiny: to go to the loop and back takes longer than all that is done in between.
        """
        with stop.ending(_nothing):
            try:
                self._take_what_came(run.task, stop, store)
            except BacalhauError:
                return None
            self._promise_output(run.task, stop, store)
        return self._execute(run, stop, claim)

    def _take_what_came(self, task: CID, stop: StopSignal, store: ReservedBlockStore) -> None:
        """Make sure that all of a task is here, and stays.

        Raises:
            BacalhauError: not all of it is here.
        """
        came = dict(self.headers.of(task))
        if came:
            self.disk.make(stop, lambda: store.left_bytes)
            store.take(sum(map(len, came.values())))
            self.pending.put_many(came.items())
        seen = seen_below(self.pending, [task], known=known_whole(self.store))
        if not all(cid in came or inline_data(cid) is not None for cid in seen):
            self.pending.flush()
            hold(self.store, task)

    def _promise_output(self, task: CID, stop: StopSignal, store: ReservedBlockStore) -> None:
        output = self._plan(task).input.limits.output
        if output > store.left_bytes:
            raise UndeterminedError("too little of its disk is left for what the function may write")
        self.disk.make(stop, lambda: output)

    def _plan(self, task: CID) -> AnyPlan:
        return any_plan_of_task(task, self.pending, self.wall_clock_s, self.headers.functions)

    def _execute(self, run: Run, stop: StopSignal, claim: Claim) -> Made:
        plan = replace(self._plan(run.task), submitter=run.requester)
        if why := self.fitness(plan, self.pending):
            raise UndeterminedError(why)
        made: Made
        if isinstance(plan, ContainerPlan):
            made = run_container(self.containers, plan, self.pending, claim.gpus, stop)
        else:
            plan = replace(plan, checkpoints_of=self.node if run.resumes else "")
            made = self.alter(self.engine.execute(plan, self.pending, self._teller(run), stop), self.pending)
        if made.output is not None:
            seen = seen_below(self.pending, [made.output])
            if not all(self.pending.holds(cid) or inline_data(cid) is not None for cid in seen):
                self.pending.flush()
                hold(self.store, made.output)
            self.made += 1
        return made

    def _teller(self, run: Run) -> Progress:
        return lambda phrase: log.debug("session %s: %s", run.session[:8], phrase, extra=_about(run))


def _event(run: Run, made: Made, took_ms: int) -> Executed | ContainerEnded:
    if isinstance(made, Statement):
        return ContainerEnded(session=run.session, statement=made)
    return Executed(session=run.session, execution=made, nonce=secrets.token_hex(32), took_ms=took_ms)


def missing_below(store: BlockStore, root: CID, known: Collection[CID]) -> list[CID]:
    """Return the blocks below `root` that lack as far as those that are here tell; nothing below `known`."""
    missing, todo, seen = [], [root], {root}
    while todo:
        cid = todo.pop()
        if not store.has(cid):
            missing.append(cid)
        elif has_links(cid):
            fresh = [link for link in links_of(cid, store.get(cid)) if link not in seen and link not in known]
            seen.update(fresh)
            todo += fresh
    return missing


def _about(run: Run) -> dict[str, str]:
    return {"session": run.session, "task": cid_text(run.task)}


def _nothing() -> None:
    return


def _close(sources: Sequence[PeerSource]) -> None:
    for source in sources:
        source.close()
