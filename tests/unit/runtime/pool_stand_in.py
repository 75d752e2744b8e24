"""Workers without processes, a clock that is set by hand, and a pool of them."""

import threading

from runtime.pool_capacity import PoolCapacity
from runtime.worker_pool import WorkerPool

PATIENCE_S = 20
"""A test that fails must end; one that passes never waits as long."""


class Worker:
    """Counts its ends; the class counts who lives."""

    def __init__(self, key="f", memory_bytes=1):
        self.key = key
        self.memory_bytes = memory_bytes
        self.is_alive = True
        self.closed = 0
        self.ended = threading.Event()

    def close(self):
        self.closed += 1
        self.is_alive = False
        self.ended.set()


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def make_pool(workers=2, memory_bytes=100, idle_timeout_s=60.0, clock=None):
    capacity = PoolCapacity(workers=workers, memory_bytes=memory_bytes)
    return WorkerPool(capacity=capacity, idle_timeout_s=idle_timeout_s, clock=clock or Clock())


def use(pool, key="f", memory_bytes=1, *, keep=True):
    """Lease, keep, and return the worker."""
    with pool.lease(key, memory_bytes, lambda: Worker(key, memory_bytes)) as lease:
        if keep:
            lease.keep()
        return lease.worker


def refuse_to_start():
    raise AssertionError("a warm worker was there")


def counts(pool, *names):
    stats = pool.stats()
    return tuple(getattr(stats, name) for name in names)
