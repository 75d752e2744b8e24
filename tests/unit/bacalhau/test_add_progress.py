"""`add` tells how far it is, by bytes and, where files are tiny, by blocks."""

from bacalhau.cli.add import Counted
from storage.blocks import ForgetfulBlockStore
from storage.cid import RAW, cid_of_digest


def blocks(count, data):
    return [(cid_of_digest(RAW, number.to_bytes(32, "big")), data) for number in range(count)]


def test_little_is_not_told_and_much_is():
    told = []
    store = Counted(ForgetfulBlockStore(), told.append)
    large = bytes(1 << 20)
    for _ in range(9):
        store.put_many(blocks(8, large))
    assert told == ["added 64 MiB in 64 blocks"]
    store.put_many(blocks(20_000, b"x"))
    store.put_many(blocks(19_000, b"x"))
    assert told[1:] == ["added 72 MiB in 20072 blocks"]
