"""The graph that the pages draw: how its records stand is what `graph show` says of them."""

import pytest

from bacalhau.web.graph_view import graph_view
from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, cid_text, make_cid
from tests.unit.bacalhau.record_nodes import record_node

TASK = make_cid(DAG_CBOR, b"task")


@pytest.fixture
def put():
    """A store, and how to put a record there."""
    store = MemoryBlockStore()

    def record(number, *, task=TASK, tier="verified", dissent=(), parents=()):
        output = make_cid(DAG_CBOR, b"output %d" % number)
        data = dag_cbor.encode(record_node(task=task, output=output, tier=tier, dissent=dissent, parents=parents))
        cid = make_cid(DAG_CBOR, data)
        store.put(cid, data)
        return cid

    record.store = store
    return record


def standings(put, *records):
    nodes = graph_view(put.store, records)["nodes"]
    return {one["cid"]: list(words(one)) for one in nodes}


def words(one):
    if one["tainted"]:
        yield "tainted"
    if one["disputed"]:
        yield "disputed"
    if one["tainted"] is None:
        yield "unknown"


def other(number):
    return make_cid(DAG_CBOR, b"another task %d" % number)


def test_records_that_contradict_each_other_are_disputed_and_so_is_what_comes_of_them(put):
    one, two = put(1), put(2)
    child = put(3, task=other(3), parents=[one])
    alone = put(4, task=other(4))
    found = standings(put, child, two, alone)
    assert [found[cid_text(cid)] for cid in (one, two, child, alone)] == [["disputed"]] * 3 + [[]]


def test_a_receipt_that_dissents_and_a_record_of_another_tier_dispute_nothing(put):
    settled = put(1, dissent=[other(9)])
    unverified = put(2, tier="unverified")
    found = standings(put, settled, unverified)
    assert (found[cid_text(settled)], found[cid_text(unverified)]) == ([], ["tainted"])


def test_what_comes_of_a_record_that_is_not_here_is_unknown(put):
    child = put(1, parents=[other(9)])
    grandchild = put(2, task=other(2), parents=[child])
    found = standings(put, grandchild)
    assert [found[cid_text(cid)] for cid in (child, grandchild)] == [["unknown"]] * 2


def test_what_comes_of_a_record_that_is_not_drawn_is_unknown(put):
    parent = put(1)
    child = put(2, task=other(2), parents=[parent])
    found = graph_view(put.store, [child], limit=1)
    assert [(one["cid"], one["tainted"]) for one in found["nodes"]] == [(cid_text(child), None)]
    assert found["more"]
