"""`data` behaves like a binary file, and like bytes where it is indexed."""

import io
import itertools
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.js_host.guest_modules import load_guest

Data = load_guest("_faas_data").Data
CONTENT = bytes(range(256)) * 50


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data"
    path.write_bytes(CONTENT)
    with Data(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data"
    path.write_bytes(b"abcde")
    with Data(path) as opened:
        yield opened


BOUNDS = [None, *range(-7, 8)]


def test_every_small_slice_is_that_of_bytes(small):
    for start, stop, step in itertools.product(BOUNDS, BOUNDS, [None, 1, 2, 3, 7, -1, -2, -3, -7]):
        assert small[start:stop:step] == b"abcde"[start:stop:step], (start, stop, step)


BOUND = st.one_of(st.none(), st.integers(-13000, 13000), st.integers(-(1 << 70), 1 << 70))


@given(start=BOUND, stop=BOUND, step=BOUND.filter(lambda step: step != 0))
@settings(max_examples=300, deadline=None)
def test_every_slice_is_that_of_bytes(data, start, stop, step):
    assert data[start:stop:step] == CONTENT[start:stop:step]


def test_indices_are_those_of_bytes(small):
    assert [small[i] for i in range(-5, 5)] == [b"abcde"[i] for i in range(-5, 5)]
    for wrong in (5, -6, 1 << 70):
        with pytest.raises(IndexError, match="out of range"):
            small[wrong]
    with pytest.raises(TypeError, match="not str"):
        small["a"]
    with pytest.raises(ValueError, match="zero"):
        small[::0]


def test_indexing_leaves_the_position(data):
    data.seek(10)
    assert data.read(2) == CONTENT[10:12]
    assert (data[5000], data[::4097], data[3:5], bytes(data)) == (
        CONTENT[5000],
        CONTENT[::4097],
        CONTENT[3:5],
        CONTENT,
    )
    assert data.tell() == 12
    assert data.read(2) == CONTENT[12:14]


def test_length_truth_and_whole_content(small, tmp_path):
    (tmp_path / "empty").touch()
    with Data(tmp_path / "empty") as empty:
        assert (len(small), bool(small), bytes(small)) == (5, True, b"abcde")
        assert (len(empty), bool(empty), bytes(empty), empty[:], empty.read()) == (0, False, b"", b"", b"")


def test_it_is_a_binary_file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"one\ntwo\nthree")
    with Data(path) as data:
        assert isinstance(data, io.BufferedIOBase)
        assert (data.readable(), data.seekable(), data.writable()) == (True, True, False)
        assert list(data) == [b"one\n", b"two\n", b"three"]
        assert (data.seek(-5, 2), data.read()) == (8, b"three")
        data.seek(0)
        text = io.TextIOWrapper(data, "utf-8")
        assert text.read().splitlines()[1] == "two"
        text.detach()


def test_a_truncated_input_is_no_shorter_input(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"abcde")
    with Data(path) as data:
        path.write_bytes(b"ab")
        with pytest.raises(OSError, match="before its size"):
            data[0:5]


def test_tarfile_reads_it(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a/b"))
    (tmp_path / "data").write_bytes(out.getvalue())
    with Data(tmp_path / "data") as data, tarfile.open(fileobj=data) as archive:
        assert archive.getnames() == ["a/b"]
