import hashlib
import io
import tarfile

import pytest

from storage.cid import RAW, make_cid
from storage.dag_pb import Link, encode_node
from storage.dag_tar import DagTar
from storage.errors import UnavailableError, UserError, VerificationError
from storage.tar_header import DIRECTORY, FILE, SYMLINK, tar_header
from storage.unixfs_import import Importer
from storage.unixfs_node import NodeType, UnixfsNode, encode_unixfs
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from tests.counting_store import CountingBlockStore


@pytest.fixture
def store():
    return CountingBlockStore()


@pytest.fixture
def importer(store):
    return Importer(store)


def tar_bytes(store, cid):
    with DagTar(UnixfsReader(store), cid) as stream:
        data = stream.read()
        assert len(data) == stream.size
        return data


def directory(store, name, cid, tsize):
    fs = UnixfsNode(type=NodeType.DIRECTORY)
    block = encode_node([Link(cid=cid, name=name, tsize=tsize)], encode_unixfs(fs))
    root = make_cid(0x70, block)
    store.put(root, block)
    return root


def sample(importer):
    tree = TreeBuilder(importer)
    tree.add_file("b/big", bytes(range(256)) * 10_000)
    tree.add_file("b/empty", b"")
    tree.add_file("b/block", b"x" * 512)
    tree.add_file("a", b"one")
    tree.add_directory("c")
    tree.add_symlink("link", "../out/of/here")
    tree.add_file("ü/\U0001f41f", b"fish")
    tree.add_file("long/" + "n" * 120, b"long")
    tree.add_symlink("longlink", "t" * 101)
    return tree.finish().cid


# The bytes are part of the function contract: these two hashes never change.
EMPTY_SHA256 = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
SAMPLE_SHA256 = "5f1f4f140f4ffd5ed44f599f0dc5ad643fa3bbd834c8c1be9e0ac90a5348187e"


def test_the_bytes_of_the_stream_never_change(store, importer):
    assert hashlib.sha256(tar_bytes(store, importer.directory({}).cid)).hexdigest() == EMPTY_SHA256
    assert hashlib.sha256(tar_bytes(store, sample(importer))).hexdigest() == SAMPLE_SHA256


def test_tarfile_reads_every_member(store, importer):
    cid = sample(importer)
    with DagTar(UnixfsReader(store), cid) as raw, tarfile.open(fileobj=io.BufferedReader(raw), mode="r:") as tar:
        found = {}
        for member in tar:
            assert (member.uid, member.gid, member.mtime, member.uname, member.gname) == (0, 0, 0, "", "")
            file = tar.extractfile(member) if member.isreg() else None
            found[member.name] = (member.mode, file.read() if file else member.linkname)
    assert list(found) == [
        "a",
        "b",
        "b/big",
        "b/block",
        "b/empty",
        "c",
        "link",
        "long",
        "long/" + "n" * 120,
        "longlink",
        "ü",
        "ü/\U0001f41f",
    ]
    assert found["a"] == (0o644, b"one")
    assert found["b"] == (0o755, "")
    assert found["b/big"] == (0o644, bytes(range(256)) * 10_000)
    assert found["b/empty"] == (0o644, b"")
    assert found["link"] == (0o777, "../out/of/here")
    assert found["longlink"] == (0o777, "t" * 101)
    assert found["ü/\U0001f41f"] == (0o644, b"fish")


HEADERS = [
    ("a", FILE, 0, 0o644, ""),
    ("a/b/c", FILE, 12345, 0o755, ""),
    ("d/", DIRECTORY, 0, 0o755, ""),
    ("l", SYMLINK, 0, 0o777, "x/y"),
    ("l", SYMLINK, 0, 0o777, "t" * 100),
    ("l", SYMLINK, 0, 0o777, "ziel/ü"),
    ("p" * 100, FILE, 1, 0o644, ""),
    ("p" * 101, FILE, 1, 0o644, ""),
    ("ü" * 90, FILE, 8**11 - 1, 0o644, ""),
    ("big", FILE, 8**11, 0o644, ""),
    ("ü" * 300, SYMLINK, 0, 0o777, "\U0001f41f" * 250),
    *(("q" * length, FILE, 0, 0o644, "") for length in range(985, 995)),
]


@pytest.mark.parametrize(("path", "kind", "size", "mode", "target"), HEADERS)
def test_headers_are_those_of_tarfile(path, kind, size, mode, target):
    info = tarfile.TarInfo(path)
    info.type, info.size, info.mode, info.linkname = kind, size, mode, target
    assert tar_header(path, kind, size=size, mode=mode, target=target) == info.tobuf(tarfile.PAX_FORMAT)


def test_seeking_gives_the_same_bytes_as_reading_through(store, importer):
    cid = sample(importer)
    whole = tar_bytes(store, cid)
    stream = io.BufferedReader(DagTar(UnixfsReader(store), cid), 64)
    for start in [0, len(whole) - 1, 511, 512, 700_000, 1, len(whole) - 1025, 2_000_000, len(whole), len(whole) + 9]:
        stream.seek(start)
        assert stream.read(2000) == whole[start : start + 2000]
    assert stream.seek(-10, io.SEEK_END) == len(whole) - 10
    assert stream.read() == bytes(10)


def test_the_layout_reads_no_leaves_and_a_read_only_its_own(store, importer):
    big = importer.file(io.BytesIO(b"".join(bytes([n]) * (1 << 20) for n in range(1, 9))))
    cid = importer.directory({str(n): importer.bytes(b"%d" % n) for n in range(50)} | {"big": big}).cid
    store.reads = 0
    stream = DagTar(UnixfsReader(store), cid)
    assert store.reads == 2
    stream.seek(stream.size - 1024 - (4 << 20))
    assert stream.read(1) == bytes([5])
    assert store.reads == 3


def test_a_size_that_lies_is_found_when_the_file_is_read(store):
    leaf = make_cid(RAW, b"data")
    store.put(leaf, b"data")
    for claimed in (1, 3, 5, 100_000):
        stream = DagTar(UnixfsReader(store), directory(store, b"f", leaf, claimed))
        with pytest.raises(VerificationError, match="not as long"):
            stream.read()


def test_a_claim_of_nothing_is_not_believed(store):
    leaf = make_cid(RAW, b"data")
    store.put(leaf, b"data")
    data = tar_bytes(store, directory(store, b"f", leaf, 0))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.extractfile("f").read() == b"data"


def test_a_claim_that_no_file_can_have_is_refused(store):
    with pytest.raises(VerificationError, match="larger"):
        DagTar(UnixfsReader(store), directory(store, b"f", make_cid(RAW, b"x"), (1 << 62) - 1))


def test_execute_bits_of_foreign_files_are_kept(store):
    block = encode_node([], encode_unixfs(UnixfsNode(type=NodeType.FILE, data=b"#!", filesize=2, mode=0o700)))
    cid = make_cid(0x70, block)
    store.put(cid, block)
    data = tar_bytes(store, directory(store, b"f", cid, len(block)))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getmember("f").mode == 0o755


def test_a_missing_leaf_is_unavailable_only_when_it_is_reached(store, importer):
    root = directory(store, b"f", make_cid(RAW, b"gone"), 4)
    stream = DagTar(UnixfsReader(store), root)
    assert len(stream.read(512)) == 512
    with pytest.raises(UnavailableError):
        stream.read(1)


def test_only_directories_are_archives(store, importer):
    with pytest.raises(UserError):
        DagTar(UnixfsReader(store), importer.bytes(b"x").cid)


def test_unsafe_names_are_refused(store):
    with pytest.raises(VerificationError):
        DagTar(UnixfsReader(store), directory(store, b"..", make_cid(RAW, b"x"), 1))
