"""The pool with threads that meet at events: who waits, who is served, and who is told of the end."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from runtime import worker_pool
from runtime.engine import UndeterminedError
from runtime.pool_capacity import PoolCapacity
from tests.unit.runtime.pool_stand_in import PATIENCE_S, Worker, counts, make_pool, refuse_to_start, use


@pytest.fixture
def threads():
    with ThreadPoolExecutor(16) as executor:
        yield executor


@pytest.fixture
def in_line(monkeypatch):
    """A semaphore that is released each time when a thread has lined up for a lease."""
    arrived = threading.Semaphore(0)

    class Bell(threading.Event):
        def wait(self, timeout=None):
            arrived.release()
            return super().wait(timeout)

    monkeypatch.setattr(worker_pool, "Event", Bell)
    return arrived


def wait_for(arrived):
    assert arrived.acquire(timeout=PATIENCE_S)


def test_a_process_takes_its_share_until_it_is_gone(threads, in_line):
    begun, may_end = threading.Event(), threading.Event()

    class Slow(Worker):
        def close(self):
            begun.set()
            may_end.wait(PATIENCE_S)
            super().close()

    with make_pool(workers=1) as pool:
        with pool.lease("a", 1, Slow) as lease:
            wait_for(in_line)
            lease.keep()
        other = threads.submit(use, pool, "b")
        wait_begun = begun.wait(PATIENCE_S)
        numbers = counts(pool, "ending", "starting", "leased", "waiting")
        may_end.set()
        assert wait_begun
        assert numbers == (1, 0, 0, 1)
        assert other.result(PATIENCE_S).key == "b"


def test_a_waiter_gets_the_worker_of_its_key(threads, in_line):
    with make_pool(workers=1) as pool:
        with pool.lease("f", 1, Worker) as lease:
            wait_for(in_line)
            other = threads.submit(use, pool)
            wait_for(in_line)
            assert counts(pool, "waiting", "leased") == (1, 1)
            lease.keep()
        assert other.result(PATIENCE_S) is lease.worker


def test_waiters_are_served_in_the_order_in_which_they_came(threads, in_line):
    order = []

    def take(number):
        with pool.lease(f"key {number}", 1, Worker):
            order.append(number)

    with make_pool(workers=1) as pool:
        with pool.lease("f", 1, Worker):
            wait_for(in_line)
            taken = []
            for number in range(8):
                taken.append(threads.submit(take, number))
                wait_for(in_line)
        for future in taken:
            future.result(PATIENCE_S)
    assert order == list(range(8))


def test_small_ones_do_not_starve_a_large_one(threads, in_line):
    order = []

    def take(key, memory_bytes):
        with pool.lease(key, memory_bytes, lambda: Worker(key, memory_bytes)):
            order.append(key)

    with make_pool(workers=4, memory_bytes=4) as pool:
        with pool.lease("small", 1, Worker) as lease:
            wait_for(in_line)
            large = threads.submit(take, "large", 4)
            wait_for(in_line)
            small = threads.submit(take, "small", 1)  # would fit, and does not pass
            wait_for(in_line)
            assert counts(pool, "waiting") == (2,)
            lease.keep()
        large.result(PATIENCE_S)
        small.result(PATIENCE_S)
    assert order == ["large", "small"]


def test_a_waiter_passes_a_large_one_that_fits_beside_it(threads, in_line):
    with make_pool(workers=4, memory_bytes=4) as pool:
        warm = use(pool, "small", 1)
        wait_for(in_line)
        with pool.lease("other", 2, lambda: Worker("other", 2)):
            wait_for(in_line)
            large = threads.submit(use, pool, "large", 3)
            wait_for(in_line)
            with pool.lease("small", 1, refuse_to_start) as lease:
                assert lease.worker is warm
                assert not large.done()
                lease.keep()
        assert large.result(PATIENCE_S).key == "large"
        assert warm.closed == 0


def test_a_start_that_fails_frees_its_place(threads, in_line):
    begun, may_fail = threading.Event(), threading.Event()

    def fail():
        begun.set()
        may_fail.wait(PATIENCE_S)
        raise OSError("no such program")

    def lease_one():
        with pool.lease("f", 1, fail):
            pass

    with make_pool(workers=1) as pool:
        failing = threads.submit(lease_one)
        assert begun.wait(PATIENCE_S)
        assert counts(pool, "starting") == (1,)
        wait_for(in_line)
        other = threads.submit(use, pool, "g")
        wait_for(in_line)
        may_fail.set()
        with pytest.raises(OSError, match="no such program"):
            failing.result(PATIENCE_S)
        assert other.result(PATIENCE_S).key == "g"
        assert counts(pool, "starting", "started") == (0, 1)


def test_a_waiter_that_is_interrupted_leaves_the_line(monkeypatch, threads):
    class Interrupted(threading.Event):
        def wait(self, timeout=None):
            raise KeyboardInterrupt

    with make_pool(workers=1) as pool:
        with pool.lease("f", 1, Worker) as lease:
            with monkeypatch.context() as patch:
                patch.setattr(worker_pool, "Event", Interrupted)
                with pytest.raises(KeyboardInterrupt), pool.lease("g", 1, refuse_to_start):
                    pass
            assert counts(pool, "waiting") == (0,)
            lease.keep()
        with monkeypatch.context() as patch:
            patch.setattr(worker_pool, "Event", Interrupted)
            for key in ("f", "h"):  # given a warm worker, and room for a new one
                with pytest.raises(KeyboardInterrupt), pool.lease(key, 1, refuse_to_start):
                    pass
        assert lease.worker.closed == 1
        assert use(pool, "g").key == "g"


def test_closing_tells_who_waits(threads, in_line):
    with make_pool(workers=1) as pool, pool.lease("f", 1, Worker):
        wait_for(in_line)
        waiting = [threads.submit(use, pool, key) for key in "fgh"]
        for _ in waiting:
            wait_for(in_line)
        threads.submit(pool.close).result(PATIENCE_S)
        for future in waiting:
            with pytest.raises(UndeterminedError, match="the engine was stopped"):
                future.result(PATIENCE_S)


def test_a_worker_that_was_being_started_is_ended(threads):
    begun, may_go_on = threading.Event(), threading.Event()
    worker = Worker()

    def start():
        begun.set()
        may_go_on.wait(PATIENCE_S)
        return worker

    def lease_one():
        with pool.lease("f", 1, start):
            pass

    pool = make_pool()
    starting = threads.submit(lease_one)
    assert begun.wait(PATIENCE_S)
    pool.close()
    may_go_on.set()
    with pytest.raises(UndeterminedError, match="the engine was stopped"):
        starting.result(PATIENCE_S)
    assert worker.closed == 1
    assert counts(pool, "starting", "leased", "ending") == (0, 0, 0)


class Census:
    """Counts the workers that live, and never lets two leases share one."""

    def __init__(self, capacity):
        self.lock = threading.Lock()
        self.capacity = capacity
        self.living = []
        self.workers = []

    def start(self, key, memory_bytes):
        worker = Counted(key, memory_bytes)
        worker.census = self
        with self.lock:
            self.workers.append(worker)
            self.living.append(worker)
            assert len(self.living) <= self.capacity.workers
            assert sum(other.memory_bytes for other in self.living) <= self.capacity.memory_bytes
        return worker


class Counted(Worker):
    def __init__(self, key, memory_bytes):
        super().__init__(key, memory_bytes)
        self.in_use = threading.Lock()

    def close(self):
        with self.census.lock:
            self.census.living.remove(self)
        super().close()


@pytest.mark.parametrize("seed", range(4))
def test_many_threads(seed, threads):
    capacity = PoolCapacity(workers=4, memory_bytes=8)
    census, together = Census(capacity), threading.Barrier(12)
    sizes = {"a": 1, "b": 1, "c": 2, "d": 3, "e": 8}

    def work(number):
        drawn = random.Random(f"{seed} {number}")
        together.wait(PATIENCE_S)
        for turn in range(60):
            key = drawn.choice("aaabbcde")
            size = sizes[key]
            try:
                with pool.lease(key, size, lambda key=key, size=size: start(drawn, key, size)) as lease:
                    assert lease.worker.in_use.acquire(blocking=False)
                    assert (lease.worker.key, lease.worker.is_alive) == (key, True)
                    if drawn.random() < 0.7:
                        lease.keep()
                    lease.worker.in_use.release()
            except OSError:
                continue
            if turn % 20 == 0:
                pool.expire_idle(float(turn))

    def start(drawn, key, size):
        if drawn.random() < 0.1:
            raise OSError("no such program")
        return census.start(key, size)

    with make_pool(capacity.workers, capacity.memory_bytes, idle_timeout_s=10) as pool:
        for future in [threads.submit(work, number) for number in range(12)]:
            future.result(PATIENCE_S)
        assert counts(pool, "leased", "starting", "ending", "waiting") == (0, 0, 0, 0)
    assert not census.living
    assert all(worker.closed == 1 for worker in census.workers)
    stats = pool.stats()
    assert stats.started == len(census.workers) == stats.expired + stats.evicted + stats.discarded
