"""What stands around a machine of the protocol: a disk that keeps what was persisted, a clock of its own, crashes.

A crash may come before any single action, and what was not persisted by then is gone, timers and executions included.
"""

from __future__ import annotations

import hashlib
from functools import cache

from network.compute_node import ComputeNode
from network.message_codec import decode, encode, sign_close, version_of
from network.messages import Capacity, Demand, EngineKind
from network.protocol_events import (
    Abort,
    Accuse,
    Broadcast,
    Executed,
    ExecutionFailed,
    Forget,
    Heard,
    KeepList,
    Misbehaved,
    Persist,
    Received,
    Report,
    Run,
    Send,
    SetTimer,
    Timer,
)
from network.requester import Requester
from runtime.engine import Execution
from storage.cid import CID, RAW, make_cid
from verifier.commitment import close_round, list_cid
from verifier.identity import Identity
from verifier.model import EngineInfo

STATE = "5a" * 32
UNIT = Demand(cpu_milli=1000, memory=1 << 30, disk=0, gpus=0)


@cache
def identity(name: str) -> Identity:
    return Identity.from_seed(hashlib.sha256(f"simulated {name}".encode()).digest())


def truth(task: CID) -> CID:
    """Return y = f(x)."""
    return make_cid(RAW, b"y of " + task)


def lie(task: CID, number: int = 0) -> CID:
    return make_cid(RAW, f"lie {number} about ".encode() + task)


class Host:
    """One process with its disk."""

    is_node = False
    is_honest = True

    def __init__(self, world, referee, name, *, rate=1.0):
        self.world, self.referee, self.name, self.rate = world, referee, name, rate
        self.identity = identity(name)
        self.peer = self.identity.peer
        self.disk: dict[str, bytes] = {}
        self.disk_is_full = False
        self.is_up = False
        self.machine = None
        self.life = 0
        world.hosts[self.peer] = self

    # Life and death

    def boot(self):
        if self.is_up:
            return
        if self.life:
            self.world.say(f"{self.name} RESTARTS")
        self.is_up = True
        self.life += 1
        actions = self.new_machine()
        self.referee.restarted(self)
        self.perform(actions)

    def crash(self):
        if not self.is_up:
            return
        self.world.say(f"{self.name} CRASHES")
        self.is_up = False
        self.machine = None
        self.life += 1
        if self.is_node:
            self.world.note_trouble(self, self)
            self.world.at(self.world.random.uniform(1, 12), self._tell_lost, self.life)
        self.world.at(self.world.random.uniform(0.1, 8), self.boot)

    def _tell_lost(self, life):
        """Let requesters notice what is down for long."""
        if life == self.life:
            self.world.tell_lost(self, self.world.requesters)

    def free_disk(self):
        self.disk_is_full = False

    # Events and actions

    def receive(self, peer, data):
        self.feed(Received(peer=peer, message=data))

    def feed(self, event):
        if self.is_up:
            self.perform(self.machine.handle(event))

    def feed_if_alive(self, life, event):
        if self.is_up and life == self.life:
            self.feed(event)

    def perform(self, actions):
        world = self.world
        for action in actions:
            if world.chance(world.weather.crash_in_action) or (self.disk_is_full and isinstance(action, Persist)):
                self.crash()
                return
            self.do(action)
        self.referee.check(self)

    def do(self, action):
        if isinstance(action, Send):
            self.send(action.peer, action.message)
        elif isinstance(action, SetTimer):
            timer = Timer(session=action.session, about=action.about)
            self.world.at(action.delay_ms / 1000 / self.rate, self.feed_if_alive, self.life, timer)
        elif isinstance(action, Persist):
            self.disk[action.key] = action.value
        elif isinstance(action, Forget):
            self.disk.pop(action.key, None)
        elif isinstance(action, Accuse):
            self.world.say(f"{self.name} ACCUSES {action.blame.kind} of {self.world.hosts[action.blame.node].name}")
            self.referee.accused(self, action.blame)
        elif isinstance(action, Misbehaved):
            self.world.say(f"{self.name} notes that {self.world.hosts[action.peer].name} {action.problem[:60]}")
            self.referee.misbehaved(self, action)
        else:
            self.do_more(action)

    def send(self, peer, data):
        kind = version_of(data)
        self.referee.sending(self, peer, data, kind)
        self.world.send(self, peer, data, kind)


class RequesterHost(Host):
    """A requester and the submitters behind it."""

    grace_ms = 6_000
    """Short beside the search: most that crash are back by then, and some are not."""

    def __init__(self, world, referee, name, *, rate=1.0):
        super().__init__(world, referee, name, rate=rate)
        self.blocks = set()
        self.submitted = set()
        """Jobs that are or were on its disk; like a node's submissions, it outlives what the machine keeps of them."""
        world.requesters.append(self)

    def new_machine(self):
        self.machine = Requester(self.identity, gossip_ms=NodeHost.gossip_ms, grace_ms=self.grace_ms)
        actions = self.machine.restore(self.disk)
        for node in self.world.hosts.values():
            if node.is_node and node.last_record is not None:  # gossip reaches it soon after
                self.world.at(0.05, self.feed_if_alive, self.life, Heard(message=node.last_record, via=node.peer))
        return actions

    def do(self, action):
        if isinstance(action, Persist) and action.key.startswith("job/"):
            self.submitted.add(action.key.removeprefix("job/"))
        super().do(action)

    def do_more(self, action):
        if isinstance(action, KeepList):
            self.blocks.add(list_cid(action.commitments))
            return
        assert isinstance(action, Report)
        self.referee.reported(self, action.news)


class TwoFaced(RequesterHost):
    """Closes each round twice: with the list, and with one that only holds the commitment of whom it speaks to."""

    is_honest = False

    def send(self, peer, data):
        if version_of(data) == "close/1":
            close = decode(data, self.peer)
            alone = [one for one in close.commitments.commitments if one.node == peer]
            other = close_round(close.commitments.task, alone)
            second = encode(sign_close(self.identity, close.session, close.round, other))
            for one in self.world.random.sample([data, second], 2):
                super().send(peer, one)
        else:
            super().send(peer, data)


class NodeHost(Host):
    """A compute node and its engine."""

    is_node = True
    gossip_ms = 60_000
    """Rare, because signing is most of its cost here."""
    is_old = False
    """Of a release that does not know `assign/2`."""

    def __init__(
        self, world, referee, name, *, slots=2, kind=("pyodide", "x86_64"), is_slow=False, is_quick=False, rate=1.0
    ):
        super().__init__(world, referee, name, rate=rate)
        self.slots, self.kind, self.is_slow, self.is_quick = slots, kind, is_slow, is_quick
        self.last_record = None

    def new_machine(self):
        total = Demand(cpu_milli=1000 * self.slots, memory=self.slots << 30, disk=0, gpus=0)
        engines = (EngineKind(engine=self.kind[0], arch=self.kind[1]),)
        self.machine = ComputeNode(self.identity, total=total, engines=engines, gossip_ms=self.gossip_ms)
        return self.machine.start(self.disk)

    def do_more(self, action):
        if isinstance(action, Broadcast):
            record = action.message
            if self.is_old:
                old = record.to_node() | {"engines": [one.to_node() for one in self.machine.engines]}
                record = Capacity.from_node(self.identity.sign(old))
            self.last_record = encode(record)
            self.world.sent["capacity/1"] += 1
            for host in self.world.requesters:
                self.world.at(0.1, self._gossip, host, self.last_record)
        elif isinstance(action, Run):
            self._run(action)
        else:
            assert isinstance(action, Abort)

    def _gossip(self, host, record):
        if host.is_up:
            host.feed(Heard(message=record, via=self.peer))

    def _run(self, run):
        self.referee.running(self, run)
        draw = self.world.random
        took_s = draw.uniform(0.01, 0.1) if self.is_quick else draw.uniform(0.1, 3.0)
        if self.is_slow and not self.world.is_healed:
            took_s += draw.uniform(5, 40)
            self.world.note_trouble(self, self)
        if self.world.chance(self.world.weather.failing):
            self.world.note_trouble(self, self)
            event = ExecutionFailed(session=run.session, reason="disk full")
        else:
            event = Executed(
                session=run.session,
                execution=self.execution(run.task),
                nonce=draw.randbytes(32).hex(),
                took_ms=int(took_s * 1000),
            )
        self.world.at(took_s, self.feed_if_alive, self.life, event)

    def answer(self, task):
        return truth(task)

    def execution(self, task):
        engine = EngineInfo(name=self.kind[0], version="1", arch=self.kind[1], isolation=())
        return Execution(task=task, output=self.answer(task), exit_code=0, fuel=None, state_digest=STATE, engine=engine)
