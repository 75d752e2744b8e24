"""The statement of a merge: one form, bounded, and true only if merging again gives what it names."""

import pytest

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, make_cid
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_import import Importer
from tests.counting_store import CountingBlockStore
from tests.unit.bacalhau.record_nodes import record_node
from verifier import merge_types
from verifier.merge_audit import check_merged
from verifier.merge_types import Merge, MergedShard, MergePart, load_merge, merge_blocks, store_merge
from verifier.model import store_node
from verifier.shard_merge import merge_shards

OUTPUT = make_cid(DAG_CBOR, b"an output")


def records(count):
    return {number: make_cid(DAG_CBOR, b"record %d" % number) for number in range(count)}


def test_it_is_read_as_it_was_made_also_in_parts_and_with_gaps(monkeypatch):
    monkeypatch.setattr(merge_types, "PART_SHARDS", 3)
    store = MemoryBlockStore()
    named = {number: cid for number, cid in records(8).items() if number != 4}
    merge = store_merge(store, OUTPUT, named)
    assert load_merge(store, merge) == (OUTPUT, named)
    assert len(list(merge_blocks(store, merge))) == 4
    assert store_merge(store, OUTPUT, dict(reversed(named.items()))) == merge


def stated(store, *parts):
    """Return a statement of parts as they are given."""
    made = [
        store_node(store, MergePart(shards=tuple(MergedShard(number=n, record=OUTPUT) for n in numbers)))
        for numbers in parts
    ]
    return store_node(store, Merge(output=OUTPUT, parts=tuple(made)))


@pytest.mark.parametrize("parts", [[], [[]], [[1, 0]], [[0, 0]], [[0, 1, 2], [2]], [[0, 1], [2]], [[0, 1, 2], []]])
def test_any_other_form_is_none(parts, monkeypatch):
    monkeypatch.setattr(merge_types, "PART_SHARDS", 3)
    store = MemoryBlockStore()
    with pytest.raises(VerificationError):
        load_merge(store, stated(store, *parts))
    assert load_merge(store, stated(store, [0, 1, 2], [7]))[1].keys() == {0, 1, 2, 7}


@pytest.fixture
def shelf():
    """A store with records of three outputs, of which two wrote into one directory."""
    store = MemoryBlockStore()
    importer = Importer(store)

    def put(number, entries):
        outputs = importer.directory({name: importer.bytes(text) for name, text in entries.items()})
        output = importer.directory({"outputs": importer.directory({"outputs": outputs})}).cid
        data = dag_cbor.encode(record_node(task=make_cid(DAG_CBOR, b"%d" % number), output=output))
        store.put(make_cid(DAG_CBOR, data), data)
        return make_cid(DAG_CBOR, data), output

    made = [put(0, {"a": b"a"}), put(1, {"b": b"b"}), put(2, {"a": b"another"})]
    store.records = {number: record for number, (record, _) in enumerate(made)}
    store.output = merge_shards(store, {number: output for number, (_, output) in enumerate(made)}).output
    return store


def test_it_is_true_only_of_the_merge_of_these_records_under_these_numbers(shelf):
    check_merged(shelf, shelf.output, shelf.records)
    one, two, three = shelf.records.values()
    for other in ({0: two, 1: one, 2: three}, {0: one, 1: two}, {0: one, 1: two, 3: three}):
        with pytest.raises(VerificationError, match="give another one"):
            check_merged(shelf, shelf.output, other)


def test_what_is_not_here_makes_it_unknown_and_not_false(shelf):
    with pytest.raises(UnavailableError):
        check_merged(shelf, shelf.output, {**shelf.records, 5: make_cid(DAG_CBOR, b"gone")})
    with pytest.raises(UnavailableError):
        check_merged(shelf, shelf.output, {})


def test_one_output_under_many_numbers_is_read_once():
    """A part of 250 kB names a directory of 2 MiB 4,096 times."""
    store = CountingBlockStore()
    output = Importer(store).directory({"result": Importer(store).bytes(b"r")}).cid
    merge_shards(store, {0: output})
    once, store.reads = store.reads, 0
    merge_shards(store, dict.fromkeys(range(100), output))
    assert store.reads == once
