"""A model of a worker pool that only watches: it says what the books may do, and checks that they did."""

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime.pool_capacity import PoolCapacity
from runtime.pool_schedule import PoolSchedule
from storage.errors import UnavailableError

TIMEOUT_S = 10.0
KINDS = [("a", 1), ("a", 1), ("a", 1), ("b", 1), ("b", 2), ("c", 3), ("d", 5)]
"""Small ones are often asked for, so that warm ones come to stand behind a large one."""
PICKS = st.integers(0, 11)


class Worker:
    def __init__(self, kind):
        self.kind = kind
        self.memory_bytes = kind[1]
        self.is_alive = True
        self.closed = 0

    def close(self):
        self.closed += 1
        self.is_alive = False


class Books(RuleBasedStateMachine):
    """Lists of what happened; every rule is one event, followed by `serve`."""

    @initialize(workers=st.sampled_from([1, 2, 3, 4, 4]), memory=st.sampled_from([3, 4, 5, 6]), warm=st.integers(0, 3))
    def begin(self, workers, memory, warm):
        self.capacity = PoolCapacity(workers=workers, memory_bytes=memory)
        self.schedule = PoolSchedule(self.capacity)
        self.now_s = 0.0
        self.queue, self.starting, self.leased, self.idle, self.closing = [], [], [], [], []
        self.head, self.passed = None, []  # who waits first, and the leases given past it
        self.workers = []
        self.expected = []  # to be ended by what just happened
        self.ended_idle = 0  # by what was asked for: found dead, or evicted
        self.is_stopped = False
        self.totals = dict.fromkeys(("started", "reused", "expired", "discarded"), 0)
        waiters = [self.schedule.ask("a", 1) for _ in range(min(warm, workers))]
        self.queue += waiters
        self.serve()
        for waiter in waiters:
            self.start(waiter)
        for waiter in waiters:
            self.end(waiter, is_pristine=True)

    # Events

    @precondition(lambda self: not self.is_stopped)
    @rule(kind=st.sampled_from(KINDS))
    def ask(self, kind):
        key, memory = kind
        if memory > self.capacity.memory_bytes:
            with pytest.raises(UnavailableError):
                self.schedule.ask(key, memory)
            return
        self.queue.append(self.schedule.ask(key, memory))
        self.serve()

    @precondition(lambda self: self.starting)
    @rule(pick=PICKS)
    def worker_starts(self, pick):
        self.start(self.starting[pick % len(self.starting)])

    def start(self, waiter):
        self.starting.remove(waiter)
        worker = Worker((waiter.key, waiter.memory_bytes))
        self.workers.append(worker)
        self.totals["started"] += 1
        self.schedule.install(waiter.slot, worker)
        if self.is_stopped:
            self.totals["discarded"] += 1
            self.expect(waiter.slot)
        else:
            self.leased.append(waiter)
        self.serve()

    @precondition(lambda self: self.leased)
    @rule(pick=PICKS, is_pristine=st.sampled_from([True, True, True, False]), duration_s=st.sampled_from([0, 1, 5]))
    def lease_ends(self, pick, is_pristine, duration_s):
        self.now_s += duration_s
        self.end(self.leased[pick % len(self.leased)], is_pristine)

    def end(self, waiter, is_pristine):
        self.leased.remove(waiter)
        if is_pristine:
            self.idle.append(waiter.slot)
        else:
            self.totals["discarded"] += 1
            self.expect(waiter.slot)
        self.schedule.give_back(waiter.slot, now_s=self.now_s, pristine=is_pristine)
        self.serve()

    @precondition(lambda self: self.closing)
    @rule(pick=PICKS)
    def process_is_gone(self, pick):
        slot = self.closing[pick % len(self.closing)]
        self.closing.remove(slot)
        self.schedule.gone(slot)
        self.serve()

    @rule(pick=PICKS, of=st.sampled_from(["starting", "idle", "queue", "leased"]))
    def mishap(self, pick, of):
        """A start fails, an idle worker dies, a waiter is interrupted, or a lease as it is given."""
        if not (concerned := getattr(self, of)):
            return
        waiter = concerned[pick % len(concerned)]
        if of == "idle":
            waiter.worker.is_alive = False
            return
        concerned.remove(waiter)
        if of == "leased":
            self.totals["discarded"] += 1
            self.expect(waiter.slot)
        self.schedule.withdraw(waiter)
        self.serve()

    @rule(after_s=st.sampled_from([0.5, TIMEOUT_S, 3 * TIMEOUT_S]))
    def time_passes(self, after_s):
        self.now_s += after_s
        late = [slot for slot in self.idle if slot.idle_since_s + TIMEOUT_S <= self.now_s]
        self.totals["expired"] += len(late)
        self.expect(*late)
        self.schedule.expire(now_s=self.now_s, idle_timeout_s=TIMEOUT_S)
        self.serve()

    @precondition(lambda self: not self.is_stopped and len(self.workers) > 4)
    @rule()
    def pool_stops(self):
        ended = [*self.idle, *(waiter.slot for waiter in self.leased)]
        refused, over = list(self.queue), list(self.leased)
        self.is_stopped = True
        self.queue, self.leased = [], []
        self.totals["discarded"] += len(ended)
        self.expect(*ended)
        self.schedule.stop()
        steps = self.serve()
        assert list(steps.woken) == refused
        assert all(waiter.slot is None for waiter in refused)
        for waiter in over:  # its holder ends the lease all the same
            self.schedule.give_back(waiter.slot, now_s=self.now_s, pristine=True)
            self.schedule.withdraw(waiter)
        self.serve()

    # What follows from them

    def expect(self, *slots):
        """The next `serve` has to end these."""
        self.expected += slots
        self.idle = [slot for slot in self.idle if slot not in slots]

    def serve(self):
        self.note_head()
        steps = self.schedule.serve()
        for waiter in steps.woken if not self.is_stopped else ():
            self.note_grant(waiter)
        assert set(self.expected) <= set(steps.ending)
        further = [slot for slot in self.idle if slot in steps.ending]
        assert len(steps.ending) == len(self.expected) + len(further)  # nothing that is leased
        self.ended_idle += len(further)
        self.idle = [slot for slot in self.idle if slot not in further]
        for slot in further:  # found dead, or the one used longest ago, for the one that waits first
            assert not slot.worker.is_alive or (self.queue and slot.idle_since_s <= self.oldest_idle_s())
            assert not slot.worker.is_alive or self.fits([*self.starting, *self.leased, self.queue[0]])
        for slot in steps.ending:
            slot.worker.close()
        self.closing += steps.ending
        self.expected = []
        return steps

    def oldest_idle_s(self):
        return min((slot.idle_since_s for slot in self.idle), default=math.inf)

    def note_head(self):
        head = self.queue[0] if self.queue else None
        if head is not self.head:
            self.head, self.passed = head, []

    def note_grant(self, waiter):
        slot = waiter.slot
        is_first = waiter is self.queue[0]
        self.queue.remove(waiter)
        assert (slot.key, slot.memory_bytes) == (waiter.key, waiter.memory_bytes)
        if slot.worker is None:
            assert is_first  # nobody starts a worker behind one that waits
            assert slot not in [other.slot for other in self.starting]
            self.starting.append(waiter)
        else:
            assert slot.worker.kind == (waiter.key, waiter.memory_bytes)
            assert slot.worker.is_alive
            assert slot.worker.closed == 0
            alike = [other for other in self.idle if other.worker.kind == slot.worker.kind and other.worker.is_alive]
            assert alike[-1] is slot  # the one used last
            self.idle.remove(slot)
            self.leased.append(waiter)
            self.totals["reused"] += 1
        if not is_first:
            beside = [other for other in self.passed if other in self.leased]
            assert self.fits([*beside, self.head, waiter])
            self.passed.append(waiter)
        self.note_head()

    def fits(self, shares):
        size = sum(share.memory_bytes for share in shares)
        return len(shares) <= self.capacity.workers and size <= self.capacity.memory_bytes

    # What always holds

    @invariant()
    def capacity_holds(self):
        assert self.fits([*self.starting, *self.leased, *self.idle, *self.closing])

    @invariant()
    def nobody_waits_in_vain(self):
        if not self.queue:
            return
        head, busy = self.queue[0], [*self.starting, *self.leased]
        warm = {slot.worker.kind for slot in self.idle if slot.worker.is_alive}
        assert (head.key, head.memory_bytes) not in warm
        assert not self.fits([*busy, *self.idle, *self.closing, head])
        if self.fits([*busy, head]):
            assert self.closing  # room is being made
        beside = [lease for lease in self.passed if lease in self.leased]
        for waiter in self.queue[1:]:
            if self.fits([*beside, head, waiter]):
                assert (waiter.key, waiter.memory_bytes) not in warm
        assert self.closing or any(lease not in self.passed for lease in busy)  # never only for who came later

    @invariant()
    def numbers_agree(self):
        stats = self.schedule.stats()
        assert (stats.leased, stats.idle, stats.starting) == (len(self.leased), len(self.idle), len(self.starting))
        assert (stats.ending, stats.waiting) == (len(self.closing), len(self.queue))
        assert {name: getattr(stats, name) for name in ("started", "reused", "expired")} == {
            name: self.totals[name] for name in ("started", "reused", "expired")
        }
        assert stats.evicted + stats.discarded == self.totals["discarded"] + self.ended_idle
        assert stats.started == stats.leased + stats.idle + stats.expired + stats.evicted + stats.discarded

    def teardown(self):
        if not self.is_stopped:
            self.pool_stops()
        while self.starting:
            self.start(self.starting[0])
        while self.closing:
            self.schedule.gone(self.closing.pop())
        assert not self.schedule.serve().ending
        assert all(worker.closed == 1 for worker in self.workers)
        assert self.schedule.stats().ending == self.schedule.stats().starting == 0
