import sqlite3
import subprocess
import sys
import threading

import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import CID, DAG_PB, IDENTITY, RAW, SHA2_256, cid_of_digest, cid_text, make_cid, split_cid
from storage.errors import BacalhauError, UnavailableError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore

HELLO = make_cid(RAW, b"hello")


@pytest.fixture
def store(tmp_path):
    with SqliteBlockStore(tmp_path / "deep" / "er" / "blocks.sqlite") as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite"])
def any_store(request, store):
    return store if request.param == "sqlite" else MemoryBlockStore()


def test_what_is_put_is_got_under_every_cid_of_the_same_digest(any_store):
    any_store.put(HELLO, b"hello")
    digest = split_cid(HELLO).digest
    for cid in (HELLO, cid_of_digest(DAG_PB, digest), CID(b"\x12\x20" + digest)):
        assert any_store.get(cid) == b"hello"
        assert any_store.has(cid)


def test_a_missing_block_is_unavailable_and_names_its_cid(any_store):
    assert not any_store.has(HELLO)
    with pytest.raises(UnavailableError) as caught:
        any_store.get(HELLO)
    assert caught.value.where == cid_text(HELLO)


def test_an_identity_cid_is_its_own_block_and_is_never_stored(any_store):
    cid = CID(bytes([1, RAW, IDENTITY, 3]) + b"abc")
    assert any_store.has(cid)
    assert any_store.get(cid) == b"abc"
    any_store.put(cid, b"something else")
    assert any_store.get(cid) == b"abc"


def test_another_hash_function_cannot_take_the_place_of_a_sha256_digest(any_store):
    cid = CID(bytes([1, RAW, 0x16, 32]) + split_cid(HELLO).digest)
    with pytest.raises(VerificationError, match="hash function 0x16"):
        any_store.put(cid, b"not hello")
    assert not any_store.has(HELLO)


def test_put_many_keeps_all_or_none(any_store):
    def blocks():
        yield HELLO, b"hello"
        raise VerificationError("the stream broke")

    with pytest.raises(VerificationError, match="stream broke"):
        any_store.put_many(blocks())
    assert not any_store.has(HELLO)
    any_store.put(HELLO, b"hello")
    assert any_store.has(HELLO)


def test_a_short_sha256_digest_is_refused(any_store):
    cid = CID(bytes([1, RAW, SHA2_256, 4]) + b"abcd")
    with pytest.raises(VerificationError):
        any_store.put(cid, b"x")


def test_blocks_survive_a_restart(tmp_path):
    path = tmp_path / "blocks.sqlite"
    with SqliteBlockStore(path) as first:
        first.put(HELLO, b"hello")
    with SqliteBlockStore(path) as second:
        assert second.get(HELLO) == b"hello"
        assert second.size() == (1, 5)


def test_a_changed_row_is_a_verification_error_and_a_new_put_heals_it(tmp_path):
    path = tmp_path / "blocks.sqlite"
    with SqliteBlockStore(path) as store:
        store.put(HELLO, b"hello")
        other = sqlite3.connect(path)
        other.execute("UPDATE blocks SET data = x'6a656c6c6f'")
        other.commit()
        other.close()
        with pytest.raises(VerificationError) as caught:
            store.get(HELLO)
        assert caught.value.where == cid_text(HELLO)
        store.put(HELLO, b"hello")
        assert store.get(HELLO) == b"hello"


def test_size_and_digests_count_every_block_once(store):
    blocks = [(make_cid(RAW, b"%d" % n), b"%d" % n) for n in range(2500)]
    store.put_many(blocks)
    store.put_many(blocks[:10])
    assert store.size() == (2500, sum(len(data) for _, data in blocks))
    assert list(store.digests()) == sorted(split_cid(cid).digest for cid, _ in blocks)


def test_an_empty_store_has_size_zero(store):
    assert store.size() == (0, 0)
    assert list(store.digests()) == []


@pytest.mark.parametrize(
    "content", [b"this is a text file, not a database" * 10, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_file_that_is_no_database_is_unavailable_and_stays_as_it_is(tmp_path, content):
    path = tmp_path / "blocks.sqlite"
    path.write_bytes(content)
    with pytest.raises(UnavailableError) as caught:
        SqliteBlockStore(path)
    assert "BACALHAU_DIR" in caught.value.fix
    assert caught.value.where == str(path)
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_the_file_is_unavailable(tmp_path):
    with pytest.raises(UnavailableError):
        SqliteBlockStore(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError):
        SqliteBlockStore(tmp_path / "file" / "blocks.sqlite")


def test_closing_twice_is_fine_and_using_a_closed_store_is_our_bug(tmp_path):
    store = SqliteBlockStore(tmp_path / "blocks.sqlite")
    store.close()
    store.close()
    with pytest.raises(sqlite3.ProgrammingError):
        store.get(HELLO)


def test_a_put_may_read_from_the_store_it_writes_to(store):
    store.put(HELLO, b"hello")
    copy = make_cid(RAW, b"hellohello")
    store.put_many((copy, store.get(HELLO) * 2) for _ in range(1))
    assert store.get(copy) == b"hellohello"


def test_threads_share_one_store(store):
    errors: list[BacalhauError] = []

    def work(first: int) -> None:
        try:
            for number in range(first, first + 50):
                data = b"%d" % (number % 120)
                store.put(make_cid(RAW, data), data)
                assert store.get(make_cid(RAW, data)) == data
        except BacalhauError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 200, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.size()[0] == 120


WRITER = """
import sys
from pathlib import Path
from storage.cid import RAW, make_cid
from storage.sqlite_block_store import SqliteBlockStore

sys.stdin.readline()
with SqliteBlockStore(Path(sys.argv[1])) as store:
    for batch in range(10):
        blocks = [b"%d" % n for n in range(batch * 20, batch * 20 + 20)]
        store.put_many((make_cid(RAW, data), data) for data in blocks)
        assert all(store.get(make_cid(RAW, data)) == data for data in blocks)
"""


def test_processes_make_and_fill_one_store_together(tmp_path):
    path = tmp_path / "blocks.sqlite"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for writer in writers:  # all are started before the first may begin
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [("", 0)] * 4
    with SqliteBlockStore(path) as store:
        assert store.size()[0] == 200


@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 200])
def test_however_many_blocks_are_put_each_is_there_once_and_counted(store, count):
    # Small and large ones, which take different ways into the database, and an empty one.
    datas = [b"%d" % n * (40_000 if n % 7 == 0 else 3 if n else 0) for n in range(count)]
    blocks = [(make_cid(RAW, data), data) for data in datas]
    store.put_many([*blocks, *blocks[: count // 2]])
    assert [store.get(cid) for cid, _ in blocks] == datas
    assert store.size() == (count, sum(map(len, datas)))
    store.put_many(iter(blocks))
    assert store.size() == (count, sum(map(len, datas)))


def test_one_damaged_block_among_many_is_replaced(store, tmp_path):
    blocks = [(make_cid(RAW, b"%d" % n), b"%d" % n) for n in range(100)]
    store.put_many(blocks)
    with sqlite3.connect(store.path) as other:
        other.execute("UPDATE blocks SET data = x'00' WHERE digest = ?", (split_cid(blocks[50][0]).digest,))
    other.close()
    store.put_many(blocks)
    assert [store.get(cid) for cid, _ in blocks] == [data for _, data in blocks]
    assert store.size() == (100, sum(len(data) for _, data in blocks))
