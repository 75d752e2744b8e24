import pytest

from storage.block_source import BlockAbsentError
from storage.blocks import MemoryBlockStore
from storage.car_file import CarFile, write_car_file
from storage.cid import RAW, make_cid
from storage.dag_fetch import fetch_dag
from storage.dag_walk import walk
from storage.errors import PeerError, UnavailableError, UserError
from storage.unixfs_import import Importer


@pytest.fixture
def there():
    return MemoryBlockStore()


@pytest.fixture
def root(there):
    importer = Importer(there)
    return importer.directory({"a": importer.bytes(b"a"), "big": importer.bytes(bytes(3_000_000))}).cid


def test_a_dag_goes_through_a_file(there, root, tmp_path):
    path = tmp_path / "x.car"
    write_car_file(path, root, walk(there, root))
    source, here = CarFile(path), MemoryBlockStore()
    fetch_dag(here, root, [source])
    source.close()
    assert source.roots == (root,)
    assert list(walk(here, root)) == list(walk(there, root))
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.car"]


def test_a_part_of_a_file_can_be_fetched_in_any_order_of_blocks(there, root, tmp_path):
    path = tmp_path / "x.car"
    write_car_file(path, root, reversed(list(walk(there, root))))
    source, here = CarFile(path), MemoryBlockStore()
    for cid, _ in walk(there, root):
        fetch_dag(here, cid, [source])
    source.close()
    assert list(walk(here, root)) == list(walk(there, root))


def test_what_is_there_is_not_replaced(there, root, tmp_path):
    path = tmp_path / "x.car"
    path.write_bytes(b"mine")
    with pytest.raises(UserError, match="is there already"):
        write_car_file(path, root, walk(there, root))
    dangling = tmp_path / "link"
    dangling.symlink_to("nowhere")
    with pytest.raises(UserError, match="is there already"):
        write_car_file(dangling, root, walk(there, root))
    with pytest.raises(UserError, match="folder does not exist"):
        write_car_file(tmp_path / "no" / "x.car", root, walk(there, root))
    assert path.read_bytes() == b"mine"


def test_what_appears_meanwhile_is_not_replaced(there, root, tmp_path):
    path = tmp_path / "x.car"

    def blocks():
        yield from walk(there, root)
        path.write_bytes(b"mine")

    with pytest.raises(UserError, match="is there already"):
        write_car_file(path, root, blocks())
    assert path.read_bytes() == b"mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.car"]


def test_an_incomplete_dag_leaves_nothing(there, root, tmp_path):
    here = MemoryBlockStore()
    here.put_many(list(walk(there, root))[:2])
    with pytest.raises(UnavailableError, match="not in this store"):
        write_car_file(tmp_path / "x.car", root, walk(here, root))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_car_is_a_wrong_call(tmp_path):
    path = tmp_path / "x.car"
    path.write_bytes(b"hello")
    for bad in (path, tmp_path / "none.car", tmp_path):
        with pytest.raises(UserError):
            CarFile(bad)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:-1] + b"!", lambda data: data + b"\x05abc"]
)
def test_a_damaged_file_is_refused_and_named(there, root, tmp_path, damage):
    path = tmp_path / "x.car"
    write_car_file(path, root, walk(there, root))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(PeerError, match=r"CAR is wrong \(byte") as caught:
        CarFile(path)
    assert caught.value.peer == str(path)


def test_a_file_that_changes_under_us_is_noticed(there, root, tmp_path):
    path = tmp_path / "x.car"
    write_car_file(path, root, walk(there, root))
    source = CarFile(path)
    with path.open("r+b") as stream:
        stream.write(b"\0" * path.stat().st_size)
    with pytest.raises(PeerError):
        source.block(root)
    with pytest.raises(BlockAbsentError):
        source.block(make_cid(RAW, b"other"))
    source.close()
