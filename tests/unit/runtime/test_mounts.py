import itertools

import pytest

from runtime.mounts import check_places, nest
from storage.blocks import MemoryBlockStore
from storage.errors import UserError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from verifier.model import Volume


@pytest.fixture
def store():
    return MemoryBlockStore()


def tree(store, *paths):
    builder = TreeBuilder(Importer(store))
    for path in paths:
        builder.add_file(path, path.encode())
    return builder.finish().cid


def test_volumes_side_by_side_stay_as_they_are(store):
    volumes = [Volume(path=path, cid=tree(store, path[1:])) for path in ("/b", "/a/x", "/a-b", "/a.x")]
    assert nest(volumes, store) == tuple(sorted(volumes, key=lambda volume: volume.path.encode()))


def test_volumes_inside_volumes_become_one_whatever_their_order(store):
    parts = [
        Volume(path="/ref", cid=tree(store, "top", "sub/old")),
        Volume(path="/ref/sub", cid=tree(store, "new")),
        Volume(path="/ref/sub/deep/er", cid=tree(store, "deepest")),
        Volume(path="/ref/one", cid=Importer(store).bytes(b"a file").cid),
        Volume(path="/ref-not", cid=tree(store, "other")),
    ]
    results = {nest(order, store) for order in itertools.permutations(parts)}
    ((ref, beside),) = results
    assert (ref.path, beside) == ("/ref", parts[4])
    reader = UnixfsReader(store)
    assert reader.read_bytes(reader.resolve(ref.cid, "sub/new"), 99) == b"new"
    assert reader.read_bytes(reader.resolve(ref.cid, "sub/deep/er/deepest"), 99) == b"deepest"
    assert reader.read_bytes(reader.resolve(ref.cid, "one"), 99) == b"a file"
    assert [name for name, _ in reader.entries(reader.resolve(ref.cid, "sub"))] == ["deep", "new"]


def test_a_volume_in_a_file_is_told_with_its_flag(store):
    file = Importer(store).bytes(b"x").cid
    volumes = [Volume(path="/f", cid=file), Volume(path="/f/x", cid=tree(store, "a"))]
    with pytest.raises(UserError, match=r"-v /f/x: cannot lie in what is mounted at /f: \w+ is a file") as caught:
        nest(volumes, store)
    assert caught.value.fix


def test_places_that_are_fine():
    check_places(["/ref", "/ref/sub", "/x"], data="/inputs/data", outputs=["/outputs", "/o"])
    check_places(["/inputs/ref"], data="/inputs/data", outputs=["/outputs"])
    check_places([], data=None, outputs=["/outputs"])


@pytest.mark.parametrize(
    ("volumes", "said"),
    [
        (["/a", "/a"], "two volumes are mounted here"),
        (["/a", "/a/b", "/a/b"], "two volumes are mounted here"),
        (["/outputs/x"], "/outputs/x lies in /outputs"),
        (["/o"], "/o/p lies in /o"),
        (["/o", "/o/p/q"], "/o/p lies in /o"),
        (["/inputs"], "/inputs/data lies in /inputs"),
        (["/inputs/data/x"], "/inputs/data/x lies in /inputs/data"),
    ],
)
def test_places_in_each_others_way(volumes, said):
    with pytest.raises(UserError, match=said):
        check_places(volumes, data="/inputs/data", outputs=["/outputs", "/o/p"])
