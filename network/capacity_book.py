"""What a requester knows of nodes from gossip: the latest record of each, bounded, and whom to offer a task.

Records are hints: a node that lies about its room refuses or keeps an offer waiting, and nothing depends on it. Anyone
can make nodes, so there is always room for one that speaks now: who was silent for longest makes it (decision 0042).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from network.bid_choice import draws
from network.messages import READS_SIGNED_ASSIGN, Capacity, Demand
from verifier.model import PeerId

GOSSIP_MS: Final = 10_000
"""Between two records of a node."""
SILENT_PERIODS: Final = 6
"""Of GOSSIP_MS without a word, after which a node is not picked: gossip is lossy, and six in a row are not lost."""
MAX_PEERS: Final = 20_000
"""About 2 kB each."""
MAX_SLOTS: Final = 1_000
"""Of one node, for tasks that demand nothing."""
MAX_DEMANDS: Final = 100
"""Different demands whose slots are remembered."""
_TRIES: Final = 4
"""Draws for each node wanted: among these the least loaded are taken."""


def fits(demand: Demand, room: Demand) -> bool:
    """Tell whether a node with this room could take the demand."""
    return (
        demand.cpu_milli <= room.cpu_milli
        and demand.memory <= room.memory
        and demand.disk <= room.disk
        and demand.gpus <= room.gpus
    )


def times(demand: Demand, room: Demand) -> int:
    """Return how often the demand fits."""
    pairs = (
        (room.cpu_milli, demand.cpu_milli),
        (room.memory, demand.memory),
        (room.disk, demand.disk),
        (room.gpus, demand.gpus),
    )
    return min((has // needs for has, needs in pairs if needs), default=MAX_SLOTS)


class CapacityBook:
    """Latest record by node. Not pure, for its size: `note`, `period_passed` and `engage` change it."""

    def __init__(self) -> None:
        self._records: dict[PeerId, Capacity] = {}
        """Of the nodes that may be picked."""
        self._heard: OrderedDict[PeerId, int] = OrderedDict()
        """In which period each of them was, the longest ago first."""
        self._silent: OrderedDict[PeerId, Capacity] = OrderedDict()
        """Records of the others, those first that are silent for longest."""
        self._period = 0
        self._peers: list[PeerId] = []
        self._places: dict[PeerId, int] = {}
        self._engaged: dict[PeerId, int] = {}
        self._slots: dict[Demand, int] = {}

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def peers(self) -> Sequence[PeerId]:
        """Return the nodes that may be picked."""
        return self._peers

    def note(self, record: Capacity) -> bool:
        """Keep a record whose signature was checked, if it is newer; tell whether it was kept."""
        if record.sequence <= self.sequence_of(record.node):
            return False
        known = self._records.get(record.node)
        if known is not None:
            self._count(-1, known)
            self._heard.move_to_end(record.node)
        elif self._silent.pop(record.node, None) is not None or self._has_room():
            self._places[record.node] = len(self._peers)
            self._peers.append(record.node)
        else:
            return False
        self._count(+1, record)
        self._records[record.node] = record
        self._heard[record.node] = self._period
        return True

    def period_passed(self) -> None:
        """Note that every node should have been heard once more; those that are silent for too long are not picked."""
        self._period += 1
        while self._heard:
            peer = next(iter(self._heard))
            if self._period - self._heard[peer] <= SILENT_PERIODS:
                return
            self._silent[peer] = self._take_away(peer)

    def _has_room(self) -> bool:
        """Make room for one node, if need be and that is possible."""
        if len(self._records) + len(self._silent) < MAX_PEERS:
            return True
        for nodes in (self._silent, self._heard):
            oldest = next((peer for peer in nodes if peer not in self._engaged), None)
            if oldest is not None:
                if self._silent.pop(oldest, None) is None:
                    self._take_away(oldest)
                return True
        return False

    def _take_away(self, peer: PeerId) -> Capacity:
        """Let a node be picked no more; the last one gets its place."""
        record = self._records.pop(peer)
        del self._heard[peer]
        self._count(-1, record)
        place, last = self._places.pop(peer), self._peers.pop()
        if last != peer:
            self._peers[place] = last
            self._places[last] = place
        return record

    def _count(self, sign: int, record: Capacity) -> None:
        for demand in self._slots:
            self._slots[demand] += sign * times(demand, record.total)

    def slots(self, demand: Demand) -> int:
        """Return how many executions of `demand` all nodes that may be picked could have at once."""
        if demand not in self._slots:
            if len(self._slots) >= MAX_DEMANDS:
                self._slots.clear()
            self._slots[demand] = sum(times(demand, record.total) for record in self._records.values())
        return self._slots[demand]

    def sequence_of(self, peer: PeerId) -> int:
        """Return the number of the peer's latest record, -1 if there is none: older ones need no checking."""
        record = self._records.get(peer) or self._silent.get(peer)
        return -1 if record is None else record.sequence

    def engage(self, peer: PeerId, count: int) -> None:
        """Count tasks that this requester has with a peer, offers included."""
        now = self._engaged.get(peer, 0) + count
        if now:
            self._engaged[peer] = now
        else:
            self._engaged.pop(peer, None)

    def pick(self, count: int, demand: Demand, *, seed: str, exclude: frozenset[PeerId]) -> tuple[PeerId, ...]:
        """Return up to `count` nodes that could take `demand`, the least loaded of those that are drawn.

        What this requester has there comes first, because it is exact; what a record says is free breaks ties. The cost
        grows with `count` and not with the number of nodes, unless nearly all of them are excluded.
        """
        if not self._peers:
            return ()
        drawn = [self._peers[index] for index in draws(seed, _TRIES * count, len(self._peers))]
        found = self._possible(drawn, demand, exclude)
        if len(found) < count:  # a small network, or few left: look at everybody, from a drawn place on
            (start,) = draws(seed, 1, len(self._peers))
            found = self._possible((*self._peers[start:], *self._peers[:start]), demand, exclude)
        return tuple(sorted(found, key=lambda peer: self._load(peer, demand))[:count])

    def readers(self, peers: Iterable[PeerId]) -> frozenset[PeerId]:
        """Return those of `peers` that say that they read `SignedAssign`."""
        records = ((peer, self._records.get(peer)) for peer in peers)
        return frozenset(peer for peer, said in records if said is not None and READS_SIGNED_ASSIGN in said.engines)

    def able(self, demand: Demand, *, exclude: frozenset[PeerId]) -> list[PeerId]:
        """Return all nodes that could take `demand`; the cost grows with their number."""
        return self._possible(self._peers, demand, exclude)

    def _possible(self, peers: Iterable[PeerId], demand: Demand, exclude: frozenset[PeerId]) -> list[PeerId]:
        distinct = dict.fromkeys(peers)
        return [peer for peer in distinct if peer not in exclude and fits(demand, self._records[peer].total)]

    def _load(self, peer: PeerId, demand: Demand) -> tuple[float, bool]:
        record = self._records[peer]
        return self._engaged.get(peer, 0) / max(record.total.cpu_milli, 1), not fits(demand, record.free)
