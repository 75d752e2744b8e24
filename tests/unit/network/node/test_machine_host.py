"""One machine with its inbox: order, bounds, what happens when nothing can be kept."""

import pytest
import trio
import trio.testing

from network.messages import Demand
from network.node import machine_host
from network.node.datastore import Machine, Put, Remove
from network.node.machine_host import MachineHost, World
from network.protocol_events import CancelRequested, Forget, Persist, Received, Run, Send, SetTimer, Timer
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError, UserError
from tests.vectors.records.world import identity

PEER = identity(1).peer
NOTHING = Demand(cpu_milli=0, memory=0, disk=0, gpus=0)
RUN = Run(session="s", task=make_cid(RAW, b"task"), requester=PEER, demand=NOTHING)


class Recorder:
    """A machine that persists and answers every message, and the world that it acts in."""

    def __init__(self):
        self.log = []
        self.changes = []
        self.made = 0
        self.tasks = {"s": None}
        self.full = 0
        self.gate = trio.Event()
        self.gate.set()
        self.host = MachineHost(
            Machine.COMPUTE,
            self.make,
            World(
                load=dict,
                keep=self.keep,
                kept=lambda: None,
                act=lambda action: self.log.append(("act", action)),
                restarted=lambda: self.log.append("restarted"),
                in_thread=self.in_thread,
            ),
        )

    async def in_thread(self, call):
        await self.gate.wait()
        return call()

    def make(self, entries):
        self.made += 1
        return self, ()

    def handle(self, event):
        if isinstance(event, CancelRequested):
            raise UserError("no")
        if isinstance(event, Timer):
            return (Send(peer=PEER, message=b"timer"),)
        key = event.message.decode()
        if key == "run":
            return (Persist(key=key, value=b""), RUN, Send(peer=PEER, message=event.message))
        if key == "twice":
            return (Persist(key=key, value=b"1"), Persist(key=key, value=b"2"))
        if key == "forgotten":
            return (Persist(key=key, value=b"1"), Forget(key=key))
        if key == "bug":
            raise ValueError("too long")
        if key.startswith("timer"):
            return (SetTimer(session="s", about=1, delay_ms=5_000),)
        return (Send(peer=PEER, message=event.message), Persist(key=key, value=b""))

    def keep(self, actions, changes):
        if self.full:
            self.full -= 1
            raise UnavailableError("disk is full")
        self.log.append([change.key for change in changes if isinstance(change, Put)])
        self.changes += changes


def received(text):
    return Received(peer=PEER, message=text.encode())


def on_jumping_clock(test):
    def run(**fixtures):
        async def main():
            async with trio.open_nursery() as nursery:
                recorder = Recorder()
                nursery.start_soon(recorder.host.run)
                await test(recorder, nursery, **fixtures)
                nursery.cancel_scope.cancel()

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))

    run.__name__ = test.__name__
    return run


@on_jumping_clock
async def test_everything_is_kept_before_anything_is_said(recorder, nursery):
    for text in ("a", "b"):
        recorder.host.feed(received(text))
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.log == [
        ["a", "b"],
        ("act", Send(peer=PEER, message=b"a")),
        ("act", Send(peer=PEER, message=b"b")),
    ]


@on_jumping_clock
async def test_nothing_is_said_that_could_not_be_kept_and_the_machine_is_made_anew(recorder, nursery):
    await trio.testing.wait_all_tasks_blocked()
    recorder.full = 1
    with pytest.raises(UnavailableError, match="full"):
        await recorder.host.ask(received("a"))
    assert not recorder.host.is_healthy
    await recorder.host.ask(received("b"))
    assert recorder.log == ["restarted", ["b"], ("act", Send(peer=PEER, message=b"b"))]
    assert (recorder.made, recorder.host.is_healthy) == (2, True)


@on_jumping_clock
async def test_a_bug_that_an_event_finds_is_told_to_who_waits_and_the_machine_is_made_anew(recorder, nursery):
    await recorder.host.ask(received("a"))
    with pytest.raises(UnavailableError, match="internal error"):
        await recorder.host.ask(received("bug"))
    assert not recorder.host.is_healthy
    await recorder.host.ask(received("b"))
    assert (recorder.made, recorder.host.is_healthy) == (2, True)


@on_jumping_clock
async def test_timers_end_with_their_machine(recorder, nursery):
    recorder.host.feed(received("timer"))
    await trio.sleep(1)
    recorder.full = 1
    with pytest.raises(UnavailableError):
        await recorder.host.ask(received("a"))
    await trio.sleep(60)
    assert recorder.log == ["restarted"]


@on_jumping_clock
async def test_a_timer_comes_when_it_is_due(recorder, nursery):
    recorder.host.feed(received("timer"))
    await trio.sleep(4.9)
    assert recorder.log == []
    await trio.sleep(0.2)
    assert recorder.log == [("act", Send(peer=PEER, message=b"timer"))]


@on_jumping_clock
async def test_a_refusal_is_the_askers_alone(recorder, nursery):
    with pytest.raises(UserError, match="no"):
        await recorder.host.ask(CancelRequested(job="x"))
    await recorder.host.ask(received("a"))
    assert recorder.made == 1


@pytest.mark.parametrize(("count", "size"), [(machine_host.MAX_WAITING + 100, 1), (40, 1 << 20)])
def test_what_peers_send_is_bounded_and_waits_at_the_door(count, size):
    @on_jumping_clock
    async def bounded(recorder, nursery):
        await trio.testing.wait_all_tasks_blocked()
        recorder.gate = trio.Event()  # the disk is slow: one batch is under way, the rest waits
        for number in range(count):
            nursery.start_soon(recorder.host.bring, received(f"{number:0{size}}"))
        await trio.testing.wait_all_tasks_blocked()
        assert recorder.host._waiting_bytes <= machine_host.MAX_WAITING_BYTES
        assert len(recorder.host._inbox) <= machine_host.MAX_WAITING
        recorder.gate.set()
        await trio.sleep(60)  # batches are some way apart
        assert sum(len(entry) for entry in recorder.log if isinstance(entry, list)) == count
        assert recorder.host._waiting_bytes == 0

    bounded()


@on_jumping_clock
async def test_an_execution_begins_before_anything_is_kept(recorder, nursery):
    recorder.gate = trio.Event()
    nursery.start_soon(recorder.host.ask, received("run"))
    await trio.testing.wait_all_tasks_blocked()
    recorder.gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.log == [("act", RUN), ["run"], ("act", Send(peer=PEER, message=b"run"))]


@on_jumping_clock
async def test_of_a_key_the_last_word_is_kept(recorder, nursery):
    for text in ("a", "twice", "forgotten"):
        recorder.host.feed(received(text))
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.changes == [
        Put(machine=Machine.COMPUTE, key="a", value=b""),
        Put(machine=Machine.COMPUTE, key="twice", value=b"2"),
        Remove(machine=Machine.COMPUTE, key="forgotten"),
    ]


@on_jumping_clock
async def test_the_more_is_under_way_the_longer_events_are_gathered(recorder, nursery):
    recorder.tasks = dict.fromkeys(map(str, range(20)))
    recorder.host.feed(received("a"))
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.log[0] == ["a"], "the first of a while is not kept waiting"
    for text in ("b", "c"):
        recorder.host.feed(received(text))
        await trio.sleep(0.15)
    assert len(recorder.log) == 2
    await trio.sleep(0.15)
    assert recorder.log[2] == ["b", "c"]
