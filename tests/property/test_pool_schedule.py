"""The books of a worker pool under any order of events, compared with a model that only watches."""

import random

from hypothesis import settings

from tests.property.pool_model import KINDS, TIMEOUT_S, Books

TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def play_busy_day(seed):
    """A long day with more waiting, and more passing, than hypothesis comes to: every failure is a seed."""
    drawn, books = random.Random(seed), Books()
    books.begin(drawn.choice([2, 3, 4, 5]), drawn.choice([5, 6, 7]), warm=2)
    events = ["ask", "worker_starts", "lease_ends", "process_is_gone", "mishap", "time_passes"]
    passes = 0
    for _ in range(300):
        (event,) = drawn.choices(events, [10, 8, 6, 6, 1, 0.2])
        pick = drawn.randrange(12)
        if event == "ask" and len(books.queue) < 6:
            books.ask(drawn.choice(KINDS))
        elif event == "worker_starts" and books.starting:
            books.worker_starts(pick)
        elif event == "lease_ends" and books.leased:
            books.lease_ends(pick, is_pristine=drawn.random() < 0.9, duration_s=drawn.random())
        elif event == "process_is_gone" and books.closing:
            books.process_is_gone(pick)
        elif event == "mishap":
            books.mishap(pick, drawn.choice(["starting", "idle", "queue", "leased"]))
        elif event == "time_passes":
            books.time_passes(drawn.choice([0.5, TIMEOUT_S]))
        passes += bool(books.passed)
        books.capacity_holds()
        books.nobody_waits_in_vain()
        books.numbers_agree()
    books.teardown()
    return passes


def test_busy_days():
    assert sum(play_busy_day(seed) for seed in range(200)) > 200  # or it would show nothing of rule 4
