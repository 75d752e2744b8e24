"""Threads that share a machine: nothing begins before there is room, and whatever ends, ends with its room free."""

import random
import signal
import threading

import pytest

from runtime.capacity import Room, together
from runtime.capacity_gate import CapacityGate
from runtime.capacity_ledger import CapacityLedger, Claim
from runtime.engine import UndeterminedError
from runtime.stop_signal import StopSignal
from storage.errors import UnavailableError
from tests.unit.runtime.pool_stand_in import PATIENCE_S

TOTAL = Room(cpu_milli=2000, memory_bytes=8, disk_bytes=8, gpus=1)
ALL = Room(cpu_milli=2000)
ONE = Room(cpu_milli=1000)


@pytest.fixture
def gate():
    return CapacityGate(CapacityLedger(TOTAL, gpus=("GPU-a",)))


def in_thread(call):
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def test_a_block_has_its_room_and_its_devices_and_gives_them_back(gate):
    with gate.hold(Room(cpu_milli=500, memory_bytes=3, gpus=1)) as claim:
        assert claim.gpus == ("GPU-a",)
        assert gate.free == Room(cpu_milli=1500, memory_bytes=5, disk_bytes=8, gpus=0)
    assert gate.free == TOTAL


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_room_is_free_again_whatever_ends_the_block(gate, error):
    with pytest.raises(error), gate.hold(ALL):
        raise error
    assert gate.free == TOTAL


def test_what_never_fits_is_refused_exactly(gate):
    with pytest.raises(UnavailableError) as raised, gate.hold(Room(cpu_milli=2500, memory_bytes=8, gpus=2)):
        raise AssertionError("it began")
    said = "capacity: needs 2500m cores, and gets at most 2; needs 2 GPUs, and gets at most 1; ask for less, or use"
    assert str(raised.value).startswith(said)
    assert gate.free == TOTAL


def test_who_waits_is_served_by_who_leaves(gate):
    began, may_end = threading.Event(), threading.Event()

    def wait():
        with gate.hold(ALL):
            began.set()
            may_end.wait(PATIENCE_S)

    with gate.hold(ONE):
        thread = in_thread(wait)
        while not gate._ledger.waiting:
            pass
        assert not began.is_set()
    assert began.wait(PATIENCE_S)
    may_end.set()
    thread.join(PATIENCE_S)
    assert gate.free == TOTAL


def test_a_stop_signal_ends_the_waiting_and_not_a_block_that_has_begun(gate):
    stop, ended = StopSignal(), []

    def wait():
        try:
            with gate.hold(ONE, stop):
                ended.append("it began")
        except UndeterminedError as error:
            ended.append(str(error))

    with gate.hold(ALL):
        thread = in_thread(wait)
        while not gate._ledger.waiting:
            pass
        stop.set()
        thread.join(PATIENCE_S)
        assert ended == ["the execution was given up"]
        assert gate._ledger.waiting == ()
    later = StopSignal()
    with gate.hold(ONE, later):
        later.set()
        assert gate.free != TOTAL
    with pytest.raises(UndeterminedError), gate.hold(ONE, stop):
        raise AssertionError("it began")
    assert gate.free == TOTAL


def test_an_interrupt_ends_the_waiting_and_leaves_nothing_behind(gate, request):
    """Ctrl-C in the main thread, which waits where no Python code runs."""

    def interrupt():
        while not gate._ledger.waiting:
            pass
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    # Whoever was started in the background by a shell ignores it, and would wait here for ever.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    blocker = Claim(room=ALL)
    gate.enter(blocker, lambda: None)
    thread = in_thread(interrupt)
    with pytest.raises(KeyboardInterrupt), gate.hold(ONE):
        raise AssertionError("it began")
    thread.join(PATIENCE_S)
    assert gate._ledger.waiting == ()
    gate.leave(blocker)
    assert gate.free == TOTAL


def test_many_threads_never_hold_more_than_there_is(gate):
    held, lock, worst = [], threading.Lock(), []

    def work(seed):
        drawn = random.Random(seed)
        for _ in range(40):
            room = Room(
                cpu_milli=drawn.choice([1, 1000, 2000]), memory_bytes=drawn.randint(0, 8), gpus=drawn.randint(0, 1)
            )
            with gate.hold(room):
                with lock:
                    held.append(room)
                    worst.append(together(held).fits(TOTAL))
                with lock:
                    held.remove(room)

    threads = [in_thread(lambda seed=seed: work(seed)) for seed in range(8)]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(worst) == 320
    assert all(worst)
    assert gate.free == TOTAL


def test_who_waits_for_what_is_no_longer_there_is_told(gate):
    met = []

    def wait():
        try:
            with gate.hold(ALL):
                met.append("held")
        except UnavailableError as error:
            met.append(str(error))

    with gate.hold(ONE):
        thread = in_thread(wait)
        while not gate._ledger.waiting:
            pass
        gate.resize(Room(cpu_milli=1500, gpus=1))
        thread.join(PATIENCE_S)
        assert met[0].startswith("capacity: needs 2 cores, and gets at most 1500m")
        assert gate.free == Room(cpu_milli=500, gpus=1)
        gate.resize(Room(gpus=1))
        assert gate.free == Room(gpus=1)
    assert gate.free == Room(gpus=1)


def test_room_that_comes_is_given_to_who_waits(gate):
    claim, rang = Claim(room=ONE), threading.Event()
    with gate.hold(ALL):
        gate.enter(claim, rang.set)
        assert not rang.is_set()
        gate.resize(Room(cpu_milli=3000, gpus=1))
        assert rang.is_set()
        gate.require(claim)
    gate.leave(claim)
    assert gate.free == Room(cpu_milli=3000, gpus=1)
