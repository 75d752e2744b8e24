"""Virtual time, one event queue, one seeded source of chance, and a network that loses, delays and repeats."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from network.protocol_events import Lost


class ViolationError(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What the network and the machines do until they heal. Probabilities are per message, per action or per second."""

    drop: float = 0.0
    duplicate: float = 0.0
    slow_message: float = 0.0
    """Share of messages that take seconds."""
    partition_every_s: float = 0.0
    """Mean time between partitions; 0 for none."""
    crash_every_s: float = 0.0
    """Mean time between crashes of somebody."""
    crash_in_action: float = 0.0
    """Chance of a crash before each single action of a machine."""
    full_disk_every_s: float = 0.0
    slow_nodes: float = 0.0
    """Share of nodes whose executions may miss the deadline."""
    failing: float = 0.0
    """Share of executions whose host fails."""
    skew: float = 0.0
    """Clocks run up to this much faster or slower."""
    heals_at_s: float = 40.0


@dataclass(kw_only=True)
class World:
    """The queue, the clock and the wires; hosts register by name."""

    seed: int
    weather: Weather
    trace: Callable[[str], None] | None = None
    now_s: float = 0.0
    events: int = 0
    sent: Counter = field(default_factory=Counter)
    """Messages by kind."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.hosts = {}
        self.requesters = []
        self._queue = []
        self._order = 0
        self._sides = {}
        self.lost_at_s = {}
        """When a requester (name) last noticed that it reaches a node (name) no longer."""
        self.trouble = {}
        """Last time that something went wrong between two hosts, or at one (its name twice)."""

    # Time

    def at(self, delay_s: float, do: Callable[..., None], *arguments: object) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.now_s + delay_s, self._order, do, arguments))

    def run(self, until_s: float, is_over: Callable[[], bool]) -> bool:
        """Let events happen until it is over, or too late; tell which."""
        while self._queue:
            if is_over():
                return True
            time, _, do, arguments = heapq.heappop(self._queue)
            if time > until_s:
                return False
            self.now_s = time
            self.events += 1
            do(*arguments)
        return is_over()

    @property
    def is_healed(self) -> bool:
        return self.now_s >= self.weather.heals_at_s

    def chance(self, probability: float) -> bool:
        return not self.is_healed and probability > 0 and self.random.random() < probability

    def say(self, text: str) -> None:
        if self.trace is not None:
            self.trace(f"{self.now_s:10.3f}  {text}")

    # Wires

    def send(self, source: object, target_peer: str, data: bytes, kind: str) -> None:
        self.sent[kind] += 1
        target = self.hosts.get(target_peer)
        if target is None:
            return
        if self._sides.get(source.name, 0) != self._sides.get(target.name, 0) or self.chance(self.weather.drop):
            self.note_trouble(source, target)
            self.say(f"{source.name} -> {target.name}  {kind}  LOST")
            return
        copies = 2 if self.chance(self.weather.duplicate) else 1
        for _ in range(copies):
            self.at(self._delay_s(), self._deliver, source, target, data, kind)

    def _delay_s(self) -> float:
        delay_s = 0.005 + self.random.expovariate(1 / 0.02)
        return delay_s + self.random.uniform(0.5, 4.0) if self.chance(self.weather.slow_message) else delay_s

    def _deliver(self, source: object, target: object, data: bytes, kind: str) -> None:
        self.say(f"{source.name} -> {target.name}  {kind}{'' if target.is_up else '  (down)'}")
        if target.is_up:
            target.receive(source.peer, data)
        elif target.is_node:
            self.note_trouble(target, target)

    def note_trouble(self, one: object, other: object) -> None:
        self.trouble[frozenset((one.name, other.name))] = self.now_s

    def troubled_since(self, one: object, other: object, since_s: float) -> bool:
        pairs = (frozenset((one.name, other.name)), frozenset((other.name,)))
        return any(self.trouble.get(pair, -1.0) >= since_s for pair in pairs)

    # Weather

    def start_weather(self) -> None:
        for every_s, strike in (
            (self.weather.partition_every_s, self._partition),
            (self.weather.crash_every_s, self._crash),
            (self.weather.full_disk_every_s, self._fill_disk),
        ):
            if every_s:
                self.at(self.random.expovariate(1 / every_s), self._strike, every_s, strike)
        self.at(self.weather.heals_at_s, self._heal)

    def _strike(self, every_s: float, strike: Callable[[], None]) -> None:
        if self.is_healed:
            return
        strike()
        self.at(self.random.expovariate(1 / every_s), self._strike, every_s, strike)

    def _partition(self) -> None:
        sides = {host.name: self.random.randrange(2) for host in self.hosts.values()}
        self.say("PARTITION " + " ".join(name for name in sides if sides[name]))
        self._sides = sides
        self.at(self.random.uniform(1, 15), self._end_partition, sides)
        self.at(self.random.uniform(1, 12), self._notice_partition, sides)

    def _notice_partition(self, sides: dict[str, int]) -> None:
        """Those on the other side are alive and lost all the same."""
        if self._sides is sides:
            for node in [host for host in self.hosts.values() if host.is_node]:
                self.tell_lost(node, [one for one in self.requesters if sides.get(one.name) != sides.get(node.name)])

    def tell_lost(self, node: object, requesters: list) -> None:
        """Let requesters know that they reach a node no longer."""
        for requester in requesters:
            self.note_trouble(requester, node)
            self.lost_at_s[requester.name, node.name] = self.now_s
            self.say(f"{requester.name} LOSES {node.name}")
            requester.feed(Lost(peer=node.peer))

    def _end_partition(self, sides: dict[str, int]) -> None:
        if self._sides is sides:
            self._sides = {}

    def _crash(self) -> None:
        host = self.random.choice(list(self.hosts.values()))
        host.crash()

    def _fill_disk(self) -> None:
        host = self.random.choice(list(self.hosts.values()))
        self.say(f"{host.name} DISK FULL")
        host.disk_is_full = True
        self.at(self.random.uniform(1, 10), host.free_disk)

    def _heal(self) -> None:
        self.say("HEALED")
        self._sides = {}
        for host in list(self.hosts.values()):
            host.free_disk()
            if not host.is_up:
                host.boot()
