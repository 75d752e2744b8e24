"""Tar streams of trees far larger than memory: made of a few blocks that are linked many times."""

import io
import tarfile
import tracemalloc

import pytest

from storage import dag_tar
from storage.blocks import MemoryBlockStore
from storage.cid import make_cid
from storage.dag_pb import Link, encode_node
from storage.dag_tar import DagTar
from storage.errors import VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_node import NodeType, UnixfsNode, encode_unixfs
from storage.unixfs_profile import V1_2025
from storage.unixfs_read import UnixfsReader
from storage.unixfs_write import BlockBatch, NodeWriter

MIB = 1 << 20


class Watched(MemoryBlockStore):
    """Counts the bytes that are read of it."""

    def __init__(self):
        super().__init__()
        self.bytes_read = 0

    def get(self, cid):
        data = super().get(cid)
        self.bytes_read += len(data)
        return data


@pytest.fixture
def store():
    return Watched()


def repeated(store, block, *counts):
    """Return a file of one block many times: counts[0] of them below a node, counts[1] of these below the next, …"""
    batch = BlockBatch(store)
    with batch.open():
        writer = NodeWriter(batch, V1_2025)
        entry = writer.leaf(block)
        for count in counts:
            entry = writer.parent([entry] * count)
    return entry


def test_ten_thousand_files_of_ten_gib_take_no_memory(store):
    """The table of members is all that is kept: 10,000 files of 1 MiB are laid out and read in a few megabytes."""
    count = 10_000
    file = repeated(store, b"\x07" * MIB)
    root = Importer(store).directory({f"part-{number:05}.bin": file for number in range(count)}).cid
    store.bytes_read = 0
    tracemalloc.start()
    stream = DagTar(UnixfsReader(store), root)
    laid_out = tracemalloc.get_traced_memory()[1]
    assert stream.size == count * (512 + MIB) + 1024
    assert store.bytes_read < 2 * MIB, "directory nodes alone"
    store.bytes_read = 0
    buffered = io.BufferedReader(stream)
    for number in (0, 1, 5_000, count - 1):
        buffered.seek(number * (512 + MIB))
        header = tarfile.TarInfo.frombuf(buffered.read(512), "utf-8", "strict")
        assert (header.name, header.size) == (f"part-{number:05}.bin", MIB)
        assert buffered.read(MIB) == b"\x07" * MIB
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert laid_out < 24 * MIB
    assert peak < 32 * MIB


def test_one_file_above_8_gib_has_a_pax_size_and_is_read_in_the_middle(store):
    """What eleven octal digits cannot hold; the parts are 1 GiB, 1 KiB at a time looked at."""
    block = bytes(range(256)) * 4096
    big = repeated(store, block, 1024, 10)
    root = Importer(store).directory({"big": big, "small": Importer(store).bytes(b"end")}).cid
    store.bytes_read = 0
    tracemalloc.start()
    raw = DagTar(UnixfsReader(store), root)
    with tarfile.open(fileobj=io.BufferedReader(raw), mode="r:") as archive:
        first, last = archive.getmembers()
        assert (first.name, first.size, first.pax_headers) == ("big", 10 << 30, {"size": str(10 << 30)})
        assert archive.extractfile(last).read() == b"end"
        for position in (0, (5 << 30) + 3, (10 << 30) - 5):
            content = archive.extractfile(first)
            content.seek(position)
            assert content.read(4) == bytes((position + n) % 256 for n in range(4))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MIB
    assert store.bytes_read < 16 * MIB


def directory(store, *links):
    block = encode_node(links, encode_unixfs(UnixfsNode(type=NodeType.DIRECTORY)))
    root = make_cid(0x70, block)
    store.put(root, block)
    return root


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([b"a", b"same", b"same"], "a name twice: 'same'"),
        ([b"\xff\xfe"], r"name is not UTF-8: b'\\xff\\xfe'"),
        ([b"\xed\xa0\x80"], "name is not UTF-8"),
        ([b"a/b"], "unsafe name in a directory: 'a/b'"),
        ([b".."], r"unsafe name in a directory: '\.\.'"),
        ([b"."], r"unsafe name in a directory: '\.'"),
        ([b""], "unsafe name in a directory: ''"),
        ([b"a\0b"], r"unsafe name in a directory: 'a\\x00b'"),
    ],
)
def test_names_are_refused_with_the_name(store, names, said):
    leaf = Importer(store).bytes(b"x")
    bad = directory(store, *(Link(cid=leaf.cid, name=name, tsize=1) for name in names))
    for root in (bad, directory(store, Link(cid=bad, name=b"sub", tsize=1))):
        with pytest.raises(VerificationError, match=said):
            DagTar(UnixfsReader(store), root)


def test_names_of_other_forms_are_kept_apart_and_sorted_by_their_bytes(store):
    names = ["é", "e\u0301", "Z", "a", "\U0001f41f", "\uffff", "aa", "a-", "a.b"]
    importer = Importer(store)
    root = importer.directory({name: importer.bytes(b"x") for name in names}).cid
    with tarfile.open(fileobj=io.BufferedReader(DagTar(UnixfsReader(store), root)), mode="r:") as archive:
        assert archive.getnames() == sorted(names, key=str.encode)


def test_a_symlink_that_a_tar_would_cut_is_refused(store):
    link = Importer(store).symlink("safe\0/etc/passwd")
    root = directory(store, Link(cid=link.cid, name=b"link", tsize=link.tsize))
    with pytest.raises(VerificationError, match="'link': symlink target holds a NUL byte"):
        DagTar(UnixfsReader(store), root)


def test_paths_have_a_bound_in_all(store, monkeypatch):
    monkeypatch.setattr(dag_tar, "MAX_PATH_BYTES", 1000)
    importer = Importer(store)
    inner = importer.directory({f"{number:02}": importer.bytes(b"") for number in range(20)})
    DagTar(UnixfsReader(store), importer.directory({"n" * 30: inner}).cid)
    with pytest.raises(VerificationError, match="more than 256 MiB"):
        DagTar(UnixfsReader(store), importer.directory({"n" * 60: inner}).cid)
