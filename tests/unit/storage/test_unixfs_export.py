import errno
import os
from pathlib import Path

import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.dag_pb import Link, encode_node
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_export import export
from storage.unixfs_import import Importer
from storage.unixfs_node import NodeType, UnixfsNode, encode_unixfs
from storage.unixfs_read import UnixfsReader


@pytest.fixture
def store():
    return MemoryBlockStore()


@pytest.fixture
def importer(store):
    return Importer(store)


@pytest.fixture
def reader(store):
    return UnixfsReader(store)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder"
    made.mkdir()
    return made


def names(folder):
    return sorted(child.name for child in folder.iterdir())


def directory(store, *entries):
    links = [Link(cid=cid, name=name, tsize=1) for name, cid in entries]
    block = encode_node(links, encode_unixfs(UnixfsNode(type=NodeType.DIRECTORY)))
    cid = make_cid(0x70, block)
    store.put(cid, block)
    return cid


def test_what_was_imported_comes_out_the_same(importer, reader, folder, tmp_path):
    source = tmp_path / "source"
    (source / "a" / "empty").mkdir(parents=True)
    (source / "a" / "big").write_bytes(bytes(range(256)) * 10_000)
    (source / "a" / "up").symlink_to("../top")
    (source / "a" / "here").symlink_to(".")
    (source / "top").write_bytes(b"")
    (source / "ü .hidden").write_bytes(b"x")
    entry = importer.path(source)
    export(reader, entry.cid, folder / "out")
    assert importer.path(folder / "out") == entry
    assert names(folder) == ["out"]


def test_a_file_is_written_as_a_file(importer, reader, folder):
    export(reader, importer.bytes(b"abc").cid, folder / "f")
    assert (folder / "f").read_bytes() == b"abc"
    assert names(folder) == ["f"]


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_an_existing_target_is_refused_and_kept(importer, reader, folder, make):
    make(folder / "f")
    before = os.lstat(folder / "f")
    with pytest.raises(UserError, match="is there already"):
        export(reader, importer.bytes(b"abc").cid, folder / "f")
    assert os.lstat(folder / "f").st_ino == before.st_ino


def test_a_missing_folder_is_the_users_fault(importer, reader, folder):
    with pytest.raises(UserError, match="folder does not exist"):
        export(reader, importer.bytes(b"abc").cid, folder / "no" / "f")


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "..", "../..", "../../x", "a/../..", "a/../../x", "x/..", "", "../a/../../..", "./../..", "a\0b"],
)
def test_symlinks_that_could_leave_the_tree_are_refused(importer, reader, folder, target):
    inner = importer.directory({"link": importer.symlink(target), "zz": importer.bytes(b"")})
    root = importer.directory({"a": importer.bytes(b"first"), "d": inner})
    if target == "..":  # one level down this is the root itself, so it is allowed
        export(reader, root.cid, folder / "out")
        return
    with pytest.raises(VerificationError, match="leads out"):
        export(reader, root.cid, folder / "out")
    assert names(folder) == []


def test_a_symlink_alone_is_refused(importer, reader, folder):
    with pytest.raises(VerificationError):
        export(reader, importer.symlink("x").cid, folder / "out")


def test_a_parent_step_behind_a_symlink_is_refused(importer, reader, folder):
    # x/s is the root, so x/s/.. would be the folder outside, though it reads like x.
    inner = importer.directory({"s": importer.symlink(".."), "t": importer.symlink("s/..")})
    with pytest.raises(VerificationError):
        export(reader, importer.directory({"x": inner}).cid, folder / "out")


@pytest.mark.parametrize("name", [b"..", b"../x", b"/tmp/x", b"a\0", b"\xff"])
def test_unsafe_names_are_refused_and_leave_nothing(store, importer, reader, folder, name):
    file = importer.bytes(b"x").cid
    with pytest.raises(VerificationError):
        export(reader, directory(store, (b"ok", file), (name, file)), folder / "out")
    assert names(folder) == []


def test_a_missing_block_leaves_nothing(store, importer, reader, folder):
    root = directory(store, (b"a", importer.bytes(b"here").cid), (b"b", make_cid(RAW, b"not here")))
    with pytest.raises(UnavailableError):
        export(reader, root, folder / "out")
    assert names(folder) == []


def test_a_changed_block_leaves_nothing(store, importer, reader, folder):
    bad = make_cid(RAW, b"good")
    store.put(bad, b"evil")
    root = directory(store, (b"a", importer.bytes(b"here").cid), (b"b", bad))
    with pytest.raises(VerificationError):
        export(reader, root, folder / "out")
    assert names(folder) == []


def test_more_bytes_than_allowed_leave_nothing(importer, reader, folder):
    half = importer.bytes(b"x" * 500)
    root = importer.directory({"a": half, "b": half})
    export(reader, root.cid, folder / "fits", max_bytes=1000)
    with pytest.raises(VerificationError, match="999 bytes"):
        export(reader, root.cid, folder / "out", max_bytes=999)
    assert names(folder) == ["fits"]


def test_few_blocks_that_stand_for_endless_directories_are_refused(store, importer, reader, folder):
    cid = directory(store)
    for _ in range(100):
        cid = directory(store, (b"a", cid))
    export(reader, cid, folder / "deep")
    for _ in range(100):
        cid = directory(store, (b"a", cid))
    with pytest.raises(VerificationError, match="deep"):
        export(reader, cid, folder / "out")
    assert names(folder) == ["deep"]


def test_few_blocks_that_stand_for_endless_files_are_refused(store, importer, reader, folder, monkeypatch):
    monkeypatch.setattr("storage.unixfs_members.MAX_MEMBERS", 100)
    cid = importer.bytes(b"x").cid
    for _ in range(20):
        cid = directory(store, (b"a", cid), (b"b", cid))
    with pytest.raises(VerificationError, match="more than 100 members"):
        export(reader, cid, folder / "out")
    assert names(folder) == []


def test_a_target_that_appears_meanwhile_is_kept(importer, store, folder):
    class Racing(MemoryBlockStore):
        def get(self, cid):
            (folder / "out").write_bytes(b"mine")
            return store.get(cid)

    with pytest.raises(UserError, match="is there already"):
        export(UnixfsReader(Racing()), importer.bytes(b"abc").cid, folder / "out")
    assert names(folder) == ["out"]
    assert (folder / "out").read_bytes() == b"mine"


def test_a_file_system_that_takes_two_names_for_one_is_noticed(store, importer, reader, folder, monkeypatch):
    real = Path.open

    def folding(self, *arguments, **options):
        return real(self.with_name(self.name.lower()), *arguments, **options)

    monkeypatch.setattr(Path, "open", folding)
    root = importer.directory({"A": importer.bytes(b"1"), "a": importer.bytes(b"2")})
    with pytest.raises(VerificationError, match="two names"):
        export(reader, root.cid, folder / "out")
    assert names(folder) == []


def test_a_full_disk_is_unavailable_and_leaves_nothing(importer, reader, folder, monkeypatch):
    def full(self, *arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    cid = importer.bytes(b"x").cid
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UnavailableError, match="No space left"):
        export(reader, cid, folder / "out")
    assert names(folder) == []


def test_a_name_too_long_for_the_disk_is_unavailable(importer, reader, folder):
    root = importer.directory({"n" * 300: importer.bytes(b"")})
    with pytest.raises(UnavailableError):
        export(reader, root.cid, folder / "out")
    assert names(folder) == []
