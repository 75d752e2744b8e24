"""One flipped bit anywhere in the file of a record is found: over all of its blocks, sampled over their bits.

Whatever no hash covers is not sampled: all bits of the header, and of the lengths and heads of CIDs of many sections.
`python -m tests.unit.verifier.test_flipped_bits` flips every bit of the file, in some minutes.
"""

import io
import random
import sys

import pytest

from storage import dag_cbor
from storage.car_block_store import CarBlockStore
from storage.varint import decode_varint
from tests.vectors.audit.car_writing import car, header, reachable
from tests.vectors.records.world import KeptStore, World, tree
from verifier.audit_car import audit_car, check_file

BITS = [1 << n for n in range(8)]


def evidence():
    """A sound file of 200 blocks, of all kinds that a record rests on: (file, offsets of the sections)."""
    store = KeptStore()
    files = {f"part-{number // 20}/{number:03}.txt": b"content %d" % number for number in range(167)}
    volume = tree(store, files)
    edits = {"input": lambda node: node.update(volumes=[{"path": "/more", "cid": volume}])}
    record = World(store=store, edits=edits).build()
    blocks = reachable(store.kept, [record])
    data = car([record], blocks)
    starts, at = [], len(header([record]))
    while at < len(data):
        starts.append(at)
        size, body = decode_varint(data, at)
        at = body + size
    assert len(blocks) == len(starts) == 200
    return data, starts


@pytest.fixture(scope="module")
def sound():
    return evidence()


def is_found(data, at, bit):
    """Tell whether an audit of the file with one bit flipped is anything but valid."""
    flipped = data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
    store = CarBlockStore(io.BytesIO(flipped))
    # A file that fails check 0 is invalid whatever else is said; that is most of them, and cheap.
    return check_file(store).ok is False or audit_car(store).verdict != "valid"


def test_the_file_is_sound(sound):
    data, _ = sound
    assert audit_car(CarBlockStore(io.BytesIO(data))).verdict == "valid"


def test_every_bit_of_the_header_counts(sound):
    data, starts = sound
    missed = [(at, bit) for at in range(starts[0]) for bit in BITS if not is_found(data, at, bit)]
    assert missed == []


def test_every_bit_counts_of_what_stands_before_a_block(sound):
    data, starts = sound
    # Length, and version, codec, hash function and digest length of the CID, in eight of the sections.
    places = [at for start in starts[::25] for at in range(start, decode_varint(data, start)[1] + 4)]
    missed = [(at, bit) for at in places for bit in BITS if not is_found(data, at, bit)]
    assert missed == []


def test_a_bit_of_every_block_counts(sound):
    data, starts = sound
    chosen = random.Random(59)
    missed = []
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        for at in (chosen.randrange(start, end), end - 1):
            bit = chosen.choice(BITS)
            if not is_found(data, at, bit):
                missed.append((at, bit))
    assert missed == []


def test_what_is_missing_or_too_much_is_found_and_order_means_nothing(sound):
    data, starts = sound
    sections = [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    head = data[: starts[0]]

    def verdict(some):
        return audit_car(CarBlockStore(io.BytesIO(head + b"".join(some)))).verdict

    for number in range(0, len(sections), 11):
        assert verdict(sections[:number] + sections[number + 1 :]) != "valid", number
        assert verdict([*sections, sections[number]]) == "invalid", number
    for seed in range(2):
        shuffled = random.Random(seed).sample(sections, len(sections))
        assert verdict(shuffled) == "valid", seed
    for more in (b"\0", b"\1", b"\x80", dag_cbor.encode({}), data):
        assert verdict([*sections, more]) == "invalid", more[:8]


if __name__ == "__main__":
    whole, _ = evidence()
    step = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    places = range(0, len(whole), step)
    unseen = [(at, bit) for at in places for bit in BITS if not is_found(whole, at, bit)]
    print(f"{8 * len(places)} bits of {len(whole) * 8} flipped, one at a time: {len(unseen)} not found")
    sys.exit(1 if unseen else 0)
