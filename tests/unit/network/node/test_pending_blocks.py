"""Blocks on their way to the disk."""

import pytest

from network.node import pending_blocks
from network.node.pending_blocks import PendingBlocks
from storage.blocks import BlockMissingError, MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError, VerificationError


def block(text):
    return make_cid(RAW, text), text


class Full(MemoryBlockStore):
    """A store whose disk is full for a while."""

    is_full = True
    calls = 0

    def put_many(self, blocks):
        self.calls += 1
        if self.is_full:
            raise UnavailableError("disk is full")
        super().put_many(blocks)


def test_what_is_put_is_read_at_once_and_written_when_it_is_flushed():
    below = MemoryBlockStore()
    pending = PendingBlocks(below)
    cid, data = block(b"a")
    pending.put(cid, data)
    assert (pending.get(cid), pending.has(cid), pending.holds(cid), below.has(cid)) == (data, True, True, False)
    pending.flush()
    assert (pending.get(cid), pending.has(cid), pending.holds(cid), below.has(cid)) == (data, True, False, True)
    with pytest.raises(BlockMissingError):
        pending.get(block(b"b")[0])


def test_what_cannot_be_written_is_held_back_until_it_can():
    below = Full()
    pending = PendingBlocks(below)
    cid, data = block(b"a")
    pending.put(cid, data)
    for _ in range(2):
        with pytest.raises(UnavailableError):
            pending.flush()
        assert pending.holds(cid)
    below.is_full = False
    pending.flush()
    assert below.get(cid) == data
    pending.flush()
    assert below.calls == 3, "there was nothing left"


def test_after_a_failure_whoever_puts_is_told_at_once():
    below = Full()
    pending = PendingBlocks(below)
    pending.put(*block(b"a"))
    with pytest.raises(UnavailableError):
        pending.flush()
    pending.drop()
    assert not pending.has(block(b"a")[0])
    with pytest.raises(UnavailableError):
        pending.put(*block(b"b"))
    assert not pending.has(block(b"b")[0]), "and nothing of it stays"
    below.is_full = False
    pending.put(*block(b"c"))
    assert below.has(block(b"c")[0])
    pending.put(*block(b"d"))
    assert not below.has(block(b"d")[0])


def test_many_bytes_are_written_without_being_asked_for(monkeypatch):
    monkeypatch.setattr(pending_blocks, "MAX_BYTES", 10)
    below = MemoryBlockStore()
    pending = PendingBlocks(below)
    pending.put_many([block(b"12345"), block(b"67890"), block(b"12345")])
    assert not below.has(block(b"12345")[0])
    pending.put(*block(b"x"))
    assert below.has(block(b"x")[0])
    assert not pending.holds(block(b"x")[0])


def test_bytes_that_are_not_the_cids_are_not_given():
    pending = PendingBlocks(MemoryBlockStore())
    pending.put(block(b"a")[0], b"b")
    with pytest.raises(VerificationError):
        pending.get(block(b"a")[0])
