import random
import sqlite3
from collections import defaultdict
from contextlib import closing

import pytest

from bacalhau.graph_view import ancestry, dependents_of, producers_of, standing_of
from bench.lineage_rows import cid_of, filed_records, fill
from network.datastore_file import LAYOUT
from network.job_store import JobStore
from network.lineage_index import Filer
from network.lineage_store import QUESTIONS, Filed, LineageRow, LineageStore, Part
from network.result_store import Nodes, ResultStore
from storage.blocks import MemoryBlockStore
from storage.errors import UnavailableError


@pytest.fixture
def lineage(tmp_path):
    with LineageStore(tmp_path / "d.sqlite") as store:
        yield store


def row(number, *, tier="verified", task=None, output=None, dissent=0):
    return LineageRow(
        record=cid_of("record", number),
        tier=tier,
        task=cid_of("task", number if task is None else task),
        function=cid_of("function", 0),
        input=cid_of("input", number),
        output=cid_of("output", number if output is None else output),
        receipts=3,
        dissent=dissent,
    )


def filed(number, *parents, parts=(), **more):
    return Filed(row=row(number, **more), parents=tuple(cid_of("record", one) for one in parents), parts=tuple(parts))


def record(number):
    return cid_of("record", number)


@pytest.mark.parametrize("sql", QUESTIONS)
def test_no_question_reads_a_whole_table(lineage, tmp_path, sql):
    with closing(sqlite3.connect(tmp_path / "d.sqlite")) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", [1] * sql.count("?"))]
    tables = ("lineage", "lineage_parents", "lineage_parts", "other", "edge", "one", "two")
    scans = [line for line in plan if line.startswith("SCAN") and line.split()[1] in tables]
    assert scans == [], plan
    assert any("INDEX" in line or "PRIMARY KEY" in line for line in plan)


def test_answers_are_those_of_a_walk_in_memory(lineage):
    count = 400
    fill(lineage, count)
    parents, children = {}, defaultdict(set)
    for one in filed_records(count):
        parents[one.row.record] = set(one.parents)
        for parent in one.parents:
            children[parent].add(one.row.record)
    drawn = random.Random(7)
    for number in drawn.sample(range(count), 12):
        cid = record(number)
        above, below = _reached(cid, parents), _reached(cid, children)
        found = ancestry([cid], lineage, limit=1000)
        assert set(found.nodes) == above
        assert not found.is_cut
        assert standing_of(cid, lineage).looked_at == len(above)
        found = dependents_of(cid, lineage, limit=1000)
        assert {*found.direct, *found.further} == below - {cid}
        assert set(found.direct) == children[cid]
        assert not found.is_cut


def _reached(start, edges):
    seen, todo = {start}, [start]
    while todo:
        fresh = set(edges.get(todo.pop(), ())) - seen
        seen |= fresh
        todo += fresh
    return seen


def test_a_cycle_ends_and_a_deep_graph_is_cut(lineage):
    lineage.file([filed(0, 2), filed(1, 0), filed(2, 1)])
    assert set(ancestry([record(0)], lineage).nodes) == {record(0), record(1), record(2)}
    assert standing_of(record(0), lineage).looked_at == 3
    assert set(dependents_of(record(0), lineage).direct) == {record(1)}
    lineage.file([filed(100, *())] + [filed(number, number - 1) for number in range(101, 1500)])
    cut = standing_of(record(1499), lineage, limit=1000)
    assert (cut.is_cut, cut.looked_at, cut.word) == (True, 1000, "unknown")
    assert standing_of(record(1499), lineage).word == "verified"
    assert standing_of(record(1499), lineage).looked_at == 1400
    assert ancestry([record(1499)], lineage, limit=50).is_cut
    many = dependents_of(record(100), lineage, limit=700)
    assert (len(many.direct) + len(many.further), many.is_cut) == (700, True)


def test_many_children_and_many_seeds(lineage):
    lineage.file([filed(0)] + [filed(number, 0) for number in range(1, 1200)])
    found = dependents_of(record(0), lineage, limit=2000)
    assert (len(found.direct), found.is_cut) == (1199, False)
    found = dependents_of(record(0), lineage, limit=1000)
    assert (len(found.direct), found.is_cut) == (1000, True)


def test_taint_dispute_and_dissent_flow_down_and_what_is_missing_is_unknown(lineage):
    lineage.file([filed(0, tier="unverified"), filed(1, 0), filed(2, 1)])
    lineage.file([filed(3, task=9), filed(4, task=9, output=99), filed(5, 3), filed(6, dissent=1), filed(7, 6)])
    lineage.file([filed(8, 1000)])
    standing = {number: standing_of(record(number), lineage) for number in range(9)}
    assert [standing[number].word for number in range(9)] == [
        "tainted", "tainted", "tainted", "disputed", "disputed", "disputed", "verified", "verified", "unknown",
    ]  # fmt: skip
    assert standing[2].tainted_by == (record(0),)
    assert standing[5].disputed_by == (record(3),)
    assert standing[7].dissent_in == (record(6),)
    assert standing[8].missing == (record(1000),)


def test_unverified_records_dispute_nothing(lineage):
    lineage.file([filed(0, task=9), filed(1, task=9, tier="unverified"), filed(2, task=8), filed(3, task=8, output=2)])
    assert standing_of(record(0), lineage).word == "verified"
    assert standing_of(record(2), lineage).word == "verified"  # the same output


def test_parts_lead_to_those_that_use_them(lineage):
    wheel = Part(owner=cid_of("function", 0), role="wheel", path="a.whl", cid=cid_of("wheel", 0))
    data = Part(owner=cid_of("input", 1), role="data", path="", cid=cid_of("data", 5))
    inside = Part(owner=cid_of("data", 5), role="entry", path="a/b", cid=cid_of("data", 6))
    made = Part(owner=cid_of("output", 1), role="entry", path="result", cid=cid_of("data", 7))
    lineage.file([filed(1, parts=(wheel, data, inside, made))])
    for part in (wheel.cid, data.cid, inside.cid):
        assert dependents_of(part, lineage).direct == (record(1),)
    assert dependents_of(made.cid, lineage).direct == ()
    assert producers_of(made.cid, lineage) == [record(1)]
    assert producers_of(inside.cid, lineage) == []


def test_whoever_keeps_a_record_leaves_a_note(tmp_path):
    path = tmp_path / "d.sqlite"
    with ResultStore(path) as results, LineageStore(path) as lineage:
        results.add(cid_of("task", 0), record(0), nodes=Nodes.NETWORK, at=1.0)
        results.add(cid_of("task", 0), record(0), nodes=Nodes.NETWORK, at=1.0)
        assert lineage.pending(10) == [record(0)]
        lineage.file([filed(0)])
        assert lineage.pending(10) == []
        lineage.file([], done=[record(0)])
        assert lineage.record(record(0)).merged is False


def test_a_database_of_before_is_taken_up(tmp_path):
    path = tmp_path / "d.sqlite"
    old = LAYOUT.tables[: LAYOUT.tables.index(next(one for one in LAYOUT.tables if "TABLE lineage(" in one))]
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in (*old, f"PRAGMA application_id = {LAYOUT.application_id}", "PRAGMA user_version = 4"):
            connection.execute(statement)
        connection.execute("INSERT INTO results VALUES(?, ?, 'embedded', 1.0)", (cid_of("task", 0), record(0)))
    with LineageStore(path) as lineage, JobStore(path) as jobs:
        assert lineage.pending(10) == [record(0)]
        assert jobs.newest(10) == []


class Failing(MemoryBlockStore):
    """Cannot be read."""

    def get(self, cid):
        raise UnavailableError("the disk is gone", where="store")


def test_what_cannot_be_read_now_stays_to_be_filed(lineage, tmp_path):
    with ResultStore(tmp_path / "d.sqlite") as results:
        results.add(cid_of("task", 1), record(1), nodes=Nodes.EMBEDDED, at=1.0)
    with pytest.raises(UnavailableError, match="the disk is gone"):
        Filer(Failing(), lineage).catch_up()
    assert lineage.pending(2) == [record(1)]
    assert Filer(MemoryBlockStore(), lineage).catch_up() == 1
    assert lineage.pending(2) == [], "of what is not there nothing is known but its CID"
