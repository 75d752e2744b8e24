"""What a worker gets for its questions about inputs, and that questions cost no more than they must."""

import pytest

from runtime import input_server
from runtime.engine import UndeterminedError
from runtime.frames import Frame
from runtime.input_server import InputServer
from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from tests.counting_store import CountingBlockStore


@pytest.fixture
def store():
    return CountingBlockStore()


@pytest.fixture
def server(store):
    return InputServer(UnixfsReader(store))


def ask(server, kind, handle, **more):
    return server.answer(Frame(header={"type": kind, "handle": handle, **more}))


def read(server, handle, position=0, length=1 << 20):
    return ask(server, "read", handle, position=position, length=length).payload


def directory(store, count):
    importer = Importer(store)
    return importer.directory({f"part-{n:05}.bin": importer.bytes(b"%d" % n) for n in range(count)}).cid


@pytest.mark.parametrize("count", [50, 6000], ids=["basic", "sharded"])
@pytest.mark.parametrize("is_listed", [False, True])
def test_names_are_found_whether_the_directory_was_listed_or_not(store, server, count, is_listed):
    handle, _ = server.hand_over(directory(store, count))
    if is_listed:
        names = ask(server, "list", handle).header["names"]
        assert names == [f"part-{n:05}.bin" for n in range(count)]
    for n in (0, 7, count - 1):
        entry = ask(server, "lookup", handle, name=f"part-{n:05}.bin").header
        assert (entry["kind"], entry["size"]) == ("file", len(str(n)))
        assert read(server, entry["handle"]) == b"%d" % n
    for name in ("gone", "part-00000", "..", "a\0b"):
        assert ask(server, "lookup", handle, name=name).header == {"type": "entry", "kind": "absent"}


def test_a_directory_is_read_once_for_all_its_names(store, server):
    """4,000 names in a basic directory took 36 s when each lookup checked all of them."""
    handle, _ = server.hand_over(directory(store, 300))
    sorted_times = []
    entries = UnixfsReader.entries

    class Watched(UnixfsReader):
        def entries(self, cid):
            sorted_times.append(cid)
            return entries(self, cid)

    server = InputServer(Watched(store))
    handle, _ = server.hand_over(directory(store, 300))
    for n in range(300):
        ask(server, "lookup", handle, name=f"part-{n:05}.bin")
    assert len(sorted_times) == 1


def test_a_task_may_read_any_number_of_files(store, server):
    handle, _ = server.hand_over(directory(store, 100))
    entries = [ask(server, "lookup", handle, name=f"part-{n:05}.bin").header for n in range(100)]
    for _ in range(2):
        for n, entry in enumerate(entries):
            assert read(server, entry["handle"]) == b"%d" % n
    assert len(server._files) == input_server.MAX_STREAMS


def test_a_tar_outlives_the_files_beside_it(store, server):
    root = directory(store, 100)
    tar, size = server.hand_over_tar(root)
    head = read(server, tar, 0, 512)
    handle, _ = server.hand_over(root)
    for n in range(100):
        read(server, ask(server, "lookup", handle, name=f"part-{n:05}.bin").header["handle"])
    assert read(server, tar, 0, 512) == head
    assert read(server, tar, size - 1024) == bytes(1024)


def test_links_are_told_with_their_target(store, server):
    importer = Importer(store)
    handle, _ = server.hand_over(importer.directory({"l": importer.symlink("a/b"), "d": importer.directory({})}).cid)
    found = ask(server, "lookup", handle, name="l").header
    assert (found["kind"], found["target"]) == ("symlink", "a/b")
    assert ask(server, "lookup", handle, name="d").header["kind"] == "directory"


def test_a_missing_block_is_no_answer(store, server):
    root = Importer(store).directory({"gone": Importer(MemoryBlockStore()).bytes(b"x")}).cid
    handle, _ = server.hand_over(root)
    with pytest.raises(UnavailableError):
        ask(server, "lookup", handle, name="gone")
    with pytest.raises(UnavailableError):
        server.hand_over(make_cid(RAW, b"absent"))


@pytest.mark.parametrize(
    "header",
    [
        {"type": "read", "handle": 1, "position": 0, "length": 1},
        {"type": "read", "handle": -1, "position": 0, "length": 1},
        {"type": "read", "handle": True, "position": 0, "length": 1},
        {"type": "read", "handle": 0, "position": -1, "length": 1},
        {"type": "read", "handle": 0, "position": 0, "length": (1 << 20) + 1},
        {"type": "lookup", "handle": 0, "name": "a/b"},
        {"type": "lookup", "handle": 0, "name": 1},
        {"type": "list", "handle": "0"},
        {"type": "list"},
    ],
)
def test_questions_that_no_worker_of_ours_asks(store, server, header):
    server.hand_over(directory(store, 1))
    with pytest.raises(UndeterminedError):
        server.answer(Frame(header=header))
