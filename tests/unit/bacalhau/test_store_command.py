import json
import sqlite3
import time
from dataclasses import replace

import pytest

from bacalhau.kept_roots import JobRoots
from network.job_shards import JobShard
from network.messages import Demand
from network.node.datastore import JobState, Machine, Move, Put, Submission, Submit
from network.node.outcome import Outcome, write_outcome
from network.node_state import MadeEntry, NodeEntry
from network.requester_entries import write
from network.result_store import Nodes
from storage import dag_cbor
from storage.cid import DAG_CBOR, cid_text, make_cid, parse_cid
from storage.sqlite_block_store import SqliteBlockStore
from tests.vectors.records.world import identity
from verifier.compare import make_rule
from verifier.model import EngineInfo


@pytest.fixture
def store_path(desk):
    return desk.home.store_path


def add(desk, content, *flags):
    return desk("add", desk.file(content), *flags).text.strip()


def damage(path, data, other):
    connection = sqlite3.connect(path)
    assert connection.execute("UPDATE blocks SET data = ? WHERE data = ?", (other, data)).rowcount == 1
    connection.commit()
    connection.close()


def test_what_is_added_is_pinned_with_its_profile_and_goes_when_it_is_unpinned(desk):
    cid = add(desk, b"one", "--name", "first")
    assert desk("store", "pins", "--json").json == {
        "name": "first",
        "cid": cid,
        "created_at": desk("store", "pins", "--json").json["created_at"],
        "profile": "unixfs-v1-2025",
    }
    assert desk("store", "gc", "--json").json["removed_blocks"] == 0
    assert desk("store", "unpin", "first").text.strip() == cid
    assert desk("store", "gc", "--json").json["removed_blocks"] == 1
    assert desk("cat", cid).code == 4
    assert desk("store", "unpin", "first").code == 2


def test_what_is_added_without_a_pin_goes_unless_it_is_pinned_later(desk):
    kept, gone = add(desk, b"kept", "--no-pin"), add(desk, b"gone", "--no-pin")
    assert desk("store", "pin", kept).text.strip() == kept
    assert desk("store", "gc").code == 0
    assert (desk("cat", kept).code, desk("cat", gone).code) == (0, 4)
    assert desk("store", "pin", gone).code == 4
    assert desk("add", desk.file(b"x"), "--no-pin", "--name", "x").code == 2


def test_a_dry_run_of_gc_says_what_goes_and_removes_nothing(desk):
    gone = add(desk, b"gone", "--no-pin")
    add(desk, b"kept")
    with desk.services().open_results() as results:
        results.add(make_cid(DAG_CBOR, b"task"), parse_cid(gone), nodes=Nodes.EMBEDDED, at=0)
    counts = {"removed_blocks": 1, "removed_bytes": 4, "kept_blocks": 1, "kept_bytes": 4, "missing": 0}
    assert desk("store", "gc", "--dry-run", "--json").json == {**counts, "dry_run": True}
    assert desk("store", "gc", "--dry-run").text == "would remove 1 block, 4 bytes\nwould keep   1 block, 4 bytes\n"
    with desk.services().open_results() as results:
        assert results.since(0) == [parse_cid(gone)]
    assert desk("cat", gone).out == b"gone"
    assert desk("store", "gc", "--json").json == {**counts, "dry_run": False}
    assert desk("cat", gone).code == 4


def test_a_job_keeps_its_input_output_and_record(desk):
    cid = add(desk, b"input", "--no-pin")
    report = desk("run", "python", "-c", "pass", "-i", cid, "--json").json
    add(desk, b"loose", "--no-pin")
    assert desk("store", "gc", "--json").json["removed_blocks"] == 1
    assert desk("cat", cid).out == b"input"
    assert desk("audit", report["record"]).code == 0


def test_roots_of_jobs_are_read_again_only_when_there_are_new_ones(desk, monkeypatch):
    first = desk("run", "python", "-c", "pass", "--json").json
    services = desk.services()
    with desk.jobs() as jobs, services.open_datastore() as datastore, services.open_results() as results:
        roots = JobRoots(jobs, datastore, results, since=0)
        assert {parse_cid(first[key]) for key in ("task", "function", "input", "output", "record")} <= set(roots())
        assert {parse_cid(receipt["output"]) for receipt in first["receipts"]} <= set(roots())
        again = desk("run", "python", "-c", "1", "--json").json
        assert parse_cid(again["task"]) in roots()
        monkeypatch.setattr(jobs, "newest", None)
        assert parse_cid(again["task"]) in roots()


@pytest.mark.parametrize("version", ["node-entry/1", "node-entry/2", "node-entry/3"])
def test_what_a_node_of_an_earlier_release_has_under_way_is_kept(desk, version):
    task = parse_cid(add(desk, b"task", "--no-pin"))
    entry = NodeEntry(
        requester=identity(0).peer, session="cd" * 32, task=task, stage="queued", reason=None, made=None, receipt=None,
        demand=Demand(cpu_milli=1000, memory=1, disk=0, gpus=0),
    )  # fmt: skip
    newer = {"node-entry/1": ("statement", "resumes"), "node-entry/2": ("resumes",), "node-entry/3": ()}[version]
    node = dag_cbor.decode(write(entry))
    value = dag_cbor.encode({key: value for key, value in node.items() if key not in newer} | {"v": version})
    with desk.services().open_datastore() as datastore:
        datastore.commit([Put(machine=Machine.COMPUTE, key="node/" + "cd" * 32, value=value)])
    assert desk("store", "gc", "--json").json["removed_blocks"] == 0


@pytest.mark.parametrize(("days", "removed"), [(29, 0), (31, 1)])
def test_what_was_verified_lately_is_kept_without_a_job(desk, days, removed):
    record = parse_cid(add(desk, b"record", "--no-pin"))
    with desk.services().open_results() as results:
        results.add(make_cid(DAG_CBOR, b"task"), record, nodes=Nodes.EMBEDDED, at=time.time() - days * 86_400)
    assert desk("store", "gc", "--json").json["removed_blocks"] == removed
    with desk.services().open_results() as results:
        assert len(results.since(0)) == 1 - removed


def test_a_job_keeps_the_records_of_its_shards(desk):
    task, output, record = (parse_cid(add(desk, text, "--no-pin")) for text in (b"task", b"output", b"record"))
    first = desk("run", "python", "-c", "pass", "--json").json
    with desk.jobs() as jobs:
        shard = JobShard(number=0, task=task, output=output, record=record, verdict="agreed", exit_code=0)
        jobs.add(replace(jobs.find(first["job"]), id="ab" * 16, task=None, shards=(shard,)))
    assert desk("store", "gc", "--json").json["removed_blocks"] == 0


def test_what_a_node_has_under_way_is_kept(desk):
    names = (b"task", b"parent", b"list", b"receipt", b"output", b"lone")
    task, parent, closed, receipt, output, lone = (parse_cid(add(desk, text, "--no-pin")) for text in names)
    rule = make_rule()
    demand = Demand(cpu_milli=1000, memory=1, disk=0, gpus=0)
    submission = Submission(job="ab" * 16, created_at=1.0, task=task, rule=rule, demand=demand, parents=(parent,))
    with desk.services().open_datastore() as datastore:
        datastore.commit([Submit(submission=submission)])
        outcome = write_outcome(an_outcome(output=output, commitments=closed, receipts=(receipt,)))
        datastore.commit([Move(job="ab" * 16, state=JobState.SETTLING, outcome=outcome)])
    assert desk("store", "gc", "--json").json["removed_blocks"] == 1
    with desk.store() as store:
        assert all(map(store.has, (task, parent, closed, receipt, output)))
        assert not store.has(lone)


def an_outcome(**more):
    empty = {"dissent": (), "undetermined": (), "faults": ()}
    return Outcome(session="ab" * 32, verdict="agreed", cancelled=False, same_state=True, **empty, **more)


@pytest.mark.parametrize(("stage", "is_kept"), [("queued", True), ("committed", True), ("ended", False)])
def test_what_a_node_executes_for_others_is_kept_until_it_is_over(desk, stage, is_kept):
    task, output = (parse_cid(add(desk, text, "--no-pin")) for text in (b"task", b"output"))
    made = MadeEntry(
        output=output,
        exit_code=0,
        fuel=None,
        state_digest="5a" * 32,
        engine=EngineInfo(name="x", version="1", arch="y", isolation=()),
        nonce="ab" * 32,
    )
    entry = NodeEntry(
        requester=identity(1).peer,
        session="cd" * 32,
        task=task,
        demand=Demand(cpu_milli=1000, memory=1, disk=0, gpus=0),
        stage=stage,
        reason=None,
        made=made,
        receipt=None,
    )
    with desk.services().open_datastore() as datastore:
        datastore.commit([Put(machine=Machine.COMPUTE, key="node/" + "cd" * 32, value=write(entry))])
    desk("store", "gc")
    with desk.store() as store:
        assert [store.has(cid) for cid in (task, output)] == [is_kept, is_kept]


def test_stat_counts(desk, store_path):
    add(desk, b"12345")
    said = desk("store", "stat", "--json").json
    assert said["disk_bytes"] >= store_path.stat().st_size
    assert {key: said[key] for key in ("blocks", "bytes", "quota", "pins", "path")} == {
        "blocks": 1,
        "bytes": 5,
        "quota": None,
        "pins": 1,
        "path": str(store_path),
    }
    assert (said["checkpoints"], said["checkpoint_bytes"]) == (0, 0)
    kept = desk.home.checkpoints_dir / "node-24" / "key" / "1-answers"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"123")
    said = desk("store", "stat", "--json").json
    assert (said["checkpoints"], said["checkpoint_bytes"]) == (1, 3)
    assert "quota            none\n" in desk("store", "stat").text


def test_verify_names_every_corrupt_and_missing_block(desk, store_path):
    add(desk, b"sound")
    assert desk("store", "verify", "--json").json == {"ok": True, "blocks": 1, "bytes": 5, "corrupt": [], "missing": []}
    cids = [add(desk, text) for text in (b"wrong", b"lost")]
    damage(store_path, b"wrong", b"wrung")
    connection = sqlite3.connect(store_path)
    connection.execute("DELETE FROM blocks WHERE data = ?", (b"lost",))
    connection.commit()
    connection.close()
    said = desk("store", "verify", "--json")
    assert said.code == 1
    assert said.json["corrupt"] == [{"cid": cids[0], "multihash": parse_cid(cids[0])[2:].hex()}]
    assert said.json["missing"] == [cids[1]]
    text = desk("store", "verify")
    assert text.code == 1
    assert f"corrupt {cids[0]}  sha2-256 {parse_cid(cids[0])[4:].hex()}\nmissing {cids[1]}\n" in text.text
    add(desk, b"wrong")
    add(desk, b"lost")
    assert desk("store", "verify").code == 0


def test_verify_of_a_damaged_database_could_not_check(desk, store_path):
    add(desk, b"x" * 300_000)
    with SqliteBlockStore(store_path):  # the last to close writes the log back
        pass
    data = bytearray(store_path.read_bytes())
    data[32768 : len(data)] = b"\xa5" * (len(data) - 32768)
    store_path.write_bytes(data)
    said = desk("store", "verify")
    assert said.code == 4
    assert said.err.count("\n") == 1
    assert "malformed" in said.err or "not a database" in said.err


def test_a_quota_refuses_before_anything_is_written(desk, tmp_path):
    (tmp_path / "tree").mkdir()
    for number in range(20):
        (tmp_path / "tree" / str(number)).write_bytes(b"%d" % number * 1000)
    assert desk("store", "quota", "10k", "--json").json == {"quota": 10240}
    before = desk("store", "stat", "--json").json["blocks"]
    said = desk("add", "tree")
    assert said.code == 4
    assert "quota is 10240" in said.err
    assert "store gc" in said.err
    assert desk("store", "stat", "--json").json["blocks"] == before == 0
    assert desk("store", "quota", "none").text == "none\n"
    cid = desk("add", "tree").text
    assert desk("store", "quota", "1").code == 0
    assert desk("add", "tree").text == cid  # nothing of it is new
    assert desk("store", "quota", "many").code == 2


def test_profiles_give_other_cids_and_are_recorded(desk):
    content = bytes(range(256)) * 2000
    said = {
        name: desk("add", desk.file(content), "--profile", name, "--json").json for name in ("legacy", "unixfs-v0-2015")
    }
    assert said["legacy"]["profile"] == "legacy-cidv1"
    assert said["unixfs-v0-2015"]["cid"].startswith("Qm")
    assert len({add(desk, content), *(one["cid"] for one in said.values())}) == 3
    pins = [json.loads(line) for line in desk("store", "pins", "--json").text.splitlines()]
    assert sorted(pin["profile"] for pin in pins) == ["legacy-cidv1", "unixfs-v0-2015", "unixfs-v1-2025"]
    assert desk("add", desk.file(content), "--profile", "newest").code == 2


def test_a_block_of_another_codec_is_named_by_its_digest(desk, store_path):
    with SqliteBlockStore(store_path) as store:
        node = make_cid(0x71, b"\xa0")
        store.put(node, b"\xa0")
    damage(store_path, b"\xa0", b"\xa1")
    assert desk("store", "verify", "--json").json["corrupt"][0]["multihash"] == node[2:].hex()
    assert cid_text(node).startswith("bafyrei")
