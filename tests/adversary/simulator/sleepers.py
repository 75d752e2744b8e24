"""How often a wrong answer is believed where jobs go by trust, against what the formula promises.

`python -m tests.adversary.simulator.sleepers`: for kinds of bad nodes and rates of spot checks some runs of the
protocol in virtual time, with the machines, the plans and the histories of a real requester. A tenth of the nodes is
bad, as the formula is told; each seed is a network of its own. `20` behind it: so many seeds, in place of 8.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from network.node.spot_checks import RULE
from network.node.trust_book import TrustBook, witness_by
from network.protocol_events import JobEnded, Submitted, TaskEnded
from network.requester import Requester
from network.trust_terms import LEAST_RULE
from storage.cid import RAW, make_cid
from tests.adversary.simulator.hosts import UNIT, NodeHost, RequesterHost, lie, truth
from tests.adversary.simulator.world import Weather, World
from verifier.compare import claim_of
from verifier.credibility import TrustGoal, Witness
from verifier.model import Verdict

NODES = 20
BAD = 2
TASKS = 400
SEEDS = 8
AT_ONCE = 12
RECORD = make_cid(RAW, b"where a record would be")
WITHOUT = frozenset[str]()


class Quiet:
    """In place of the referee."""

    def ignore(self, *arguments):
        pass

    restarted = check = sending = reported = accused = running = ignore

    def misbehaved(self, host, action):
        raise AssertionError(action)


class Sleeper(NodeHost):
    """Honest for a number of tasks, and then never again."""

    is_honest = False
    honest_for = 20

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.answered = 0

    def answer(self, task):
        self.answered += 1
        return truth(task) if self.answered <= self.honest_for else lie(task)


class Sometimes(Sleeper):
    """Lies about a share of the tasks, from the start: what the formula is about."""

    share = 0.02

    def answer(self, task):
        return lie(task) if self.world.random.random() < self.share else truth(task)


class Often(Sometimes):
    share = 0.2


class Always(Sometimes):
    share = 1.0


ROWS = ((Always, 0.05), (Often, 0.05), (Sometimes, 0.0), (Sometimes, 0.05), (Sleeper, 0.0), (Sleeper, 0.05),
        (Sleeper, 0.2))  # fmt: skip


class TrustingRequester(RequesterHost):
    """A requester whose jobs go by trust, and which mixes in checks."""

    def __init__(self, world, goal, rate):
        super().__init__(world, Quiet(), "requester")
        self.book, self.goal, self.share = TrustBook(), goal, rate
        self.known = []
        """(task, claim, who said so) of what two or more agreed on."""
        self.checks = {}
        self.todo = []
        self.open = 0
        self.found = Believed()

    def new_machine(self):
        self.machine = Requester(
            self.identity, self.unfit, gossip_ms=NodeHost.gossip_ms, grace_ms=self.grace_ms, trust=self.book
        )
        return self.machine.restore(self.disk)

    def unfit(self, job):
        check = self.checks.get(job)
        return WITHOUT if check is None else check[2]

    def do_more(self, action):
        news = getattr(action, "news", None)
        if isinstance(news, TaskEnded):
            (self.check_ended if news.job in self.checks else self.task_ended)(news)
        elif isinstance(news, JobEnded) and self.checks.pop(news.job, None) is None:
            self.open -= 1
            self.book.end(news.job)
            self.world.at(0.0, self.submit)

    def submit(self):
        while self.todo and self.open < AT_ONCE:
            task = self.todo.pop()
            job = f"{len(self.todo):032x}"
            self.open += 1
            self.book.begin(job, self.goal)
            self.feed(self.job(job, task, LEAST_RULE))
            if self.known and self.world.random.random() < self.share:
                check = self.world.random.choice(self.known)
                name = f"{self.world.random.getrandbits(120):032x}"
                self.checks[name] = check
                self.world.at(self.world.random.uniform(0, 5), self.feed, self.job(name, check[0], RULE))

    def job(self, name, task, rule):
        seed = self.world.random.randbytes(32).hex()
        return Submitted(job=name, tasks=(task,), rule=rule, demand=UNIT, seed=seed, execute_ms=60_000)

    def task_ended(self, news):
        task, found = news.session.task, self.found
        found.executions += len(news.session.asked)
        if news.decision.verdict is not Verdict.AGREED:
            found.refused += 1
            return
        found.believed += 1
        found.wrong += news.decision.claim[0] != truth(task)
        witness = witness_by(news.decision, task)
        self.book.note(witness, RECORD)
        if len(witness.agreeing) > 1:
            self.known.append((task, news.decision.claim, witness.agreeing | witness.dissenting))

    def check_ended(self, news):
        _, claim, _ = self.checks[news.job]
        self.found.checks += 1
        for receipt in news.session.receipts.values():
            one, none = frozenset({receipt.node}), frozenset()
            agrees = claim_of(receipt) == claim
            witness = Witness(
                task=news.session.task, agreeing=one if agrees else none, dissenting=none if agrees else one
            )
            self.book.note(witness, RECORD, among=1)


@dataclass
class Believed:
    """What came of a run."""

    believed: int = 0
    wrong: int = 0
    refused: int = 0
    executions: int = 0
    """Of tasks, without checks."""
    checks: int = 0

    def add(self, other):
        for name in ("believed", "wrong", "refused", "executions", "checks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def share(self):
        return self.wrong / max(self.believed, 1)


def measure(kind, tasks, *, asked=0.99, rate=0.05, seed=1):
    world = World(seed=seed, weather=Weather(heals_at_s=0.0))
    requester = TrustingRequester(world, TrustGoal(asked=asked, bad=BAD / NODES), rate)
    nodes = [(kind if number < BAD else NodeHost)(world, Quiet(), f"n{number}") for number in range(NODES)]
    for host in (requester, *nodes):
        host.boot()
    requester.todo = [make_cid(RAW, f"task {number}".encode()) for number in range(tasks)]
    world.at(1.0, requester.submit)
    assert world.run(1e7, lambda: not requester.todo and not requester.open)
    return requester.found


def main(counts):
    seeds = int(counts[0]) if counts else SEEDS
    print(
        f"trust 0.99: at most 0.01 wrong are promised; {NODES} nodes, {BAD} of them bad; {seeds} seeds, {TASKS} tasks"
    )
    print("bad nodes  checks  believed  wrong   share  refused  executions for a task, with checks")
    for kind, rate in ROWS:
        began = time.perf_counter()
        row = Believed()
        for seed in range(seeds):
            row.add(measure(kind, TASKS, rate=rate, seed=seed))
        tasks = seeds * TASKS
        print(
            f"{kind.__name__.lower():10} {rate:6.2f} {row.believed:9} {row.wrong:6} {row.share:7.4f} {row.refused:8}"
            f" {row.executions / tasks:10.2f} {(row.executions + row.checks) / tasks:12.2f}"
            f"   ({time.perf_counter() - began:.0f} s)",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
