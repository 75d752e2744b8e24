"""Statements of merges that are false, brought from another node over a network of memory.

Everything about them is sound but what they say: records, signatures, the publisher's log. So merging again tells. What
a node elsewhere says of a job that it ran is in `test_calls_on_node`.
"""

import pytest
import trio

from bacalhau.home import Home
from bacalhau.publishing import publisher_of
from network.node.peer_source import PeerSource
from network.transport_memory import MemoryNetwork
from storage.cid import cid_text, parse_cid
from storage.unixfs_read import UnixfsReader
from tests.unit.bacalhau.fakes import Gave
from tests.unit.network.node.offers import on_real_time
from tests.unit.network.transport_world import Echo
from tests.vectors.records.world import identity
from verifier.merge_types import store_merge

FORGED = {
    "wrong output": lambda mine, theirs: (mine.shards[0], mine.records),
    "shard missing": lambda mine, theirs: (mine.output, mine.records[:-1]),
    "of another job": lambda mine, theirs: (mine.output, theirs.records),
}


class Job:
    """What a job over shards gave."""

    def __init__(self, report):
        self.output = parse_cid(report["output"])
        self.records = [parse_cid(shard["record"]) for shard in report["shards"]]
        self.shards = [parse_cid(shard["output"]) for shard in report["shards"]]


@pytest.fixture
def jobs(desk, tmp_path):
    """Two jobs of the node that will lie."""

    def behave(number, plan, store):
        names = [name for name, _ in UnixfsReader(store).entries(plan.input.data)]
        return Gave(outputs={name: name.upper().encode() for name in names})

    desk.engine.behave = behave
    (tmp_path / "f.py").write_text("def main(data): pass\n")
    for folder, names in (("mine", "abc"), ("theirs", "xyz")):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text(name)
    run = ("run", "python", "f.py", "--sharding-glob-pattern", "/*", "--json", "-i")
    return [Job(desk(*run, folder).json) for folder in ("mine", "theirs")]


@pytest.fixture
def other(desk, tmp_path):
    """The home of whoever is lied to."""
    return type(desk)(home=Home(tmp_path / "other"), engine=desk.engine, read_output=desk.read_output)


def forge(desk, jobs, output, records):
    """Return a statement, and the root of a graph, sound and signed, that has it with the records of both jobs."""
    with desk.store() as store, desk.services().open_published() as logs:
        statement = store_merge(store, output, dict(enumerate(records)))
        listed = [record for job in jobs for record in job.records]
        made = logs.publish(publisher_of(desk.services()), listed, store, at=1.0, merges=[statement])
    return statement, made.root


def bring(desk, other, *roots):
    """Have the other's node ask the forger's for what is below these, block by block."""

    @on_real_time
    async def pulled():
        network, (ours, theirs) = MemoryNetwork(), (identity(number) for number in (1, 2))
        with desk.store() as there, other.store() as here:
            async with network.join(theirs, Echo(), there), network.join(ours, Echo(), here) as transport:
                await network.connect(ours.peer, theirs.peer)
                for root in roots:
                    source = PeerSource(transport, theirs.peer, max_bytes=1 << 30, max_s=60.0)
                    here.put_many(await trio.to_thread.run_sync(lambda one=source, cid=root: list(one.dag(cid))))

    pulled()


@pytest.mark.parametrize("how", FORGED)
def test_a_graph_with_a_false_statement_is_not_merged(desk, other, jobs, how):
    _, root = forge(desk, jobs, *FORGED[how](*jobs))
    bring(desk, other, root)
    said = other("graph", "merge", cid_text(root))
    assert (said.code, said.out) == (1, b"")
    (line,) = [line for line in said.err.splitlines() if "check 31 merges: " in line]
    assert line == said.err.splitlines()[-1]
    assert "the outputs of the shards give another one" in line
    assert cid_text(root) in line
    for job in jobs:
        assert other("graph", "why", cid_text(job.output), "--json").json["roots"] == [], "nothing was taken"
    with other.services().open_lineage() as lineage:
        assert [lineage.record(record) for job in jobs for record in job.records] == [None] * 6


def test_the_same_graph_with_a_true_statement_is_merged(desk, other, jobs):
    mine, _ = jobs
    _, root = forge(desk, jobs, mine.output, mine.records)
    bring(desk, other, root)
    (merged,) = other("graph", "merge", cid_text(root), "--json").json["merged"]
    assert (merged["new"], merged["merges"]) == (6, 1)
    found = other("graph", "why", cid_text(mine.output), "--json").json
    assert [*map(parse_cid, found["roots"])] == mine.records


@pytest.mark.parametrize("how", FORGED)
def test_a_false_statement_alone_is_not_shown_nor_published_and_its_audit_is_false(desk, other, jobs, how):
    statement, _ = forge(desk, jobs, *FORGED[how](*jobs))
    bring(desk, other, statement)
    for command in (("graph", "why"), ("graph", "show"), ("publish", "--to", "car:x.car")):
        said = other(*command, cid_text(statement))
        assert (said.code, said.out) == (1, b"")
        assert "the outputs of the shards give another one" in said.err
    audit = other("audit", cid_text(statement), "--json")
    assert audit.code == 1
    assert [check["n"] for check in audit.json["checks"] if check["ok"] is False] == [16]
