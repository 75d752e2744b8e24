import io

import pytest

from storage.blocks import MemoryBlockStore
from storage.errors import VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_tree import TreeBuilder


@pytest.fixture
def importer():
    return Importer(MemoryBlockStore())


@pytest.fixture
def tree(importer):
    return TreeBuilder(importer)


def test_an_empty_tree_is_the_empty_directory(tree, importer):
    assert tree.finish() == importer.directory({})


def test_paths_in_any_order_give_the_tree_that_path_import_gives(tree, importer, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"c")
    (tmp_path / "a" / "empty").mkdir()
    (tmp_path / "link").symlink_to("a/b")
    (tmp_path / "top").write_bytes(b"t")
    tree.add_symlink("link", "a/b")
    tree.add_file("a/b/c", io.BytesIO(b"c"))
    tree.add_file("top", b"t")
    tree.add_directory("a/empty")
    tree.add_directory("a")
    assert tree.finish() == importer.path(tmp_path)


def test_entries_can_be_placed_without_importing_them_again(tree, importer):
    part = importer.directory({"x": importer.bytes(b"1")})
    tree.add_entry("shards/0", part)
    assert tree.finish() == importer.directory({"shards": importer.directory({"0": part})})


BAD_PATHS = ["", "/", "/a", "a/", "a//b", ".", "./a", "a/.", "..", "../a", "a/../b", "a\0", "\udcff", "a/" * 128 + "a"]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_unsafe_paths_are_refused_everywhere(tree, importer, path):
    with pytest.raises(VerificationError):
        tree.add_file(path, b"")
    with pytest.raises(VerificationError):
        tree.add_directory(path)
    with pytest.raises(VerificationError):
        tree.add_symlink(path, "x")
    with pytest.raises(VerificationError):
        tree.add_entry(path, importer.bytes(b""))
    assert tree.finish() == importer.directory({})


def test_the_same_path_twice_is_refused(tree):
    tree.add_file("a/f", b"1")
    tree.add_directory("d")
    for path in ("a/f", "d", "a"):
        with pytest.raises(VerificationError, match="twice"):
            tree.add_file(path, b"2")
        with pytest.raises(VerificationError, match="twice"):
            tree.add_symlink(path, "x")
    for path in ("a/f", "d"):
        with pytest.raises(VerificationError, match="twice"):
            tree.add_directory(path)


def test_nothing_can_stand_below_a_file_or_a_symlink(tree):
    tree.add_file("f", b"1")
    tree.add_symlink("l", "/etc")
    for path in ("f/x", "l/passwd", "l/x/y"):
        with pytest.raises(VerificationError, match="no directory"):
            tree.add_file(path, b"2")
        with pytest.raises(VerificationError, match="no directory"):
            tree.add_directory(path)


def test_a_refused_path_leaves_no_trace(tree, importer):
    tree.add_file("f", b"1")
    with pytest.raises(VerificationError):
        tree.add_file("f/x/y", b"2")
    with pytest.raises(VerificationError):
        tree.add_symlink("new/link", "\udcff")
    assert tree.finish() == importer.directory({"f": importer.bytes(b"1")})
