"""Runs one machine of the protocol: events in, one at a time; what it asks for is done in the order that is promised.

All that a batch of events wants kept is kept in one transaction, before anything of it is said. To keep it earlier than
the machine asked is harmless (a crash would have come after it); later would not be. When it cannot be kept, nothing of
the batch is done: the machine is dropped and made anew from the datastore, as after a crash.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import trio

from network.node.datastore import Change, Machine, Put, Remove
from network.protocol_events import (
    Abort,
    Action,
    Event,
    Forget,
    Heard,
    KeepList,
    Persist,
    Received,
    Report,
    Run,
    Send,
    SetTimer,
    Timer,
)
from storage.errors import BacalhauError, UnavailableError, UserError

MAX_BATCH: Final = 256
"""Events between two transactions: many, because one costs the disk's round trip."""
MAX_WAITING: Final = 4_096
MAX_WAITING_BYTES: Final = 8 << 20
"""Events that wait, and what those weigh that peers sent: above it whoever brings one waits, and the peer behind it."""
GATHER_S: Final = 0.001
"""Between two transactions, times the square of how many tasks are under way: a machine that is busy makes few of them
of many events, and few payloads to a peer. The first of a while is made at once."""
LEAST_GATHER_S: Final = 0.005
MAX_GATHER_S: Final = 1.0
"""From 32 tasks on. A node has work for four times as long in hand then (`compute_node.IN_HAND_MS`)."""
TICK_S: Final = 0.05
"""Timers are due at multiples of this, later than asked for and never earlier: many at once."""
FIRST_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 30.0
_KEPT: Final = (Persist, Forget, KeepList, Report)
_AT_ONCE: Final = (Run, Abort)
"""Said to nobody: to begin an execution before it is kept that it was accepted is what a crash would undo anyway, and
one that was given up before that is known to the disk begins again after one."""
log = logging.getLogger(__name__)


class StateMachine(Protocol):
    """A machine of the protocol, made anew from its entries."""

    @property
    def tasks(self) -> Mapping[str, object]:
        """What is under way, by session: a timer of any other session is stale."""
        ...

    def handle(self, event: Event) -> tuple[Action, ...]:
        """Take one event and return what to do."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a machine's actions are done with."""

    load: Callable[[], Mapping[str, bytes]]
    """Reads the machine's entries; blocks."""
    keep: Callable[[tuple[Action, ...], list[Change]], None]
    """Keeps blocks and changes that a batch asks for; blocks; raises a BacalhauError when it cannot."""
    kept: Callable[[], None]
    """Something was kept; called in the loop."""
    act: Callable[[Action], None]
    """Does what is not kept and no timer, in the loop; does not wait and does not raise."""
    restarted: Callable[[], None]
    """The machine was dropped: what runs for it is to be ended."""
    in_thread: Callable[[Callable[[], object]], object]


MakeMachine: TypeAlias = Callable[[Mapping[str, bytes]], tuple[StateMachine, tuple[Action, ...]]]
"""From its entries to a machine, and what it does first."""


@dataclass(slots=True)
class _Entry:
    event: Event
    size: int = 0
    done: trio.Event | None = None
    error: Exception | None = None


class MachineHost:
    """One machine with its inbox and its timers. `run` is its life; the rest is called in the same loop."""

    def __init__(self, name: Machine, make: MakeMachine, world: World) -> None:
        """Make a host that does not run yet."""
        self.name = name
        self.machine: StateMachine | None = None
        self.is_healthy = True
        """The last attempt to keep something succeeded."""
        self._make = make
        self._world = world
        self._inbox: deque[_Entry] = deque()
        self._waiting_bytes = 0
        self._arrived = trio.Event()
        self._room = trio.Event()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def feed(self, event: Event) -> None:
        """Bring an event of this process itself: there are no more of those than the machine has asked for."""
        self._put(_Entry(event))

    async def bring(self, event: Received | Heard) -> None:
        """Bring what a peer sent; waits while too much waits."""
        size = len(event.message)
        while len(self._inbox) >= MAX_WAITING or self._waiting_bytes + size > MAX_WAITING_BYTES:
            await self._room.wait()
        self._put(_Entry(event, size))

    async def ask(self, event: Event) -> None:
        """Bring an event and wait until what came of it is kept and done.

        Raises:
            UserError: the machine refuses it.
            UnavailableError: it could not be kept.
        """
        entry = _Entry(event, done=trio.Event())
        self._put(entry)
        await entry.done.wait()  # type: ignore[union-attr]
        if entry.error is not None:
            raise entry.error

    async def run(self) -> None:
        """Run the machine until cancelled; make it anew whenever something could not be kept."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._live()
            except Exception as error:
                self.is_healthy = False
                if isinstance(error, BacalhauError):
                    log.warning("%s is made anew from the datastore: %s", self.name, error)
                else:  # a bug, and what came to it is not there the next time: the other half and the jobs go on
                    log.exception("%s is made anew from the datastore", self.name)
                self._drop(_told(error))
                await trio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads tries
                pause_s = min(2 * pause_s, MAX_PAUSE_S)
            else:
                pause_s = FIRST_PAUSE_S

    def _drop(self, error: BacalhauError) -> None:
        self.machine = None
        self._timers.clear()
        self._world.restarted()
        for entry in self._take(len(self._inbox)):
            _settle(entry, error)

    async def _live(self) -> None:
        entries = await self._world.in_thread(self._world.load)  # type: ignore[misc]
        machine, actions = self._make(entries)
        await self._perform(actions)
        self.machine = machine
        self.is_healthy = True
        last = -math.inf
        while True:
            batch: list[_Entry] = []
            todo: list[Action] = []
            try:
                await self._gather(machine, last, batch, todo)
                await self._perform(todo)
            except Exception as error:
                for entry in batch:
                    _settle(entry, _told(error))
                raise
            for entry in batch:
                _settle(entry, None)
            last = trio.current_time()

    async def _gather(self, machine: StateMachine, last: float, batch: list[_Entry], actions: list[Action]) -> None:
        """Have events handled as they come, until it is time to keep what came of them, and say it."""
        await self._wait(math.inf)
        while True:
            taken = self._take(min(len(self._inbox), MAX_BATCH))
            batch += taken
            for action in _handled(machine, taken):
                if isinstance(action, _AT_ONCE):
                    self._world.act(action)
                else:
                    actions.append(action)
            due = last + min(max(GATHER_S * len(machine.tasks) ** 2, LEAST_GATHER_S), MAX_GATHER_S)
            if len(batch) >= MAX_BATCH or any(entry.done is not None for entry in taken):
                return
            if trio.current_time() >= due or not await self._wait(due):
                return

    async def _perform(self, actions: Sequence[Action]) -> None:
        if any(isinstance(action, _KEPT) or (isinstance(action, Send) and action.task) for action in actions):
            changes = list(_changes(self.name, actions))
            await self._world.in_thread(lambda: self._world.keep(tuple(actions), changes))  # type: ignore[misc]
            self._world.kept()
        for action in actions:
            if isinstance(action, SetTimer):
                at = math.ceil((trio.current_time() + action.delay_ms / 1000) / TICK_S) * TICK_S
                timer = Timer(session=action.session, about=action.about)
                heapq.heappush(self._timers, (at, next(self._order), timer))
            elif not isinstance(action, Persist | Forget):
                self._world.act(action)

    async def _wait(self, until: float) -> bool:
        """Return when there is an event, the due timers among them, or at a time; tell whether there is one."""
        while True:
            while self._timers and self._timers[0][0] <= trio.current_time():
                timer = heapq.heappop(self._timers)[2]
                if not timer.session or self.machine is None or timer.session in self.machine.tasks:
                    self._inbox.append(_Entry(timer))
            if self._inbox:
                return True
            if trio.current_time() >= until:
                return False
            self._arrived = trio.Event()
            with trio.move_on_at(min(self._timers[0][0] if self._timers else math.inf, until)):
                await self._arrived.wait()

    def _take(self, count: int) -> list[_Entry]:
        taken = [self._inbox.popleft() for _ in range(count)]
        self._waiting_bytes -= sum(entry.size for entry in taken)
        self._room.set()
        self._room = trio.Event()
        return taken

    def _put(self, entry: _Entry) -> None:
        self._inbox.append(entry)
        self._waiting_bytes += entry.size
        self._arrived.set()


def _handled(machine: StateMachine, batch: Iterable[_Entry]) -> tuple[Action, ...]:
    actions: list[Action] = []
    for entry in batch:
        try:
            actions += machine.handle(entry.event)
        except UserError as error:
            entry.error = error
    return tuple(actions)


def _changes(name: Machine, actions: Iterable[Action]) -> Iterable[Change]:
    """Return what a batch changes: of each key the last word, for all of them are kept at once."""
    last: dict[str, Change] = {}
    for action in actions:
        if isinstance(action, Persist | Forget):
            last.pop(action.key, None)
        if isinstance(action, Persist):
            last[action.key] = Put(machine=name, key=action.key, value=action.value)
        elif isinstance(action, Forget):
            last[action.key] = Remove(machine=name, key=action.key)
    return last.values()


def _told(error: Exception) -> BacalhauError:
    return error if isinstance(error, BacalhauError) else UnavailableError("internal error of the node")


def _settle(entry: _Entry, error: Exception | None) -> None:
    if entry.done is not None:
        entry.error = entry.error or error
        entry.done.set()
