import pytest

from storage.blocks import MemoryBlockStore, OverlayBlockStore
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError, VerificationError

A, B = make_cid(RAW, b"a"), make_cid(RAW, b"b")


def test_what_is_put_stays_above_and_what_is_below_shows_through():
    below = MemoryBlockStore()
    below.put(A, b"a")
    overlay = OverlayBlockStore(below)
    overlay.put_many([(B, b"b")])
    assert (overlay.get(A), overlay.get(B)) == (b"a", b"b")
    assert overlay.has(A)
    assert overlay.has(B)
    assert not below.has(B)


def test_missing_and_damaged_blocks_are_reported_as_below():
    below = MemoryBlockStore()
    below.put(A, b"changed")
    overlay = OverlayBlockStore(below)
    with pytest.raises(VerificationError):
        overlay.get(A)
    with pytest.raises(UnavailableError):
        overlay.get(B)
