import io
import os
import socket
import stat
from pathlib import Path

import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import cid_text, make_cid
from storage.dag_walk import walk
from storage.errors import UserError, VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_names import MAX_DEPTH
from storage.unixfs_read import UnixfsReader
from storage.unixfs_write import BATCH_BYTES


class Counting(MemoryBlockStore):
    def __init__(self):
        super().__init__()
        self.batches: list[int] = []

    def put_many(self, blocks):
        blocks = list(blocks)
        self.batches.append(sum(len(data) for _, data in blocks))
        super().put_many(blocks)


class Trickle:
    """A stream that gives a few bytes at a time, as sockets do."""

    def __init__(self, data):
        self._stream = io.BytesIO(data)

    def read(self, size, /):
        return self._stream.read(min(size, 70_001))


@pytest.fixture
def store():
    return MemoryBlockStore()


@pytest.fixture
def importer(store):
    return Importer(store)


def listing(store, cid, prefix=""):
    reader = UnixfsReader(store)
    found = {}
    for name, link in reader.entries(cid):
        kind = reader.stat(link.cid).kind
        if kind == "directory":
            found[f"{prefix}{name}/"] = None
            found.update(listing(store, link.cid, f"{prefix}{name}/"))
        elif kind == "symlink":
            found[prefix + name] = "-> " + reader.read_link(link.cid)
        else:
            found[prefix + name] = reader.read_bytes(link.cid, 1 << 20)
    return found


def test_the_empty_file_and_directory_have_their_well_known_cids(importer):
    assert cid_text(importer.bytes(b"").cid) == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    assert cid_text(importer.directory({}).cid) == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"


def test_a_small_file_is_one_raw_block(importer, store):
    entry = importer.bytes(b"hello")
    assert (entry.cid, entry.size, entry.tsize) == (make_cid(0x55, b"hello"), 5, 5)
    assert store.get(entry.cid) == b"hello"


def test_a_stream_of_short_reads_gives_the_same_cid(importer):
    data = bytes(range(256)) * 9000
    assert importer.file(Trickle(data)).cid == importer.bytes(data).cid


def test_sizes_add_up_through_files_and_directories(importer, store):
    file = importer.bytes(bytes(3 << 20))
    root = importer.directory({"a": file, "b": importer.bytes(b"xy"), "c": importer.symlink("a")})
    assert file.size == 3 << 20
    assert root.size == (3 << 20) + 2 + 1
    blocks = dict(walk(store, file.cid))
    # Three equal leaves are one block, but a size counts every link.
    assert file.tsize == len(blocks[file.cid]) + (3 << 20)


def test_blocks_reach_the_store_in_batches_of_bounded_size():
    store = Counting()
    Importer(store).bytes(os.urandom(40 << 20))
    assert len(store.batches) == 6
    assert max(store.batches) <= BATCH_BYTES + (1 << 20)


def test_a_path_brings_everything_that_is_in_it(importer, store, tmp_path):
    (tmp_path / "b" / "empty").mkdir(parents=True)
    (tmp_path / ".hidden").write_bytes(b"h")
    (tmp_path / "b" / "ü").write_bytes(b"u")
    (tmp_path / "b" / "link").symlink_to("./../nowhere//")
    entry = importer.path(tmp_path)
    assert listing(store, entry.cid) == {
        ".hidden": b"h",
        "b/": None,
        "b/empty/": None,
        "b/link": "-> ./../nowhere//",
        "b/ü": b"u",
    }


def test_modes_and_times_do_not_change_the_cid(importer, tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    before = importer.path(tmp_path).cid
    (tmp_path / "f").chmod(0o755)
    os.utime(tmp_path / "f", (1, 1))
    assert importer.path(tmp_path).cid == before


def test_a_file_and_a_symlink_can_be_the_root(importer, store, tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "l").symlink_to("f")
    reader = UnixfsReader(store)
    assert reader.stat(importer.path(tmp_path / "f").cid).kind == "file"
    assert reader.stat(importer.path(tmp_path / "l").cid).kind == "symlink"


@pytest.mark.parametrize("claimed", [0, 1, 4999, 5001, 1 << 20, 1 << 40])
def test_a_file_whose_size_is_told_wrong_is_read_to_its_end(importer, tmp_path, monkeypatch, claimed):
    content = bytes(range(250)) * 20
    (tmp_path / "f").write_bytes(content)
    real = os.fstat

    def fstat(descriptor):
        found = list(real(descriptor))
        found[stat.ST_SIZE] = claimed
        return os.stat_result(found)

    monkeypatch.setattr("storage.unixfs_import.os.fstat", fstat)
    assert importer.path(tmp_path / "f") == importer.bytes(content)


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="no /proc here, whose files all claim to be empty")
def test_a_file_that_claims_to_be_empty_is_read(importer):
    assert importer.path(Path("/proc/version")) == importer.bytes(Path("/proc/version").read_bytes())


@pytest.mark.parametrize(
    ("take_place", "problem"),
    [
        (os.mkfifo, "is neither a file, a directory nor a symlink"),
        (lambda path: path.symlink_to("/etc/passwd"), "too many levels of symbolic links"),
        (lambda path: path.mkdir(), "is neither a file, a directory nor a symlink"),
    ],
    ids=["pipe", "symlink", "directory"],
)
def test_what_takes_a_files_place_is_neither_waited_for_nor_followed(
    importer, tmp_path, monkeypatch, take_place, problem
):
    (tmp_path / "f").write_bytes(b"x")
    real = os.open

    def swapped(path, *arguments, **named):
        if path == str(tmp_path / "f"):
            (tmp_path / "f").unlink()
            take_place(tmp_path / "f")
        return real(path, *arguments, **named)

    monkeypatch.setattr("storage.unixfs_import.os.open", swapped)
    with pytest.raises(UserError, match=f"f: {problem}"):
        importer.path(tmp_path)


def test_a_missing_path_is_the_users_fault(importer, tmp_path):
    with pytest.raises(UserError) as caught:
        importer.path(tmp_path / "nothing")
    assert caught.value.where == str(tmp_path / "nothing")
    assert "no such file" in caught.value.problem


def test_special_files_are_refused_and_named(importer, store, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError) as caught:
        importer.path(tmp_path)
    assert caught.value.where == str(tmp_path / "pipe")


def test_sockets_are_refused(importer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        with pytest.raises(UserError, match="neither a file"):
            importer.path(tmp_path)


def test_names_that_are_not_utf8_are_refused_and_named(importer, tmp_path):
    (tmp_path / os.fsdecode(b"bad\xff")).write_bytes(b"")
    with pytest.raises(UserError, match="not UTF-8") as caught:
        importer.path(tmp_path)
    assert "bad\\udcff" in caught.value.where


def test_a_failed_import_leaves_nothing_and_the_importer_works_on(importer, store, tmp_path):
    (tmp_path / "a").write_bytes(b"first")
    os.mkfifo(tmp_path / "b")
    with pytest.raises(UserError):
        importer.path(tmp_path)
    assert not store.has(make_cid(0x55, b"first"))
    importer.bytes(b"other")
    assert not store.has(make_cid(0x55, b"first"))
    (tmp_path / "b").unlink()
    assert listing(store, importer.path(tmp_path).cid) == {"a": b"first"}


def test_trees_deeper_than_any_reader_accepts_are_refused(importer, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(MAX_DEPTH):
        Path("d").mkdir()
        os.chdir("d")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="deep"):
        importer.path(tmp_path)
    entry = importer.path(tmp_path / "d")
    assert UnixfsReader(store).resolve(entry.cid, "d/" * (MAX_DEPTH - 1))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "\udcff"])
def test_a_directory_refuses_unsafe_names(importer, name):
    with pytest.raises(VerificationError):
        importer.directory({name: importer.bytes(b"")})
