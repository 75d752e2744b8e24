"""How the protocol grows: one job of many shards on many nodes in calm weather, by virtual time and by messages.

`python -m tests.adversary.simulator.scale 100 300 1000 3000`: ten shards for each node but at most 10,000,
replication 3, two executions at a time on each node, each 0.1 to 3 virtual seconds; messages take about 25 virtual ms.
`1000x100000`: as many shards as that. `1000x100000-5`: and five of a hundred nodes die on the way, each at a time of
its own, and never come back.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass

from network.capacity_book import GOSSIP_MS
from network.protocol_events import JobEnded, Submitted, TaskEnded
from network.requester_entries import MAX_TASKS
from storage.cid import RAW, make_cid
from tests.adversary.simulator.hosts import UNIT, NodeHost, RequesterHost
from tests.adversary.simulator.world import Weather, World
from verifier.compare import make_rule
from verifier.model import Verdict

SHARDS_PER_NODE = 10
MAX_SHARDS = 10_000
SLOTS = 2
REPLICATION = 3
MEAN_EXECUTION_S = 1.55
LOST_AFTER_S = 10.0
"""Of a connection, as a node's driver waits for it (`network.node.lost_peers`)."""


class Watch:
    """In place of the referee: only what the report needs."""

    def __init__(self, world):
        self.world = world
        self.begun_s, self.took_s, self.verdicts = {}, [], Counter()
        self.open = 0
        """Jobs."""

    def restarted(self, host):
        pass

    check = accused = restarted

    def misbehaved(self, host, action):
        raise AssertionError(action)

    def sending(self, host, peer, data, kind):
        if kind == "offer/1":
            # The first offer begins a shard; its name is found without decoding, which would cost more than the rest.
            self.begun_s.setdefault(data[data.index(b"gsession") + 10 :][:64], self.world.now_s)

    def reported(self, host, news):
        if isinstance(news, TaskEnded):
            self.verdicts[news.decision.verdict] += 1
            self.took_s.append(self.world.now_s - self.begun_s[news.session_id.encode()])
        self.open -= isinstance(news, JobEnded)


class ScaleNode(NodeHost):
    gossip_ms = GOSSIP_MS

    def die(self):
        """Crash for good."""
        self.is_up = False
        self.machine = None
        self.life += 1
        self.world.at(LOST_AFTER_S + self.world.random.uniform(0, 1), self._tell_lost, self.life)


@dataclass(frozen=True, kw_only=True)
class Growth:
    """One row of the report."""

    nodes: int
    shards: int
    messages_per_shard: float
    gossip_per_node_and_minute: float
    median_s: float
    p99_s: float
    total_s: float
    ideal_s: float
    """All slots of all nodes that there were at the start, busy all the time."""
    wall_s: float
    verdicts: Counter


def measure(nodes: int, shards: int, *, dying_percent: int = 0) -> Growth:
    began = time.perf_counter()
    world = World(seed=nodes, weather=Weather(heals_at_s=0.0))
    watch = Watch(world)
    requester = RequesterHost(world, watch, "requester")
    requester.boot()
    ideal_s = shards * REPLICATION * MEAN_EXECUTION_S / (nodes * SLOTS)
    hosts = [ScaleNode(world, watch, f"scale {number}", slots=SLOTS) for number in range(nodes)]
    for host in hosts:
        host.boot()
    for host in world.random.sample(hosts, nodes * dying_percent // 100):
        world.at(1.0 + world.random.uniform(0.0, ideal_s), host.die)
    tasks = tuple(make_cid(RAW, f"shard {number}".encode()) for number in range(shards))
    parts = [tasks[at : at + MAX_TASKS] for at in range(0, shards, MAX_TASKS)]
    watch.open = len(parts)
    for number, part in enumerate(parts):
        job = Submitted(
            job=f"{number:032x}", tasks=part, rule=make_rule(replication=REPLICATION), demand=UNIT, seed="5c" * 32
        )
        world.at(1.0, requester.feed, job)
    assert world.run(1e6, lambda: not watch.open)
    gossip = world.sent.pop("capacity/1")
    watch.took_s.sort()
    return Growth(
        nodes=nodes,
        shards=shards,
        messages_per_shard=world.sent.total() / shards,
        gossip_per_node_and_minute=gossip / nodes / (world.now_s / 60),
        median_s=statistics.median(watch.took_s),
        p99_s=watch.took_s[int(len(watch.took_s) * 0.99)],
        total_s=world.now_s - 1.0,
        ideal_s=ideal_s,
        wall_s=time.perf_counter() - began,
        verdicts=watch.verdicts,
    )


def main(sizes: list[str]) -> int:
    print(" nodes  shards dying  messages/shard  to verdict: median    p99   all shards (ideal, times)  wall  verdicts")
    for size in sizes:
        counts, _, dying = size.partition("-")
        nodes, shards = (int(text or 0) for text in (counts.partition("x")[0], counts.partition("x")[2]))
        row = measure(nodes, shards or min(nodes * SHARDS_PER_NODE, MAX_SHARDS), dying_percent=int(dying or 0))
        print(
            f"{row.nodes:6} {row.shards:7} {int(dying or 0):3} % {row.messages_per_shard:15.1f} {row.median_s:18.2f} s"
            f" {row.p99_s:5.2f} s {row.total_s:9.1f} s ({row.ideal_s:.1f} s, {row.total_s / row.ideal_s:.2f})"
            f" {row.wall_s:5.0f} s  {dict(row.verdicts)}",
            flush=True,
        )
        assert set(row.verdicts) == {Verdict.AGREED}
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["100", "300", "1000", "3000"]))
