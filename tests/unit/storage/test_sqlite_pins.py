import sqlite3

import pytest

from storage import dag_cbor
from storage.cid import DAG_CBOR, RAW, cid_text, make_cid
from storage.errors import UnavailableError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_collection import collect
from storage.sqlite_pins import Pin, hold, pin, pins, unpin
from storage.unixfs_import import Importer


def named(name, cid, profile=None):
    return Pin(name=name, cid=cid, profile=profile, created_at=1.5)


@pytest.fixture
def store(tmp_path):
    with SqliteBlockStore(tmp_path / "blocks.sqlite") as opened:
        yield opened


def test_pins_are_named_listed_moved_and_removed(store, tmp_path):
    a, b = (Importer(store).bytes(text).cid for text in (b"a", b"b"))
    pin(store, named("data", a, "unixfs-v1-2025"))
    pin(store, named("also", a))
    pin(store, named("data", b))
    with SqliteBlockStore(tmp_path / "blocks.sqlite") as other:
        assert pins(other) == [named("also", a), named("data", b)]
        assert unpin(other, "also").cid == a
    assert [one.name for one in pins(store)] == ["data"]
    with pytest.raises(UserError, match="no pin of this name"):
        unpin(store, "also")


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[2J", "x" * 1025])
def test_a_name_that_cannot_be_shown_is_refused(store, name):
    with pytest.raises(UserError, match="no name for a pin"):
        pin(store, named(name, Importer(store).bytes(b"a").cid))


def test_only_a_whole_dag_is_pinned_or_held(store):
    leaf = make_cid(RAW, b"leaf")
    node = dag_cbor.encode({"leaf": leaf})
    root = make_cid(DAG_CBOR, node)
    for missing in (root, leaf):
        for keep in (lambda: pin(store, named("x", root)), lambda: hold(store, root)):
            with pytest.raises(UnavailableError) as caught:
                keep()
            assert caught.value.where == cid_text(missing)
        store.put(root, node)
    assert pins(store) == []
    store.put(leaf, b"leaf")
    pin(store, named("x", root))


def test_a_damaged_node_is_not_pinned(store, tmp_path):
    root = Importer(store).directory({"a": Importer(store).bytes(b"a")}).cid
    other = sqlite3.connect(tmp_path / "blocks.sqlite")
    other.execute("UPDATE blocks SET data = x'00'")
    other.commit()
    other.close()
    with pytest.raises(VerificationError, match="does not match"):
        pin(store, named("x", root))
    assert pins(store) == []


def test_what_is_held_and_whole_is_not_walked_again(tmp_path):
    read = []

    class Watched(SqliteBlockStore):
        def get(self, cid):
            read.append(cid)
            return super().get(cid)

        def has(self, cid):
            read.append(cid)
            return super().has(cid)

    with Watched(tmp_path / "blocks.sqlite") as store:
        leaf = Importer(store).bytes(b"leaf")
        tree = Importer(store).directory({"a": leaf}).cid
        node = dag_cbor.encode({"input": tree})
        task = make_cid(DAG_CBOR, node)
        store.put(task, node)
        hold(store, tree)
        assert read == [tree, leaf.cid]
        hold(store, task)
        hold(store, task)
        assert read == [tree, leaf.cid, task]
        # Without the lease nothing is held any more, so all of it has to be looked at.
        read.clear()
        store.release()
        with SqliteBlockStore(tmp_path / "blocks.sqlite") as other:
            collect(other, list, lambda _phrase: None)
        with pytest.raises(UnavailableError):
            hold(store, task)
        assert read == [task]
