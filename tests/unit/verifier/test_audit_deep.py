import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, RAW, make_cid
from storage.errors import UnavailableError
from tests.vectors.audit.lineages import Line
from tests.vectors.records.world import put_unverified
from verifier import ancestry
from verifier.ancestry import walk_ancestors
from verifier.audit import audit_record
from verifier.audit_deep import audit_ancestors
from verifier.audit_sample import Sample, parse_part
from verifier.graph_reading import RecordFacts


def stored(blocks):
    store = MemoryBlockStore()
    store.put_many(blocks.items())
    return store


@pytest.fixture
def line():
    record, blocks = Line().build()
    return record, stored(blocks)


def bare(store, parents=(), mark=0):
    """Put a record that needs nothing but its way; mark: what makes it another one."""
    return put_unverified(store, OUTPUT, parents, task=make_cid(RAW, b"%d" % mark))


OUTPUT = make_cid(DAG_CBOR, b"\xa0")


def audit_with(store):
    return lambda cid, _: audit_record(store, cid)


def test_parents_and_theirs_are_audited(line):
    record, store = line
    seen = []

    def audit(cid, is_chosen):
        seen.append(cid)
        assert is_chosen
        return audit_record(store, cid)

    report = audit_ancestors(store, [record], record, audit)
    assert [check.ok for check in report.checks] == [True]
    assert (report.counts["valid"], report.generations, len(seen)) == (2, 2, 2)
    assert record not in seen


def test_each_ancestor_is_met_once_however_many_ways_lead_to_it():
    store = MemoryBlockStore()
    oldest = bare(store)
    level = [bare(store, [oldest], mark) for mark in range(5)]
    for generation in range(8):
        level = [bare(store, level, 10 * generation + mark) for mark in range(5)]
    steps = list(walk_ancestors(store, level))
    assert len(steps) == len({step.cid for step in steps}) == 5 * 8 + 1
    assert max(step.generation for step in steps) == 9


def test_a_walk_is_bounded_in_number_and_depth(monkeypatch):
    store = MemoryBlockStore()
    chain = [bare(store)]
    for mark in range(20):
        chain.append(bare(store, chain[-1:], mark))
    for name, bound in (("MAX_ANCESTORS", 5), ("MAX_GENERATIONS", 5)):
        with monkeypatch.context() as patch:
            patch.setattr(ancestry, name, bound)
            steps = list(walk_ancestors(store, chain[-1:]))
            assert [isinstance(step.found, RecordFacts) for step in steps] == [True] * 5 + [False]
            assert isinstance(steps[-1].found, UnavailableError)
            report = audit_ancestors(store, chain[-1:], chain[-1], audit_with(store))
            assert report.checks[0].ok is None
            assert "was not looked at" in report.listed[-1].reason


def test_a_record_that_is_not_here_leaves_it_unknown():
    report = audit_ancestors(MemoryBlockStore(), [OUTPUT], OUTPUT, audit_with(MemoryBlockStore()))
    assert [(check.n, check.ok) for check in report.checks] == [(17, None)]


def test_what_is_left_out_of_a_sample_leaves_it_unknown(line):
    record, store = line
    half = Sample(part=parse_part("50%"), seed=bytes(32))
    report = audit_ancestors(store, [record], record, audit_with(store), half)
    assert [(check.n, check.ok) for check in report.checks] == [(17, True), (18, None)]
    assert bytes(32).hex() in report.checks[1].detail
    assert report.counts["valid"] == 1
    everything = audit_ancestors(
        store, [record], record, audit_with(store), Sample(part=parse_part("100%"), seed=bytes(32))
    )
    assert [(check.n, check.ok) for check in everything.checks] == [(17, True), (18, True)]


def test_what_cannot_be_read_does_not_hide_behind_a_sample():
    store = MemoryBlockStore()
    gone = make_cid(DAG_CBOR, b"\xa1")
    parents = [bare(store, mark=mark) for mark in range(50)]
    record = bare(store, [*parents, gone], 99)
    small = Sample(part=parse_part("1%"), seed=bytes(32))
    report = audit_ancestors(store, [record], record, audit_with(store), small)
    assert gone in [one.record for one in report.listed]
