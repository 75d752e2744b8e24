"""The pool, seen from one thread: reuse, ceilings, expiry, the end."""

import threading

import pytest

from runtime.engine import UndeterminedError
from storage.errors import UnavailableError
from tests.unit.runtime.pool_stand_in import PATIENCE_S, Clock, Worker, counts, make_pool, refuse_to_start, use


@pytest.fixture
def pool():
    with make_pool() as made:
        yield made


# Reuse


def test_a_kept_worker_serves_its_key_again(pool):
    first = use(pool)
    with pool.lease("f", 1, refuse_to_start) as lease:
        assert lease.worker is first
    assert counts(pool, "started", "reused", "discarded") == (1, 1, 1)


def test_a_worker_that_is_not_kept_is_closed(pool):
    worker = use(pool, keep=False)
    assert worker.closed == 1
    assert use(pool) is not worker


def test_a_block_that_raises_closes_the_worker_even_if_it_was_kept(pool):
    worker = Worker()

    def keep_and_fail():
        with pool.lease("f", 1, lambda: worker) as lease:
            lease.keep()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        keep_and_fail()
    assert worker.closed == 1
    assert counts(pool, "leased", "idle", "discarded") == (0, 0, 1)


def test_a_kept_worker_that_died_is_closed(pool):
    with pool.lease("f", 1, Worker) as lease:
        lease.worker.is_alive = False
        lease.keep()
    assert lease.worker.closed == 1
    assert counts(pool, "idle") == (0,)


@pytest.mark.parametrize(("key", "memory_bytes"), [("g", 1), ("f", 2), (("f", "me"), 1)])
def test_a_worker_serves_no_other_key_or_size(pool, key, memory_bytes):
    assert use(pool, "f", 1) is not use(pool, key, memory_bytes)
    assert counts(pool, "started", "reused", "idle") == (2, 0, 2)


def test_the_worker_used_last_serves_first(pool):
    with pool.lease("f", 1, Worker) as first, pool.lease("f", 1, Worker) as second:
        first.keep()
        second.keep()
    assert use(pool) is first.worker  # the inner block ended first


def test_a_worker_found_dead_is_closed_and_replaced(pool):
    worker = use(pool)
    worker.is_alive = False
    assert use(pool) is not worker
    assert worker.closed == 1
    assert counts(pool, "started", "reused", "discarded", "idle") == (2, 0, 1, 1)


def test_of_two_the_living_one_serves(pool):
    with pool.lease("f", 1, Worker) as living, pool.lease("f", 1, Worker) as dead:
        living.keep()
        dead.keep()
    living, dead = dead.worker, living.worker  # the one given back last would serve first
    dead.is_alive = False
    assert use(pool) is living
    assert dead.closed == 1


# The ceiling


def test_idle_workers_end_for_another_key(pool):
    first, second = use(pool, "a"), use(pool, "b")
    use(pool, "c")
    assert (first.closed, second.closed) == (1, 0)  # the one used longest ago
    assert counts(pool, "evicted", "idle") == (1, 2)


def test_idle_workers_end_for_memory():
    with make_pool(workers=8, memory_bytes=10) as pool:
        first, second, third = use(pool, "a", 3), use(pool, "b", 3), use(pool, "c", 3)
        use(pool, "d", 5)
        assert (first.closed, second.closed, third.closed) == (1, 1, 0)


def test_a_lease_above_the_ceiling_is_refused_at_once():
    with make_pool(memory_bytes=3 << 30) as pool:
        with pytest.raises(UnavailableError) as refused, pool.lease("f", 4 << 30, refuse_to_start):
            pass
        assert str(refused.value) == (
            "worker: needs 4.00 GiB of memory, and all workers here together get 3.00 GiB; "
            "ask for less with --memory, or use a machine that has more"
        )
        assert counts(pool, "waiting", "starting") == (0, 0)


def test_a_worker_larger_than_announced_is_closed(pool):
    worker = Worker(memory_bytes=2)
    with pytest.raises(ValueError, match="of 2 bytes was started in place of 1"), pool.lease("f", 1, lambda: worker):
        pass
    assert worker.closed == 1
    assert counts(pool, "leased", "idle") == (0, 0)


# Time


def test_idle_workers_expire_when_their_time_has_come():
    clock = Clock()
    with make_pool(idle_timeout_s=10, clock=clock) as pool:
        first = use(pool, "a")
        clock.now_s = 4.0
        second = use(pool, "b")
        pool.expire_idle(9.9)
        assert not first.closed
        pool.expire_idle(10.0)
        assert (first.closed, second.closed) == (1, 0)
        pool.expire_idle(14.0)
        assert second.closed == 1
        assert counts(pool, "expired", "idle") == (2, 0)


def test_use_renews_the_time():
    clock = Clock()
    with make_pool(idle_timeout_s=10, clock=clock) as pool:
        worker = use(pool)
        clock.now_s = 9.0
        assert use(pool) is worker
        pool.expire_idle(18.9)
        assert not worker.closed


def test_a_thread_expires_idle_workers_and_ends():
    with make_pool(idle_timeout_s=0) as pool:
        assert pool._expirer is None
        with pool.lease("f", 1, Worker) as lease:
            lease.keep()
        assert lease.worker.ended.wait(PATIENCE_S)
        if (thread := pool._expirer) is not None:
            thread.join(PATIENCE_S)
        assert pool._expirer is None
        again = use(pool)
        assert again.ended.wait(PATIENCE_S)


def test_one_thread_waits_for_all_idle_workers(pool):
    use(pool, "a")
    thread = pool._expirer
    use(pool, "b")
    assert pool._expirer is thread
    assert thread.daemon
    pool.close()
    assert not thread.is_alive()


def test_without_a_thread_the_pool_goes_on(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with make_pool() as pool:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            worker = use(pool)
        assert use(pool) is worker
        assert pool._expirer is not None


def test_an_endless_timeout():
    with make_pool(idle_timeout_s=float("inf")) as pool:
        worker = use(pool)
        assert use(pool) is worker


# The end


def test_closing_ends_idle_and_leased_workers_once(pool):
    idle = use(pool, "idle")
    with pool.lease("leased", 1, Worker) as lease:
        pool.close()
        pool.close()
        assert not lease.worker.is_alive
        lease.keep()
    assert (idle.closed, lease.worker.closed) == (1, 1)
    assert counts(pool, "leased", "idle", "ending", "discarded") == (0, 0, 0, 2)


def test_a_closed_pool_refuses(pool):
    pool.close()
    with pytest.raises(UndeterminedError, match="the engine was stopped"), pool.lease("f", 1, refuse_to_start):
        pass


def test_a_worker_that_cannot_be_closed_does_not_keep_the_others(pool):
    class Stubborn(Worker):
        def close(self):
            super().close()
            raise OSError("a bug")

    with pool.lease("a", 1, Stubborn) as stubborn, pool.lease("b", 1, Worker) as other:
        with pytest.raises(OSError, match="a bug"):
            pool.close()
        assert (stubborn.worker.closed, other.worker.closed) == (1, 1)
    assert counts(pool, "ending") == (0,)


def test_closing_ends_what_is_being_started(pool):
    ended = []

    def start():
        with pool.ending(lambda: ended.append("the one that starts")):
            with pool.ending(lambda: ended.append("one that has started")):
                pass
            pool.close()
            with pytest.raises(UndeterminedError, match="the engine was stopped"), pool.ending(ended.clear):
                pass
        return Worker()

    with pytest.raises(UndeterminedError, match="the engine was stopped"), pool.lease("f", 1, start):
        pass
    assert ended == ["the one that starts"]
