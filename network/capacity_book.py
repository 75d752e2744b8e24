"""What a requester knows of nodes from gossip: the latest record of each, bounded, and whom to offer a task.

Records are hints: a node that lies about its room refuses or keeps an offer waiting, and nothing depends on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from network.bid_choice import draws
from network.messages import Capacity, Demand
from verifier.model import PeerId

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
    """Latest record by node. Not pure, for its size: `note` changes it; `pick` does not."""

    def __init__(self) -> None:
        self._records: dict[PeerId, Capacity] = {}
        self._peers: list[PeerId] = []
        self._engaged: Counter[PeerId] = Counter()
        self._slots: dict[Demand, int] = {}

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def peers(self) -> Sequence[PeerId]:
        """Return the nodes that may be picked."""
        return self._peers

    def note(self, record: Capacity) -> bool:
        """Keep a record whose signature was checked, if it is newer; tell whether it was kept."""
        known = self._records.get(record.node)
        if known is None:
            if len(self._peers) >= MAX_PEERS:
                return False
            self._peers.append(record.node)
        elif known.sequence >= record.sequence:
            return False
        if known is None or known.total != record.total:
            self._slots.clear()
        self._records[record.node] = record
        return True

    def slots(self, demand: Demand) -> int:
        """Return how many executions of `demand` all nodes together could have at once."""
        if demand not in self._slots:
            if len(self._slots) >= MAX_DEMANDS:
                self._slots.clear()
            self._slots[demand] = sum(times(demand, record.total) for record in self._records.values())
        return self._slots[demand]

    def sequence_of(self, peer: PeerId) -> int:
        """Return the number of the peer's latest record, -1 if there is none: older ones need no checking."""
        record = self._records.get(peer)
        return -1 if record is None else record.sequence

    def engage(self, peer: PeerId, count: int) -> None:
        """Count tasks that this requester has with a peer, offers included."""
        self._engaged[peer] += count

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

    def _possible(self, peers: Iterable[PeerId], demand: Demand, exclude: frozenset[PeerId]) -> list[PeerId]:
        distinct = dict.fromkeys(peers)
        return [peer for peer in distinct if peer not in exclude and fits(demand, self._records[peer].total)]

    def _load(self, peer: PeerId, demand: Demand) -> tuple[float, bool]:
        record = self._records[peer]
        return self._engaged[peer] / max(record.total.cpu_milli, 1), not fits(demand, record.free)
