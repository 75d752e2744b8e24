"""A seed to a story: who is there, what the weather is, what is asked for. And its run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from random import Random

from network.protocol_events import CancelRequested, Submitted
from storage.cid import RAW, make_cid
from tests.adversary.simulator.hosts import UNIT, NodeHost, RequesterHost, TwoFaced
from tests.adversary.simulator.personas import PERSONAS
from tests.adversary.simulator.referee import Referee
from tests.adversary.simulator.world import Weather, World
from verifier.compare import make_rule

KINDS = (("pyodide", "x86_64"), ("pyodide", "aarch64"), ("wasmtime", "x86_64"))
CALM = Weather(heals_at_s=1.0)
WEATHERS = (
    CALM,
    Weather(drop=0.1, duplicate=0.1, slow_message=0.1),
    Weather(drop=0.4, slow_message=0.2),
    Weather(crash_every_s=6.0, crash_in_action=0.01),
    Weather(crash_in_action=0.05),
    Weather(partition_every_s=8.0, drop=0.05),
    Weather(full_disk_every_s=5.0, failing=0.2),
    Weather(slow_nodes=0.5, skew=0.2, slow_message=0.2),
    Weather(
        drop=0.1, duplicate=0.1, slow_message=0.1, partition_every_s=15, crash_every_s=10, crash_in_action=0.01,
        full_disk_every_s=15, slow_nodes=0.2, failing=0.1, skew=0.1,
    ),
)  # fmt: skip
QUICK = 0.15
"""Share of stories with jobs of many tiny tasks, which nodes take without a bid for each."""
OLD = 0.2
"""Share of nodes of the release before."""
EXECUTE_MS, REVEAL_MS, OFFER_MS, QUEUE_MS = 20_000, 10_000, 1_000, 30_000


@dataclass(kw_only=True)
class Story:
    """One simulated world, ready to run."""

    world: World
    referee: Referee
    nodes: list[NodeHost]
    requesters: list[RequesterHost]
    jobs: list[tuple[RequesterHost, Submitted]]
    bound_s: float
    """Virtual seconds in which all jobs must have ended."""

    def run(self) -> Story:
        world = self.world
        for host in (*self.nodes, *self.requesters):
            host.boot()
        for host, job in self.jobs:
            world.at(world.random.uniform(0.2, 5.0), self.submit, host, job)
        world.start_weather()
        if not world.run(self.bound_s, self.is_over):
            waiting = [job.job[:6] for _, job in self.jobs if job.job not in self.referee.ended_jobs]
            self.referee.violated(3, f"jobs {waiting} have not ended after {world.now_s:.0f} s")
        if world.weather is CALM and all(host.is_honest for host in world.hosts.values()):
            self.referee.check_calm(self.nodes, self.jobs)
        return self

    def submit(self, host: RequesterHost, job: Submitted) -> None:
        """Submit again until it is accepted: the submitter does not know what a crash took."""
        if job.job in host.submitted:
            self.referee.accepted_jobs[job.job] = host
        if job.job in self.referee.accepted_jobs:
            return
        host.feed(job)
        self.world.at(3.0, self.submit, host, job)

    def is_over(self) -> bool:
        return len(self.referee.ended_jobs) == len(self.jobs)


def story(seed: int, trace=None) -> Story:
    world = World(seed=seed, weather=WEATHERS[seed % len(WEATHERS)], trace=trace)
    draw, weather = world.random, world.weather
    referee = Referee(world)
    rate = lambda: 1.0 + draw.uniform(-weather.skew, weather.skew)  # noqa: E731
    count = draw.randint(3, 8)
    bad = draw.choice((0, 0, 1, 1, 2, count // 2))
    kinds = [draw.choice(PERSONAS) if number < bad else NodeHost for number in range(count)]
    slots = draw.choice(((1,), (1, 2, 3), (2, 4)))
    is_quick = draw.random() < QUICK
    nodes = [
        kind(
            world, referee, f"n{number}-{kind.__name__.lower()}" if kind is not NodeHost else f"n{number}",
            slots=draw.choice(slots), kind=draw.choice(KINDS), rate=rate(),
            is_slow=draw.random() < weather.slow_nodes, is_quick=is_quick,
        )
        for number, kind in enumerate(kinds)
    ]  # fmt: skip
    aside = Random(f"checkpoints {seed}")  # draws that came later do not change the stories of before
    for node in nodes:
        node.is_old = aside.random() < OLD
    roles = [draw.choice((RequesterHost,) * 5 + (TwoFaced,)) for _ in range(draw.randint(1, 2))]
    requesters = [role(world, referee, f"r{number}", rate=rate()) for number, role in enumerate(roles)]
    drawn = [(draw.choice(requesters), _job(draw, seed, number, is_quick)) for number in range(draw.randint(1, 2))]
    jobs = [(host, replace(job, resumes=aside.random() < 0.5)) for host, job in drawn]
    for host, job in jobs:
        if draw.random() < 0.1:
            world.at(draw.uniform(1, 20), host.feed, CancelRequested(job=job.job))
    most = max(2 * job.rule.replication + 1 for _, job in jobs)
    round_s = (QUEUE_MS + 2 * EXECUTE_MS + REVEAL_MS) / 1000 / (1 - weather.skew)
    # Where there is little room the tasks follow one another (seed 41430 of an earlier draw).
    in_turn = sum(len(job.tasks) for _, job in jobs)
    bound_s = weather.heals_at_s + 10 + in_turn * (most + 1) * round_s
    return Story(world=world, referee=referee, nodes=nodes, requesters=requesters, jobs=jobs, bound_s=bound_s)


def _job(draw, seed: int, number: int, is_quick: bool) -> Submitted:
    replication = draw.choice((1, 2, 3, 3, 3, 4, 5))
    confidence = draw.choice((None, None, 1, 2, 3, replication))
    rule = make_rule(replication=replication, confidence=confidence, diverse=draw.random() < 0.2)
    name = hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()
    counts = (6, 12, 24) if is_quick else (1, 1, 2, 4)
    tasks = tuple(make_cid(RAW, f"task {index} of {name}".encode()) for index in range(draw.choice(counts)))
    return Submitted(
        job=name[:32], tasks=tasks, rule=rule, demand=UNIT, seed=name, min_bids=draw.choice((0, 0, replication + 1)),
        execute_ms=EXECUTE_MS, reveal_ms=REVEAL_MS, offer_ms=OFFER_MS, queue_ms=QUEUE_MS,
    )  # fmt: skip
