import io
import struct

import pytest

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.car import MAX_HEADER_BYTES, MAX_SECTION_BYTES, read_car, write_car
from storage.cid import CID, DAG_PB, IDENTITY, RAW, make_cid, split_cid
from storage.dag_walk import walk
from storage.errors import VerificationError
from storage.unixfs_import import Importer
from storage.varint import encode_varint

A, B = make_cid(RAW, b"aaa"), make_cid(RAW, b"")
BLOCKS = [(A, b"aaa"), (B, b"")]


def car_bytes(roots=(A,), blocks=BLOCKS):
    out = io.BytesIO()
    write_car(out, roots, blocks)
    return out.getvalue()


def read(data):
    car = read_car(io.BytesIO(data))
    return car.roots, list(car.blocks)


def v2(inner, *, pad=0, index=b"", offset=None, size=None):
    offset = 51 + pad if offset is None else offset
    header = struct.pack("<16sQQQ", bytes(16), offset, len(inner) if size is None else size, 0)
    return bytes.fromhex("0aa16776657273696f6e02") + header + bytes(pad) + inner + index


def header(node):
    data = dag_cbor.encode(node)
    return encode_varint(len(data)) + data


def section(data):
    return encode_varint(len(data)) + data


def test_the_layout_is_varint_header_then_varint_cid_data():
    assert car_bytes() == header({"roots": [A], "version": 1}) + section(A + b"aaa") + section(B)


def test_what_is_written_is_read():
    assert read(car_bytes()) == ((A,), BLOCKS)
    assert read(car_bytes(roots=(), blocks=[])) == ((), [])
    assert read(car_bytes(roots=(B, A))) == ((B, A), BLOCKS)


def test_cidv0_and_identity_sections_are_read():
    importer = Importer(MemoryBlockStore())
    data = b"\x0a\x02\x08\x01"
    v0 = CID(b"\x12\x20" + split_cid(make_cid(DAG_PB, data)).digest)
    inline = CID(bytes([1, RAW, IDENTITY, 2]) + b"hi")
    assert importer.directory({}).tsize == len(data)
    blocks = [(v0, data), (inline, b"hi")]
    assert read(car_bytes(blocks=blocks))[1] == blocks


def test_version_2_is_read_with_padding_and_index():
    for archive in (v2(car_bytes()), v2(car_bytes(), pad=1000), v2(car_bytes(), index=b"index bytes")):
        assert read(archive) == ((A,), BLOCKS)


def test_a_stream_of_short_reads_is_read():
    class Trickle(io.BytesIO):
        def read(self, size=-1, /):
            return super().read(min(size, 2))

    car = read_car(Trickle(car_bytes()))
    assert list(car.blocks) == BLOCKS


def test_a_directory_travels_whole():
    here, there = MemoryBlockStore(), MemoryBlockStore()
    importer = Importer(here)
    root = importer.directory({"f": importer.bytes(bytes(3_000_000)), "g": importer.bytes(b"g")}).cid
    out = io.BytesIO()
    write_car(out, [root], walk(here, root))
    out.seek(0)
    car = read_car(out)
    there.put_many(car.blocks)
    assert list(walk(there, car.roots[0])) == list(walk(here, root))


def test_every_truncation_is_noticed_or_ends_between_sections():
    whole = car_bytes()
    first = len(header({"roots": [A], "version": 1}))
    second = first + len(section(A + b"aaa"))
    for length in range(len(whole)):
        if length in (first, second):  # version 1 has no length: only a walk finds missing blocks
            assert len(read(whole[:length])[1]) == (0 if length == first else 1)
        else:
            with pytest.raises(VerificationError, match=r"^byte \d+: "):
                read(whole[:length])


def test_every_truncation_of_version_2_is_noticed():
    whole = v2(car_bytes())
    for length in range(len(whole)):
        with pytest.raises(VerificationError, match=r"^byte \d+: "):
            read(whole[:length])


GOOD_HEADER = header({"roots": [A], "version": 1})
HUGE = encode_varint(1 << 62)
MALFORMED = {
    "empty": (b"", 0),
    "zero header": (b"\x00", 0),
    "huge header": (encode_varint(MAX_HEADER_BYTES + 1), 0),
    "header that is not CBOR": (section(b"\xff\xff"), 1),
    "header that is not a map": (header([1]), 1),
    "version 3": (header({"roots": [A], "version": 3}), 1),
    "version true": (header({"roots": [A], "version": 2, "x": 1}), 1),
    "no roots": (header({"version": 1}), 1),
    "roots that are text": (header({"roots": ["a"], "version": 1}), 1),
    "one root, no list": (header({"roots": A, "version": 1}), 1),
    "header with a non-minimal integer": (section(dag_cbor.encode({"roots": [A], "version": 1})[:-1] + b"\x18\x01"), 1),
    "zero section": (GOOD_HEADER + b"\x00", len(GOOD_HEADER)),
    "huge section": (GOOD_HEADER + HUGE, len(GOOD_HEADER)),
    "section over the bound": (GOOD_HEADER + encode_varint(MAX_SECTION_BYTES + 1), len(GOOD_HEADER)),
    "non-minimal length": (GOOD_HEADER + b"\x81\x00", len(GOOD_HEADER)),
    "endless varint": (GOOD_HEADER + b"\xff" * 20, len(GOOD_HEADER)),
    "section without a CID": (GOOD_HEADER + section(b"hello"), len(GOOD_HEADER)),
    "block that does not match": (GOOD_HEADER + section(A + b"aab"), len(GOOD_HEADER)),
    "second block that does not match": (car_bytes() + section(A + b"x"), len(car_bytes())),
    "unknown hash": (GOOD_HEADER + section(bytes([1, RAW, 0x1E, 32]) + bytes(32)), len(GOOD_HEADER)),
    "version 2 offset inside the header": (v2(car_bytes(), offset=50), 11),
    "version 2 huge offset": (v2(car_bytes(), offset=1 << 63), 11),
    "version 2 without data": (v2(b"", size=0), 11),
    "version 2 inside version 2": (v2(v2(car_bytes())), 52),
    "version 2 whose size cuts a section": (v2(car_bytes(), size=len(car_bytes()) - 1), None),
    "version 2 whose size cuts the header": (v2(car_bytes(), size=5), None),
    "version 2 whose size is too large": (v2(car_bytes(), size=len(car_bytes()) + 1), None),
}


@pytest.mark.parametrize(("data", "offset"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_archives_are_refused_with_the_byte(data, offset):
    with pytest.raises(VerificationError) as caught:
        read(data)
    assert caught.value.where == f"byte {offset}" or (offset is None and caught.value.where.startswith("byte "))


def test_a_section_across_the_end_of_version_2_is_not_given_out():
    blocks = read_car(io.BytesIO(v2(car_bytes(), size=len(car_bytes()) - 1, index=b"index"))).blocks
    assert next(blocks) == BLOCKS[0]
    with pytest.raises(VerificationError):
        next(blocks)


def test_a_block_that_no_reader_would_take_is_not_written():
    with pytest.raises(VerificationError, match="too large"):
        car_bytes(blocks=[(A, bytes(MAX_SECTION_BYTES))])


def test_a_huge_length_is_not_allocated():
    class Meter(io.BytesIO):
        largest = 0

        def read(self, size=-1, /):
            Meter.largest = max(Meter.largest, size)
            return super().read(size)

    stream = Meter(GOOD_HEADER + encode_varint(MAX_SECTION_BYTES) + b"short")
    with pytest.raises(VerificationError, match="truncated"):
        list(read_car(stream).blocks)
    assert Meter.largest <= 1 << 20
