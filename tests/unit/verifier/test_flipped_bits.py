"""One flipped bit anywhere in the file of a record, or of a published graph, is found.

Over all of its blocks, sampled over their bits; whatever no hash covers is not sampled: all bits of the header, and of
the lengths and heads of CIDs of many sections. BACALHAU_SLOW_TESTS=1 flips every bit of both files, in some minutes
each; so does `python -m tests.unit.verifier.test_flipped_bits record|graph [STEP]`, or those of every STEPth byte.
"""

import io
import random
import sys

import pytest

from storage import dag_cbor
from storage.car_block_store import CarBlockStore
from storage.cid import DAG_CBOR, make_cid
from storage.varint import decode_varint
from tests.vectors.audit.car_writing import car, header, reachable
from tests.vectors.audit.graph_shelf import Shelf
from tests.vectors.records.world import KeptStore, World, tree
from verifier.audit_car import audit_car, check_file

BITS = [1 << n for n in range(8)]


def record_file():
    """Return the roots and blocks of a record over 168 files."""
    store = KeptStore()
    files = {f"part-{number // 20}/{number:03}.txt": b"content %d" % number for number in range(167)}
    volume = tree(store, files)
    edits = {"input": lambda node: node.update(volumes=[{"path": "/more", "cid": volume}])}
    return [World(store=store, edits=edits).build()], store.kept


def graph_file():
    """Return those of a graph of three records, in a log that has 150 others."""
    others = [make_cid(DAG_CBOR, b"%d" % number) for number in range(150)]
    shelf = Shelf(log=lambda records: [*others[:70], records[0], *others[70:], *records[1:]])
    return [shelf.build()], shelf.blocks


FILES = {"record": record_file, "graph": graph_file}


def evidence(kind):
    """A sound file of 200 blocks, of all kinds that it rests on: (file, offsets of the sections)."""
    roots, kept = FILES[kind]()
    blocks = reachable(kept, roots)
    data = car(roots, blocks)
    starts, at = [], len(header(roots))
    while at < len(data):
        starts.append(at)
        size, body = decode_varint(data, at)
        at = body + size
    assert len(blocks) == len(starts) == 200, len(blocks)
    return data, starts


@pytest.fixture(scope="module", params=FILES)
def sound(request):
    return evidence(request.param)


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
    # Of the root's digest one bit a byte: the graph would begin elsewhere, whichever it is.
    (root,) = CarBlockStore(io.BytesIO(data)).roots
    digest = range(data.index(root) + 4, data.index(root) + len(root))
    places = [(at, bit) for at in range(starts[0]) for bit in (BITS[at % 8 :][:1] if at in digest else BITS)]
    assert [place for place in places if not is_found(data, *place)] == []


def test_every_bit_counts_of_what_stands_before_a_block(sound):
    data, starts = sound
    # Length, and version, codec, hash function and digest length of the CID, in five of the sections.
    places = [at for start in starts[::40] for at in range(start, decode_varint(data, start)[1] + 4)]
    missed = [(at, bit) for at in places for bit in BITS if not is_found(data, at, bit)]
    assert missed == []


def test_a_bit_of_every_block_counts(sound):
    data, starts = sound
    chosen = random.Random(59)
    ends = [*starts[1:], len(data)]
    places = [chosen.randrange(start, end) for start, end in zip(starts, ends, strict=True)]
    places += [end - 1 for end in ends[::8]]
    missed = [(at, bit) for at, bit in ((at, chosen.choice(BITS)) for at in places) if not is_found(data, at, bit)]
    assert missed == []


def test_what_is_missing_or_too_much_is_found_and_order_means_nothing(sound):
    data, starts = sound
    sections = [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    head = data[: starts[0]]

    def verdict(some):
        return audit_car(CarBlockStore(io.BytesIO(head + b"".join(some)))).verdict

    for number in range(0, len(sections), 17):
        assert verdict(sections[:number] + sections[number + 1 :]) != "valid", number
        assert verdict([*sections, sections[number]]) == "invalid", number
    assert verdict(random.Random(1).sample(sections, len(sections))) == "valid"
    for more in (b"\0", b"\1", b"\x80", dag_cbor.encode({}), data):
        assert verdict([*sections, more]) == "invalid", more[:8]


def unseen_of(data, step=1):
    """Flip every bit of every so many bytes; return those that are not found."""
    return [(at, bit) for at in range(0, len(data), step) for bit in BITS if not is_found(data, at, bit)]


@pytest.mark.slow("takes minutes")
def test_every_bit_counts(sound):
    data, _ = sound
    assert unseen_of(data) == []


if __name__ == "__main__":
    whole, _ = evidence(sys.argv[1])
    step = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    unseen = unseen_of(whole, step)
    flipped = 8 * len(range(0, len(whole), step))
    print(f"{flipped} bits of {len(whole) * 8} flipped, one at a time: {len(unseen)} not found")
    sys.exit(1 if unseen else 0)
