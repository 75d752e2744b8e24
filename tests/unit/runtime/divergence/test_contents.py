"""Structured differences: what a person is told of two files."""

import json
import pickle
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.divergence.bisection import first_difference
from runtime.divergence.contents import MOST_LISTED, compare_contents
from runtime.divergence.executions import first_unlike
from runtime.divergence.trees import tree_differences
from storage.blocks import MemoryBlockStore
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder


def png(rows, *, text=b"", level=6, filters=0, depth=8, colour=0, more=()):
    """Return a picture, grey unless another colour type is named; more: (name, data) of chunks before the pixels."""
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour] * depth // 8

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    raw, before = b"", bytes(len(rows[0]))
    for row in rows:
        line = bytes((v - b) & 255 for v, b in zip(row, before, strict=True)) if filters == 2 else bytes(row)
        raw, before = raw + bytes([filters]) + line, bytes(row)
    header = struct.pack(">IIBBBBB", len(rows[0]) // channels, len(rows), depth, colour, 0, 0, 0)
    texts = (chunk(b"tEXt", text) if text else b"") + b"".join(chunk(*one) for one in more)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + texts
        + chunk(b"IDAT", zlib.compress(raw, level))
        + chunk(b"IEND", b"")
    )


PICTURE = [[10, 20, 30], [40, 50, 60]]
CASES = [
    (b'{"a": [1, 2.5], "b": 1}', b'{"a": [1, 2.75], "c": 1}', "json",
     ["/a/1: 2.5 against 2.75 (by 0.25)", "/b: only in A: 1", "/c: only in B: 1"]),
    (b'{"tags": ["x", "y"]}', b'{"tags": ["y", "x"]}', "json", ["/tags: the same 2 elements in another order"]),
    (b"id,price\n1,2\n2,3\n", b"id,price\n1,2\n2,4\n", "csv", ["row 3, column price: '3' against '4'"]),
    (b"id,price\n1,2\n2,3\n", b"id,price\n2,3\n1,2\n", "csv", ["the same 3 rows in another order"]),
    (b"one\ntwo\nthree\n", b"one\n2\nthree\n", "text", ["@@ -1,3 +1,3 @@", " one", "-two", "+2", " three"]),
    (b"b\na\n", b"a\nb\n", "text", ["the same 2 lines in another order; the first that differs is line 1"]),
    (b"a\r\n", b"a\n", "text", ["the ends of lines differ"]),
    (b"\x00\x01\x02\x03", b"\x00\x01\xff\x03", "bytes", ["first at offset 2: 02 03 against ff 03"]),
    (b"\x00\x01", b"\x00\x01\x02", "bytes", ["2 against 3 bytes", "equal up to 2, where one ends"]),
    (png(PICTURE), png([[10, 20, 30], [40, 53, 60]]), "png",
     ["1 of 6 pixels differ, by at most 3 of 255, 3 on average; within x 1 to 1, y 1 to 1"]),
    (png(PICTURE), png(PICTURE, filters=2), "png", ["the same pixels, compressed otherwise"]),
    (png(PICTURE, text=b"Date\x002000"), png(PICTURE, text=b"Date\x002001"), "png",
     ["chunk tEXt: 'Date\\x002000' against 'Date\\x002001'"]),
    (png(PICTURE, text=b"Title\x00plot", more=[(b"tEXt", b"Date\x002000")]),
     png(PICTURE, text=b"Title\x00plot", more=[(b"tEXt", b"Date\x002001")]), "png",
     ["chunk tEXt: 'Date\\x002000' against 'Date\\x002001'"]),
    (png(PICTURE, text=b"Title\x00plot"), png(PICTURE), "png", ["chunk tEXt: 'Title\\x00plot' against none"]),
    (png([[1, 2, 3, 255, 5, 6, 7, 255]], colour=6), png([[1, 2, 3, 255, 5, 6, 9, 251]], colour=6), "png",
     ["1 of 2 pixels differ, by at most 4 of 255, 1.5 on average; within x 1 to 1, y 0 to 0"]),
    (png([[0, 1]], colour=3, more=[(b"PLTE", b"\0\0\0\1\1\1")]),
     png([[0, 1]], colour=3, more=[(b"PLTE", b"\0\0\0\1\1\2")]), "png",
     ["chunk PLTE: 00 00 00 01 01 01 against 00 00 00 01 01 02"]),
    (png([[0, 1, 0, 2]], depth=16), png([[0, 1, 0, 3]], depth=16), "png", ["the compressed pixels differ"]),
    (png(PICTURE), png([row[:2] for row in PICTURE]), "png",
     ["chunk IHDR: 3 by 2 of 8 bits against 2 by 2 of 8 bits"]),
]  # fmt: skip


@pytest.mark.parametrize(("one", "two", "kind", "details"), CASES, ids=range(len(CASES)))
def test_is_told_by_what_it_is(one, two, kind, details):
    assert compare_contents("result", one, two) == (kind, details)


def test_a_pickle_is_compared_without_being_unpickled():
    class Trap:
        def __reduce__(self):
            return (eval, ("1/0",))

    kind, details = compare_contents("m", pickle.dumps([Trap(), 1.5], 4), pickle.dumps([Trap(), 1.25], 4))
    assert kind == "pickle"
    assert any("BINFLOAT 1.5 against BINFLOAT 1.25" in line for line in details)


def test_a_long_part_of_a_pickle_is_shown_from_where_it_parts():
    one, two = (pickle.dumps(bytes(500) + end + bytes(9), 4) for end in (b"a", b"b"))
    kind, (line,) = compare_contents("m", one, two)
    assert kind == "pickle"
    rest = repr(b"\0" * 9)[2:-1]
    assert line.endswith(f"BINBYTES of 510 against BINBYTES of 510, first at 500: b'a{rest}' against b'b{rest}'")


def test_what_only_begins_like_a_pickle_is_bytes():
    assert compare_contents("x", b"\x80\x04\xff\xff\xff", b"\x80\x04\xff\xff\xfe")[0] == "bytes"


def test_a_damaged_picture_is_bytes():
    assert compare_contents("x", png(PICTURE)[:20], png(PICTURE)[:19] + b"x")[0] == "bytes"


def test_what_is_listed_is_bounded():
    one, two = (json.dumps({str(n): n + gap for n in range(100)}).encode() for gap in (0, 1))
    assert len(compare_contents("x", one, two)[1]) == MOST_LISTED + 1


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_two_that_differ_have_a_difference(one, two):
    if one != two:
        assert compare_contents("x", one, two)[1]


@given(st.integers(1, 5000), st.data())
def test_bisection_finds_the_first(high, data):
    first = data.draw(st.integers(1, high))
    asked = []

    def same(number):
        asked.append(number)
        return number < first

    assert first_difference(0, high, same) == first
    assert len(asked) <= high.bit_length()
    assert high not in asked


def test_traces_part_at_their_first_event_that_is_not_the_same():
    assert first_unlike((("f", 1), ("f", 2)), (("f", 1), ("f", 3))) == 2
    assert first_unlike((("f", 1),), (("f", 1), ("f", 2))) == 1
    assert first_unlike((("f", 1),), (("f", 1),)) is None


def tree(store, files):
    builder = TreeBuilder(Importer(store))
    for path, content in files.items():
        builder.add_file(path, content)
    return builder.finish().cid


def test_directories_are_walked():
    store = MemoryBlockStore()
    one = tree(store, {"same": b"1", "result": b"[1]", "outputs/a": b"x", "gone": b"", "kind": b"file"})
    two = tree(store, {"same": b"1", "result": b"[2]", "outputs/a": b"y", "new": b"", "kind/inside": b"file"})
    found = [(one.path, one.kind) for one in tree_differences(one, two, UnixfsReader(store))]
    assert found == [
        ("gone", "only-in-a"), ("kind", "kind"), ("new", "only-in-b"), ("outputs/a", "text"), ("result", "json"),
    ]  # fmt: skip


def test_what_is_not_here_is_said_to_be_unknown():
    store, elsewhere = MemoryBlockStore(), MemoryBlockStore()
    one, two = tree(store, {"a": b"1"}), tree(elsewhere, {"a": b"2"})
    (found,) = tree_differences(one, two, UnixfsReader(store))
    assert (found.path, found.kind) == ("", "missing")
