"""Blocks on their way to a store: full batches are put beside the work, in order, and none after one that failed."""

import threading

import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError
from storage.unixfs_write import BATCH_BYTES, BlockBatch

QUARTER = BATCH_BYTES // 4


def block(number):
    data = number.to_bytes(4, "big") * (QUARTER // 4)
    return make_cid(RAW, data), data


class Watched(MemoryBlockStore):
    """Remembers who put what; `before` is called with the number of each batch."""

    def __init__(self, before=lambda number: None):
        super().__init__()
        self.before = before
        self.batches = []
        self.threads = []

    def put_many(self, blocks):
        kept = list(blocks)
        self.batches.append([int.from_bytes(data[:4], "big") for _, data in kept])
        self.threads.append(threading.current_thread())
        self.before(len(self.batches))
        super().put_many(kept)


def put(store, count, *, batch=None, then=lambda: None):
    batch = batch or BlockBatch(store)
    with batch.open():
        for number in range(count):
            batch.add(*block(number))
        then()


def no_thread_is_left():
    return not [thread for thread in threading.enumerate() if thread.name.startswith("blocks")]


def test_few_blocks_are_put_at_the_end_by_whoever_made_them():
    store = Watched()
    put(store, 3)
    assert (store.batches, store.threads) == ([[0, 1, 2]], [threading.current_thread()])


def test_full_batches_are_put_in_order_while_the_next_one_is_made():
    made = threading.Event()

    def wait_for_the_next(number):
        if number == 1:
            assert made.wait(60), "the first batch is not put beside the work"

    store = Watched(wait_for_the_next)
    batch = BlockBatch(store)
    with batch.open():
        for number in range(4):
            batch.add(*block(number))
        batch.add(*block(4))
        made.set()
        for number in range(5, 11):
            batch.add(*block(number))
    assert store.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert all(store.has(block(number)[0]) for number in range(11))
    assert [thread is threading.current_thread() for thread in store.threads] == [False, False, True]
    assert no_thread_is_left()


def test_all_is_there_when_the_batch_is_left_though_the_last_one_was_full():
    store = Watched()
    put(store, 8)
    assert all(store.has(block(number)[0]) for number in range(8))


@pytest.mark.parametrize(("failing", "count"), [(1, 4), (1, 5), (1, 8), (1, 12), (2, 8), (2, 11), (3, 11)])
def test_a_batch_that_fails_is_told_and_no_later_one_is_put(failing, count):
    def fail(number):
        if number == failing:
            raise UnavailableError("disk is full")

    store = Watched(fail)
    with pytest.raises(UnavailableError, match="disk is full"):
        put(store, count)
    assert len(store.batches) == failing
    assert no_thread_is_left()


def test_an_error_of_the_maker_is_told_rather_than_one_of_the_store():
    """Also when both happen: it came first, and nothing is acknowledged either way."""

    def fail(number):
        raise UnavailableError("disk is full")

    def interrupt():
        raise KeyboardInterrupt

    store = Watched(fail)
    with pytest.raises(KeyboardInterrupt):
        put(store, 5, then=interrupt)
    assert store.batches == [[0, 1, 2, 3]]
    assert no_thread_is_left()


def test_a_batch_can_be_used_again_after_an_error():
    def fail_once(number):
        if number == 1:
            raise UnavailableError("disk is full")

    store = Watched(fail_once)
    batch = BlockBatch(store)
    with pytest.raises(UnavailableError):
        put(store, 6, batch=batch)
    with batch.open(), batch.open():
        batch.add(*block(6))
    assert store.batches == [[0, 1, 2, 3], [6]]
    with pytest.raises(RuntimeError, match="inside an open batch"):
        batch.add(*block(7))
