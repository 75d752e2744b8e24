import sqlite3

import pytest

from storage import dag_cbor
from storage.cid import CID, DAG_CBOR, RAW, cid_text, make_cid
from storage.errors import UnavailableError, VerificationError
from storage.sqlite_block_layout import APPLICATION_ID
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_collection import SWEEP_BLOCKS, Collection, collect, try_collect
from storage.sqlite_file import Layout, open_database
from storage.sqlite_pins import Pin, hold, pin, unpin
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader


@pytest.fixture
def path(tmp_path):
    return tmp_path / "blocks.sqlite"


def said(_phrase):
    pass


def put(path, *texts):
    """Put raw blocks as a process does that ends afterwards."""
    with SqliteBlockStore(path) as store:
        for text in texts:
            store.put(make_cid(RAW, text), text)
    return [make_cid(RAW, text) for text in texts]


def collected(path, *roots):
    with SqliteBlockStore(path) as store:
        return collect(store, lambda: roots, said)


def present(path, *cids):
    with SqliteBlockStore(path) as store:
        return [store.has(cid) for cid in cids]


def named(name, cid):
    return Pin(name=name, cid=cid, profile=None, created_at=0)


def test_what_nobody_needs_is_removed_and_counted(path):
    a, b = put(path, b"aaa", b"bb")
    result = collected(path, a)
    assert (result.removed_blocks, result.removed_bytes, result.kept_blocks, result.kept_bytes) == (1, 2, 1, 3)
    assert present(path, a, b) == [True, False]


def test_a_trial_counts_what_a_collection_then_removes(path):
    cids = put(path, *(b"%d" % n for n in range(SWEEP_BLOCKS + 50)))
    with SqliteBlockStore(path) as store:
        tried = try_collect(store, lambda: cids[:1], said)
        assert all(map(store.has, cids))
        assert tried == collect(store, lambda: cids[:1], said)
        assert (tried.removed_blocks, tried.kept_blocks) == (len(cids) - 1, 1)
        store.put(cids[1], b"1")  # kept by the lease of this store until that is closed
        assert try_collect(store, lambda: cids[:1], said) == collect(store, lambda: cids[:1], said)
        assert present(path, *cids[:3]) == [True, True, False]


def test_pins_keep_everything_below_them_until_they_are_removed(path):
    with SqliteBlockStore(path) as store:
        importer = Importer(store)
        root = importer.directory({str(n): importer.bytes(b"%d" % n) for n in range(300)}).cid
        big = importer.directory({f"{'x' * 200}{n}": importer.bytes(b"%d" % n) for n in range(1500)}).cid
        pin(store, named("small", root))
        pin(store, named("sharded", big))
    result = collected(path)
    assert (result.removed_blocks, result.missing) == (0, 0)
    with SqliteBlockStore(path) as store:
        assert len(list(UnixfsReader(store).entries(big))) == 1500
        unpin(store, "sharded")
    assert collected(path).kept_blocks == 301
    with SqliteBlockStore(path) as store:
        assert UnixfsReader(store).read_bytes(UnixfsReader(store).resolve(root, "7"), 9) == b"7"
        unpin(store, "small")
    assert collected(path).kept_blocks == 0


def test_the_same_bytes_are_followed_under_each_codec_that_a_root_gives_them(path):
    leaf, other = put(path, b"leaf", b"other")
    node = dag_cbor.encode([leaf])
    put(path, node)
    assert collected(path, make_cid(RAW, node), make_cid(DAG_CBOR, node)).removed_blocks == 1
    assert present(path, leaf, other) == [True, False]


def test_what_an_open_store_has_put_or_held_stays_until_it_is_closed(path):
    (held,) = put(path, b"held")
    (kept,) = put(path, b"kept")
    with SqliteBlockStore(path) as store:
        mine = make_cid(RAW, b"mine")
        store.put(mine, b"mine")
        hold(store, held)
        assert store.keep(kept)
        assert not store.keep(make_cid(RAW, b"absent"))
        for _ in range(3):
            assert collected(path).removed_blocks == 0
        store.release()
        store.release()
        assert collected(path).removed_blocks == 3
        store.put(mine, b"mine")
        assert collected(path).removed_blocks == 0
    assert collected(path).removed_blocks == 1


def test_putting_again_protects_what_was_there(path):
    (cid,) = put(path, b"x")
    collected(path, cid)
    with SqliteBlockStore(path) as store:
        store.put(cid, b"x")
        assert collected(path).removed_blocks == 0
    assert collected(path).removed_blocks == 1


def test_a_lease_that_was_undone_with_its_transaction_is_taken_anew(path):
    with SqliteBlockStore(path) as store:

        def breaks():
            yield make_cid(RAW, b"a"), b"a"
            raise VerificationError("stop")

        with pytest.raises(VerificationError):
            store.put_many(breaks())
        with pytest.raises(ZeroDivisionError), store.writing() as connection:
            raise ZeroDivisionError(store.lease(connection))
        store.put(make_cid(RAW, b"b"), b"b")
        assert collected(path).removed_blocks == 0
    assert collected(path).removed_blocks == 1
    assert list(path.with_name(path.name + "-leases").iterdir()) == []


def test_a_damaged_node_that_is_needed_stops_the_collection_before_anything_is_removed(path):
    leaf, loose = put(path, b"leaf", b"loose")
    node = dag_cbor.encode([leaf])
    put(path, node)
    damage(path, node, b"zzzz")
    with pytest.raises(VerificationError, match="does not match") as caught:
        collected(path, make_cid(DAG_CBOR, node))
    assert "store verify" in caught.value.fix
    assert present(path, leaf, loose) == [True, True]


def test_missing_blocks_are_counted_and_what_is_left_of_their_dag_stays(path):
    (leaf,) = put(path, b"leaf")
    absent = make_cid(DAG_CBOR, dag_cbor.encode([1]))
    node = dag_cbor.encode([absent, leaf, CID(bytes([1, RAW, 0x16, 32]) + bytes(32))])
    put(path, node)
    result = collected(path, make_cid(DAG_CBOR, node))
    assert (result.missing, result.removed_blocks) == (1, 0)


def test_a_missing_node_that_arrives_during_the_collection_keeps_what_is_below_it(path):
    (leaf,) = put(path, b"leaf")
    node = dag_cbor.encode([leaf])
    root = make_cid(DAG_CBOR, node)
    with SqliteBlockStore(path) as early, SqliteBlockStore(path) as store:
        early.put(leaf, b"leaf")  # its lease is older than the collection
        with Collection(store, lambda: [root]) as collection:
            collection.begin()
            collection.mark()
            early.put(root, node)
            early.close()
            while collection.sweep():
                pass
    assert present(path, root, leaf) == [True, True]


def test_many_blocks_go_in_several_transactions_and_their_room_is_given_back(path):
    texts = [b"%05d" % n * 1000 for n in range(3 * SWEEP_BLOCKS)]
    put(path, *texts)
    size = path.stat().st_size
    assert collected(path).removed_blocks == len(texts)
    assert path.stat().st_size < size / 10


def test_a_quota_refuses_whole_and_lets_everything_else_happen(path):
    put(path, b"12345")
    with SqliteBlockStore(path) as store:
        store.set_quota(8)
        with pytest.raises(UnavailableError, match="quota of 8 bytes") as caught:
            store.put_many([(make_cid(RAW, b"ab"), b"ab"), (make_cid(RAW, b"cd"), b"cd")])
        assert "store gc" in caught.value.fix
        assert not store.has(make_cid(RAW, b"ab"))
        store.put(make_cid(RAW, b"abc"), b"abc")
        store.put(make_cid(RAW, b"abc"), b"abc")
        store.set_quota(1)
        store.put(make_cid(RAW, b"12345"), b"12345")
        assert (store.usage().bytes, store.usage().quota) == (8, 1)
        store.release()
        collect(store, list, said)
        store.put(make_cid(RAW, b"1"), b"1")
        store.set_quota(None)
        store.put(make_cid(RAW, b"123"), b"123")


def test_a_store_of_the_first_layout_is_opened_and_has_its_sizes(path):
    first = Layout(
        application_id=APPLICATION_ID,
        version=1,
        tables=("CREATE TABLE blocks(digest BLOB PRIMARY KEY NOT NULL, data BLOB NOT NULL)",),
    )
    connection = open_database(path, first)
    digest = make_cid(RAW, b"old")[4:]
    connection.execute("INSERT INTO blocks VALUES(?, ?)", (digest, b"old"))
    connection.close()
    with SqliteBlockStore(path) as one, SqliteBlockStore(path) as two:
        assert one.size() == two.size() == (1, 3)
        assert one.get(make_cid(RAW, b"old")) == b"old"
        two.put(make_cid(RAW, b"new"), b"new")
    assert collected(path, make_cid(RAW, b"old")).removed_blocks == 1


def damage(path, data, other):
    connection = sqlite3.connect(path)
    assert connection.execute("UPDATE blocks SET data = ? WHERE data = ?", (other, data)).rowcount == 1
    connection.commit()
    connection.close()


def test_sizes_follow_a_repair(path):
    (cid,) = put(path, b"right")
    damage(path, b"right", b"wrong, longer")
    with SqliteBlockStore(path) as store:
        assert store.size() == (1, 13)
        store.put(cid, b"right")
        assert store.size() == (1, 5)
    assert cid_text(cid).startswith("bafkrei")
