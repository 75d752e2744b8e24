"""Checks 21 to 29, and 31 and 32, on a graph of three records, each broken by itself."""

import dataclasses

import pytest

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, make_cid
from tests.vectors.records.world import World, put_unverified
from verifier import graph_audit
from verifier.graph_audit import CHECKS, MORE_CHECKS, audit_graph
from verifier.graph_log import append, sign_head
from verifier.graph_types import Graph, load_graph, make_graph
from verifier.identity import Identity
from verifier.merge_types import store_merge
from verifier.model import Record, load_node, store_node
from verifier.shard_merge import merge_shards

ALICE, BOB = (Identity.from_seed(bytes([number]) * 32) for number in (1, 2))


class Shelf:
    """A published graph, with a place to break it before it is signed and after."""

    def __init__(self, records=None):
        self.world = World(liars=1)
        self.first = self.world.build()
        self.store = self.world.store
        self.records = [self.first] if records is None else records

    def publish(self, *, log=None, records=None, sign=ALICE, **changes):
        made = append(ALICE, self.records if log is None else log, size=0, last=None, at=7)
        self.store.put_many(made.blocks)
        head = sign_head(ALICE, made.leaves, made.entries[-1][0])
        if changes:
            node = {**head.to_node(), **changes}
            head = type(head).from_node(sign.sign(node) if sign else node)
        self.entries = [cid for cid, _ in made.entries]
        self.head = store_node(self.store, head)
        return store_node(
            self.store, Graph(head=self.head, records=tuple(sorted(self.records if records is None else records)))
        )

    def put(self, node):
        data = dag_cbor.encode(node)
        cid = make_cid(DAG_CBOR, data)
        self.store.put(cid, data)
        return cid

    def another(self, **changes):
        """Return a record like the first with other fields."""
        return store_node(self.store, dataclasses.replace(load_node(self.store, self.first, Record), **changes))

    def states(self, root):
        found = audit_graph(self.store, root)
        return found.report.verdict, {check.n: check.ok for check in found.report.checks if check.ok is not True}


def test_a_sound_graph_is_valid():
    shelf = Shelf()
    found = audit_graph(shelf.store, shelf.publish())
    assert (found.report.verdict, [check.n for check in found.report.checks]) == ("valid", list(range(21, 30)))
    assert (found.head.publisher, found.chain.head.size) == (ALICE.peer, 1)
    ((facts, report),) = found.records
    assert (facts.cid, report.verdict) == (shelf.first, "valid")
    said = {check.name: check.detail for check in found.report.checks}
    assert (said["chain"], said["listed"]) == ("1 entry", "1 record; 0 others of the log are not in this graph")
    assert (said["records"], said["disputes"]) == ("1 record passes checks 1 to 13", "1 task, one output each")


def test_numbers_and_names_are_those_of_the_docstring():
    import verifier.graph_audit as module

    listed = [line.split()[:2] for line in (module.__doc__ or "").splitlines() if line[:2].isdigit()]
    numbered = [*enumerate(CHECKS, 21), *enumerate(MORE_CHECKS, 31)]
    assert listed == [[f"{n}.", name] for n, (name, _) in numbered]


def test_what_is_no_graph_is_invalid_and_an_empty_store_unknown():
    shelf = Shelf()
    root = shelf.publish()
    assert shelf.states(shelf.first)[1][21] is False
    report = audit_graph(MemoryBlockStore(), root).report
    assert (report.verdict, {check.ok for check in report.checks}) == ("unchecked", {None})


def test_no_flipped_byte_is_valid_and_no_missing_block_either():
    shelf = Shelf()
    root = shelf.publish()
    for digest, data in list(shelf.store._blocks.items()):
        for position in {0, len(data) // 2, len(data) - 1} if data else ():
            shelf.store._blocks[digest] = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
            verdict = audit_graph(shelf.store, root).report.verdict
            assert verdict == ("valid" if _is_lie(shelf, digest) else "invalid"), data
        del shelf.store._blocks[digest]
        verdict = audit_graph(shelf.store, root).report.verdict
        assert verdict == ("valid" if _is_lie(shelf, digest) else "unchecked"), data
        shelf.store._blocks[digest] = data
    assert audit_graph(shelf.store, root).report.verdict == "valid"


def _is_lie(shelf, digest):
    """Tell whether a block is below the output of the dissenting receipt alone, which need not be here."""
    from verifier.closure import visit_trees

    lie = {visit.cid[-32:] for visit in visit_trees(shelf.store, [shelf.world.outputs[-1]])}
    y = {visit.cid[-32:] for visit in visit_trees(shelf.store, [shelf.world.outputs[0]])}
    return digest in lie - y


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"sign": None, "tree": "00" * 32}, {22: False, 24: False}),
        ({"sign": BOB}, None),
        ({"tree": "00" * 32}, {24: False}),
        ({"size": 2}, {23: False, 24: None, 25: None, 26: None}),
        ({"publisher": BOB.peer, "sign": BOB}, {23: False, 24: None, 25: None, 26: None}),
    ],
)
def test_a_head_that_says_something_else(changes, broken):
    shelf = Shelf()
    if broken is None:
        changes, broken = {"sign": BOB, "size": 1}, {22: False}
    assert shelf.states(shelf.publish(**changes)) == ("invalid", broken)


def test_a_record_that_is_not_in_the_log_or_twice():
    shelf = Shelf()
    other = shelf.another(rule=dataclasses.replace(load_node(shelf.store, shelf.first, Record).rule, replication=2))
    assert shelf.states(shelf.publish(records=[shelf.first, other])) == ("invalid", {25: False})
    assert shelf.states(shelf.publish(log=[shelf.first, shelf.first])) == ("invalid", {25: False})


def test_other_records_of_the_log_need_not_be_here():
    shelf = Shelf()
    nowhere = make_cid(DAG_CBOR, b"nothing")
    found = audit_graph(shelf.store, shelf.publish(log=[nowhere, shelf.first]))
    assert found.report.verdict == "valid"
    assert "1 other of the log is" in next(check.detail for check in found.report.checks if check.n == 25)


def test_a_parent_that_is_left_out_or_published_later():
    shelf = Shelf()
    parent = shelf.first
    child = shelf.another(parents=(parent,))
    # Check 13 of the child is false as well: the parent gave none of its inputs.
    assert shelf.states(shelf.publish(log=[parent, child], records=[child])) == ("invalid", {26: False, 27: False})
    assert shelf.states(shelf.publish(log=[child, parent], records=[child, parent]))[1][26] is False
    assert shelf.states(shelf.publish(log=[parent, child], records=[child, parent])) == ("invalid", {27: False})


def test_an_unsound_record_is_named_with_its_check():
    shelf = Shelf()
    bad = shelf.another(output=shelf.world.outputs[-1])
    shelf.records = [bad]
    found = audit_graph(shelf.store, shelf.publish())
    check = next(check for check in found.report.checks if check.n == 27)
    assert check.ok is False
    assert "check 10 rule" in check.detail


def test_records_that_contradict_each_other_are_false():
    shelf = Shelf()
    other = World(liars=0, store=shelf.store, edits={"output": lambda files: files.update(result=b"a lie")})
    shelf.records = [shelf.first, other.build()]
    assert other.task == shelf.world.task
    verdict, broken = shelf.states(shelf.publish())
    assert (verdict, broken) == ("invalid", {28: False})


def test_an_unverified_record_and_what_rests_on_it_is_unknown():
    shelf = Shelf()
    unverified = put_unverified(shelf.store, load_node(shelf.store, shelf.first, Record).output)
    shelf.records = [shelf.first, unverified]
    assert shelf.states(shelf.publish()) == ("unchecked", {29: None})


def test_what_is_no_record_is_false():
    shelf = Shelf()
    unverified = dag_cbor.decode(shelf.store.get(put_unverified(shelf.store, make_cid(DAG_CBOR, b"x"))))
    for node in (
        {"v": "record/2"},
        {**unverified, "parents": 3},
        {**unverified, "tier": "verified"},
        {**unverified, "task": None},
        [1],
        {"v": 7},
    ):
        shelf.records = [shelf.put(node)]
        assert shelf.states(shelf.publish())[1][27] is False, node


def test_a_graph_without_records_cannot_be_made():
    with pytest.raises(ValueError, match="not empty"):
        Graph(head=make_cid(DAG_CBOR, b"x"), records=())


def annotated(shelf, *, merges=(), rivals=()):
    """Return a root of the shelf's records that says this of them besides."""
    plain = load_graph(shelf.store, shelf.publish())
    return store_node(shelf.store, make_graph(plain.head, plain.records, merges, rivals))


def merge_of(shelf, *records):
    outputs = {number: load_node(shelf.store, record, Record).output for number, record in enumerate(records)}
    return merge_shards(shelf.store, outputs).output


def test_a_root_without_merges_and_rivals_is_what_it_always_was():
    shelf = Shelf()
    assert annotated(shelf) == shelf.publish()


def test_a_merge_is_true_only_if_its_records_are_there_and_merging_gives_it():
    shelf = Shelf()
    true = store_merge(shelf.store, merge_of(shelf, shelf.first), {0: shelf.first})
    assert shelf.states(annotated(shelf, merges=[true])) == ("valid", {})
    other = store_merge(shelf.store, load_node(shelf.store, shelf.first, Record).output, {0: shelf.first})
    moved = store_merge(shelf.store, merge_of(shelf, shelf.first), {1: shelf.first})
    elsewhere = store_merge(shelf.store, merge_of(shelf, shelf.first), {0: shelf.another(dissent=())})
    for false in (other, moved, elsewhere, shelf.first):
        assert shelf.states(annotated(shelf, merges=[false])) == ("invalid", {31: False})
    gone = make_cid(DAG_CBOR, b"gone")
    assert shelf.states(annotated(shelf, merges=[true, gone])) == ("unchecked", {31: None})


@pytest.mark.parametrize("true", [True, False])
def test_all_merges_of_a_root_together_are_bounded(monkeypatch, true):
    """A statement is a hundred bytes, and so many trees of two million entries are days of work."""
    shelf = Shelf()
    output = merge_of(shelf, shelf.first) if true else load_node(shelf.store, shelf.first, Record).output
    merges = [store_merge(shelf.store, output, {0: shelf.first})]
    merges += [
        store_merge(shelf.store, make_cid(DAG_CBOR, b"%d" % number), {0: shelf.first}) for number in range(2, 300)
    ]
    looked = []
    whole = graph_audit.load_merge
    monkeypatch.setattr(graph_audit, "load_merge", lambda *args: looked.append(args) or whole(*args))
    monkeypatch.setattr(graph_audit, "MAX_MERGED", 12)
    check = next(one for one in audit_graph(shelf.store, annotated(shelf, merges=merges)).report.checks if one.n == 31)
    assert 1 < len(looked) <= 12
    assert check.ok is False
    monkeypatch.setattr(graph_audit, "MAX_MERGED", 0)
    assert shelf.states(annotated(shelf, merges=merges)) == ("unchecked", {31: None})


def test_statements_that_are_false_before_they_are_merged_are_bounded_too(monkeypatch):
    shelf = Shelf()
    gone = [make_cid(DAG_CBOR, b"gone %d" % number) for number in range(9)]
    strays = [store_merge(shelf.store, shelf.first, {0: record, 1: record}) for record in gone]
    monkeypatch.setattr(graph_audit, "MAX_MERGED", 4)
    report = audit_graph(shelf.store, annotated(shelf, merges=strays)).report
    check = next(one for one in report.checks if one.n == 31)
    assert check.ok is False
    assert check.detail.count("is of a record that is not in this graph") == 2


def test_a_rival_is_told_of_and_not_claimed():
    shelf = Shelf()
    other = World(liars=0, store=shelf.store, edits={"output": lambda files: files.update(result=b"a lie")})
    rival = other.build()
    assert shelf.states(annotated(shelf, rivals=[rival])) == ("unchecked", {28: None})
    found = audit_graph(shelf.store, annotated(shelf, rivals=[rival]))
    assert [(facts.cid, report.verdict) for facts, report in found.rivals] == [(rival, "valid")]
    assert rival not in {facts.cid for facts, _ in found.records}
    # Only what contradicts, and has sound evidence, is one.
    unsound = store_node(
        shelf.store, dataclasses.replace(load_node(shelf.store, rival, Record), commitments=make_cid(DAG_CBOR, b"x"))
    )
    for no_rival, ok in ((shelf.first, False), (shelf.another(dissent=()), False), (unsound, None)):
        assert shelf.states(annotated(shelf, rivals=[no_rival]))[1][32] is ok
