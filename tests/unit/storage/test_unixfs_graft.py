import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.dag_pb import decode_node
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_graft import graft
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder


@pytest.fixture
def store():
    return MemoryBlockStore()


def tree(store, files):
    builder = TreeBuilder(Importer(store))
    for path, content in files.items():
        builder.add_file(path, content)
    return builder.finish().cid


OUTER = {"a": b"1", "sub/b": b"2", "sub/deep/c": b"3"}


@pytest.mark.parametrize("path", ["new", "sub", "sub/b", "sub/deep/x", "other/far/away"])
def test_a_graft_is_what_an_import_of_the_same_tree_gives(store, path):
    inner = tree(store, {"i": b"inner", "j/k": b"more"})
    left = {name: data for name, data in OUTER.items() if name != path and not name.startswith(f"{path}/")}
    expected = tree(MemoryBlockStore(), left | {f"{path}/i": b"inner", f"{path}/j/k": b"more"})
    assert graft(store, tree(store, OUTER), path, inner) == expected


def test_a_file_of_many_blocks_keeps_its_cumulative_size(store):
    big = Importer(store).bytes(bytes(3 << 20))
    root = graft(store, tree(store, OUTER), "sub/big", big.cid)
    sub = UnixfsReader(store).resolve(root, "sub")
    link = next(link for link in decode_node(store.get(sub)).links if link.name == b"big")
    assert link.tsize == big.tsize


def test_a_sharded_directory_stays_what_an_import_gives(store):
    files = {f"{number:05}-{'x' * 60}": b"%d" % number for number in range(3000)}
    outer = tree(store, files)
    expected = tree(MemoryBlockStore(), files | {"z/file": b"z"})
    assert graft(store, outer, "z", tree(store, {"file": b"z"})) == expected


def test_no_leaf_is_needed(store):
    outer = Importer(store).directory({"gone": Importer(MemoryBlockStore()).bytes(b"elsewhere")}).cid
    root = graft(store, outer, "x", tree(store, {"f": b"f"}))
    assert [name for name, _ in UnixfsReader(store).entries(root)] == ["gone", "x"]


def test_what_is_no_directory_holds_nothing(store):
    importer = Importer(store)
    outer = importer.directory({"file": importer.bytes(b"f"), "link": importer.symlink("sub")}).cid
    inner = importer.bytes(b"x").cid
    for path, kind in (("file/x", "file"), ("link/x", "symlink")):
        with pytest.raises(UserError, match=f"is a {kind}: 'x' cannot be put below it"):
            graft(store, outer, path, inner)
    with pytest.raises(UserError, match="is a file"):
        graft(store, inner, "x", inner)


def test_absent_content_and_unsafe_paths(store):
    outer = tree(store, OUTER)
    with pytest.raises(UnavailableError):
        graft(store, outer, "x", make_cid(RAW, b"absent"))
    for path in ("..", "a/../b", "", "/x"):
        with pytest.raises(VerificationError):
            graft(store, outer, path, outer)
    with pytest.raises(UserError, match="deep"):
        graft(store, outer, "/".join("x" * 129), outer)
