"""One flipped bit anywhere in the file of a record, or of a published graph, is found.

Over all blocks of a record and of a graph, and of a graph with a merge and a rival, sampled over their bits; whatever
no hash covers is not sampled: all bits of the header, and of the lengths and heads of CIDs of many sections.
`make flip` flips every bit of the last one, of the others `make flip FILE=record|graph`; so does BACALHAU_SLOW_TESTS=1.
"""

import io
import random

import pytest

from storage import dag_cbor
from storage.car_block_store import CarBlockStore
from storage.varint import decode_varint
from tests.unit.verifier.flipped_files import BITS, FILES, audited, each_flip, evidence, flipped
from verifier.audit_car import check_file

SOUND = {"record": ("valid", set()), "graph": ("valid", set()), "merge": ("unchecked", {(28, None)})}
"""A rival leaves check 28 unknown, and nothing else."""
MADE_AGAIN = {40, 41}
"""Blocks of the merged output alone: whoever has the shards' makes them again, so no check needs them."""


@pytest.fixture(scope="module", params=FILES)
def sound(request):
    data, starts = evidence(request.param)
    assert len(starts) == (49 if request.param == "merge" else 200)
    return data, starts


@pytest.fixture(scope="module")
def needless(sound):
    return MADE_AGAIN if len(sound[1]) == 49 else set()


def is_found(data, at, bit):
    """Tell whether an audit of the file with one bit flipped is invalid, or knows less than of the file itself."""
    # A file that fails check 0 is invalid whatever else is said; that is most of them, and cheap.
    store = CarBlockStore(io.BytesIO(flipped(data, at, bit)))
    return check_file(store).ok is False or audited(flipped(data, at, bit)).is_worse_than(audited(data))


@pytest.mark.parametrize("kind", FILES)
def test_the_file_is_sound(kind):
    found = audited(evidence(kind)[0])
    assert (found.verdict, found.open) == SOUND[kind]


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
    places = [at for start in starts[:: len(starts) // 5] for at in range(start, decode_varint(data, start)[1] + 4)]
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


def test_what_is_missing_or_too_much_is_found_and_order_means_nothing(sound, needless):
    data, starts = sound
    said = audited(data)
    sections = [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    head = data[: starts[0]]

    def found(some):
        return audited(head + b"".join(some))

    for number in {*range(0, len(sections), len(sections) // 11), *needless}:
        without = found(sections[:number] + sections[number + 1 :])
        assert without == said if number in needless else without.is_worse_than(said), number
        assert found([*sections, sections[number]]).verdict == "invalid", number
    assert found(random.Random(1).sample(sections, len(sections))) == said
    for more in (b"\0", b"\1", b"\x80", dag_cbor.encode({}), data):
        assert found([*sections, more]).verdict == "invalid", more[:8]


@pytest.mark.slow("takes 40 minutes for the smallest of the files, on two busy cores")
@pytest.mark.parametrize("kind", FILES)
def test_every_bit_counts(kind):
    data, _ = evidence(kind)
    said = audited(data)
    assert [place[:2] for place in each_flip(kind, len(data), 1) if not place[2].is_worse_than(said)] == []
