"""Which records gave something of a content: what a shard, or what runs over a merged output, names as parents."""

import pytest

from runtime import content_givers
from runtime.content_givers import ContentGivers
from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, make_cid
from storage.errors import UserError
from storage.unixfs_import import Importer
from tests.unit.bacalhau.record_nodes import record_node


class Shelf:
    def __init__(self):
        self.store = MemoryBlockStore()
        self.importer = Importer(self.store)

    def bytes(self, text):
        return self.importer.bytes(text)

    def directory(self, **entries):
        return self.importer.directory(entries)

    def record(self, output):
        data = dag_cbor.encode(record_node(task=make_cid(DAG_CBOR, bytes(output.cid)), output=output.cid))
        cid = make_cid(DAG_CBOR, data)
        self.store.put(cid, data)
        return cid


@pytest.fixture
def shelf():
    return Shelf()


def test_who_gave_the_whole_gave_each_part_and_is_not_looked_into(shelf):
    data = shelf.directory(a=shelf.bytes(b"a"), b=shelf.bytes(b"b"))
    exact, around = shelf.record(data), shelf.record(shelf.directory(outputs=data))
    part = shelf.directory(b=shelf.bytes(b"b")).cid
    givers = ContentGivers(shelf.store, [exact, around], whole=data.cid)
    assert givers.of(part) == tuple(sorted((exact, around)))
    assert givers.look() == {}


def test_only_who_gave_something_of_it_is_named(shelf):
    one = shelf.record(shelf.directory(x=shelf.directory(a=shelf.bytes(b"a"))))
    two = shelf.record(shelf.directory(y=shelf.bytes(b"b")))
    three = shelf.record(shelf.directory(z=shelf.bytes(b"c")))
    givers = ContentGivers(shelf.store, [one, two, three])
    put_together = shelf.directory(here=shelf.directory(a=shelf.bytes(b"a")), there=shelf.bytes(b"b"))
    assert givers.of(put_together.cid) == tuple(sorted((one, two)))
    assert givers.of(shelf.bytes(b"c").cid) == (three,)
    assert givers.of(shelf.bytes(b"somebody else's").cid) == ()


def test_of_two_that_gave_the_same_both_are_named(shelf):
    one, two = (shelf.record(shelf.directory(**{name: shelf.bytes(b"same")})) for name in "ab")
    assert ContentGivers(shelf.store, [one, two]).of(shelf.bytes(b"same").cid) == tuple(sorted((one, two)))


def test_what_is_empty_tells_only_where_nothing_else_does(shelf):
    empty = shelf.bytes(b"")
    one = shelf.record(shelf.directory(stderr=empty, a=shelf.bytes(b"a")))
    two = shelf.record(shelf.directory(stderr=empty))
    givers = ContentGivers(shelf.store, [one, two])
    assert givers.of(shelf.directory(a=shelf.bytes(b"a"), stderr=empty).cid) == (one,)
    assert givers.of(shelf.directory(nothing=empty).cid) == tuple(sorted((one, two)))


def test_a_record_or_an_output_that_is_not_here_gave_nothing(shelf):
    gone = make_cid(DAG_CBOR, b"gone")
    elsewhere = Shelf()
    far = elsewhere.record(elsewhere.directory(a=elsewhere.bytes(b"a")))
    shelf.store.put(far, elsewhere.store.get(far))
    near = shelf.record(shelf.directory(a=shelf.bytes(b"a")))
    assert ContentGivers(shelf.store, [gone, far, near]).of(shelf.bytes(b"a").cid) == (near,)


def test_too_much_is_refused_before_anything_runs(shelf, monkeypatch):
    monkeypatch.setattr(content_givers, "MAX_CONTENTS", 3)
    record = shelf.record(shelf.directory(**{name: shelf.bytes(name.encode()) for name in "abcd"}))
    with pytest.raises(UserError, match="more than 3 entries"):
        ContentGivers(shelf.store, [record]).look()
