"""The result graph from the command line: lineage, publication, merging and logs, on real blocks and a fake engine."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bacalhau.home import Home
from bacalhau.merge_statement import merges_of_flow
from network.result_store import Nodes
from runtime.contents import Noted
from storage.cid import cid_text, parse_cid
from storage.unixfs_read import UnixfsReader
from storage.url_origin import Origin
from tests.unit.bacalhau.fakes import Gave
from tests.vectors.records.world import put_unverified
from verifier.model import Record, Task, load_node, store_node

RUN = ("run", "python", "f.py", "--json")


@pytest.fixture
def other(desk, tmp_path):
    """The same command with another home."""
    return type(desk)(home=Home(tmp_path / "other"), engine=desk.engine, read_output=desk.read_output)


def turn(number, plan, store):
    """Give the input turned round, and the arguments."""
    data = UnixfsReader(store).read_bytes(plan.input.data, 1 << 20)
    return Gave(result=data[::-1] + json.dumps(plan.input.args).encode())


@pytest.fixture
def chain(desk, tmp_path):
    """Two runs, the second over what the first gave."""
    (tmp_path / "f.py").write_text("def main(data): return data.read().upper()\n")
    (tmp_path / "x.txt").write_text("raw")
    desk.engine.behave = turn
    first = desk(*RUN, "-i", "x.txt").json
    second = desk(*RUN, "-i", f"{first['record']}/output/result", "--arg", "n=2").json
    assert (first["verdict"], second["verdict"]) == ("agreed", "agreed")
    return first, second


def test_why_goes_down_to_the_raw_input(desk, chain):
    first, second = chain
    found = desk("graph", "why", second["output"], "--json").json
    assert (found["kind"], found["roots"], found["cut"]) == ("output", [second["record"]], False)
    nodes = {node["record"]: node for node in found["nodes"]}
    assert list(nodes) == [second["record"], first["record"]]
    (given,) = nodes[second["record"]]["contents"]
    assert given["given_by"] == [first["record"]]
    (raw,) = nodes[first["record"]]["contents"]
    assert (raw["role"], raw["given_by"], raw["origins"]) == ("data", [], [])
    assert found["standing"][second["record"]]["standing"] == "verified"
    said = desk("graph", "why", second["output"])
    assert first["record"] in said.text
    assert "raw" in said.text


def test_why_of_a_file_in_an_output_and_of_a_job(desk, chain):
    _, second = chain
    assert desk("graph", "why", f"{second['output']}/result", "--json").json["roots"] == [second["record"]]
    found = desk("graph", "why", second["job"][:8], "--json").json
    assert (found["kind"], found["job"], found["roots"]) == ("job", second["job"], [second["record"]])


def test_why_of_what_nothing_made_says_so(desk, chain, tmp_path):
    cid = desk("add", "x.txt").text.strip()
    found = desk("graph", "why", cid, "--json").json
    assert (found["kind"], found["roots"]) == ("content", [])
    assert "no record here made it" in desk("graph", "why", cid).text


def test_show_is_a_tree_and_refuses_what_is_no_record(desk, chain, tmp_path):
    first, second = chain
    lines = desk("graph", "show", second["record"]).text.splitlines()
    assert lines[0].startswith(second["record"])
    assert any(line.startswith(f"  {first['record']}") for line in lines)
    near = desk("graph", "show", second["record"], "--depth", "0", "--json").json
    assert ([node["record"] for node in near["nodes"]], near["cut"]) == ([second["record"]], True)
    said = desk("graph", "show", desk("add", "x.txt").text.strip())
    assert (said.code, said.out) == (2, b"")
    assert "graph why" in said.err


def test_dependents_of_everything_that_a_record_rests_on(desk, chain):
    first, second = chain
    runtime = desk("describe", first["job"], "--json").json["function"]
    for cid in (first["record"], first["output"], f"{first['output']}/result"):
        found = desk("graph", "dependents", cid, "--json").json
        assert (found["direct"], found["further"]) == ([second["record"]], []), cid
    for cid in (desk("add", "x.txt").text.strip(), first["input"], first["task"]):
        found = desk("graph", "dependents", cid, "--json").json
        assert (found["direct"], found["further"]) == ([first["record"]], [second["record"]]), cid
    assert desk("graph", "dependents", runtime, "--json").json["direct"] == sorted(
        [first["record"], second["record"]], key=parse_cid
    )
    assert desk("graph", "dependents", second["output"]).err.strip() == "no record here rests on it"


def test_a_limit_cuts_and_says_so(desk, chain):
    _, second = chain
    found = desk("graph", "why", second["record"], "--limit", "1", "--json").json
    assert (len(found["nodes"]), found["cut"]) == (1, True)
    assert desk("graph", "why", second["record"], "--limit", "0").code == 2


# Publication


def publish(desk, what, place, *more):
    said = desk("publish", what, "--to", place, "--json", *more)
    assert said.code == 0, said.err
    return said.json


@pytest.mark.parametrize("place", ["car:x.car", "dir:x"])
def test_a_graph_goes_from_one_home_to_another(desk, other, chain, place):
    first, second = chain
    made = publish(desk, second["output"], place)
    assert (made["graph"], made["records"], made["added"], made["log_size"]) == (True, 2, 2, 2)
    merged = other("graph", "merge", place.partition(":")[2], "--json")
    assert merged.code == 0, merged.err
    (one,) = merged.json["merged"]
    assert (one["root"], one["records"], one["new"], one["partly_checked"]) == (made["cid"], 2, 2, 0)
    assert (one["disputes"], one["equivocation"]) == ([], None)
    found = other("graph", "why", second["output"], "--json").json
    assert [node["record"] for node in found["nodes"]] == [second["record"], first["record"]]
    assert {node["merged"] for node in found["nodes"]} == {True}
    audit = other("audit", made["cid"], "--json")
    assert (audit.code, audit.json["verdict"]) == (0, "valid"), audit.json
    assert [check["n"] for check in audit.json["checks"]] == list(range(21, 30))
    again = other("graph", "merge", place.partition(":")[2], "--json").json
    assert again["merged"][0]["new"] == 0
    assert other("audit", made["cid"], "--rerun").code == 2


def test_a_published_car_is_audited_by_itself(desk, other, chain, tmp_path):
    _, second = chain
    made = publish(desk, second["record"], "car:x.car")
    for more in ((), (made["cid"],)):
        said = other("audit", "--car", "x.car", "--json", *more)
        assert (said.code, said.json["verdict"], said.json["graph"]) == (0, "valid", made["cid"]), said.json
        assert [check["n"] for check in said.json["checks"]] == [0, *range(21, 30)]
    whole = (tmp_path / "x.car").read_bytes()
    for position in range(200, len(whole), 97):
        (tmp_path / "x.car").write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        assert other("audit", "--car", "x.car").code == 1, position


def test_what_is_published_twice_is_in_the_log_once(desk, chain):
    first, second = chain
    one = publish(desk, first["record"], "car:1.car")
    two = publish(desk, second["job"], "car:2.car")
    three = publish(desk, second["record"], "car:3.car")
    assert [made["added"] for made in (one, two, three)] == [1, 1, 0]
    assert (two["cid"], two["log_size"]) == (three["cid"], three["log_size"])
    log = desk("graph", "log", "--json").json
    assert [entry["record"] for entry in log["entries"]] == [first["record"], second["record"]]
    assert log["publisher"] == one["publisher"]


def test_the_log_proves_what_is_in_it(desk, chain):
    first, second = chain
    publish(desk, first["record"], "car:1.car")
    publish(desk, second["record"], "car:2.car")
    proof = desk("graph", "log", "--prove", second["record"]).json
    assert (proof["number"], len(proof["proof"]), proof["head"]["size"]) == (1, 1, 2)
    grown = desk("graph", "log", "1.car", "--against", "2.car", "--json")
    assert (grown.code, grown.json["consistent"], grown.json["sizes"]) == (0, True, [1, 2])
    assert desk("graph", "log", "--prove", first["task"]).code == 2


def test_two_logs_of_one_publisher_are_found_out(desk, other, chain):
    first, _ = chain
    publish(desk, first["record"], "car:1.car")
    # Whoever restores a backup, or lies, signs a second log of one size with the same key.
    (other.home.keys_dir).mkdir(parents=True)
    key = other.home.keys_dir / "publisher.key"
    key.write_bytes((desk.home.keys_dir / "publisher.key").read_bytes())
    key.chmod(0o600)
    forked = other(*RUN, "-i", "x.txt", "--arg", "n=3").json
    publish(other, forked["record"], "car:2.car")
    compared = desk("graph", "log", "1.car", "--against", "2.car", "--json")
    assert (compared.code, compared.json["consistent"]) == (1, False)
    heads = compared.json["equivocation"]["heads"]
    assert [head["size"] for head in heads] == [1, 1]
    assert heads[0]["tree"] != heads[1]["tree"]
    merged = desk("graph", "merge", "2.car", "--json")
    assert merged.code == 1
    assert merged.json["merged"][0]["equivocation"]["number"] == 0
    again = desk("graph", "merge", "2.car")
    assert (again.code, "EQUIVOCATION" in again.err) == (1, True)
    assert "  1 record of " in again.err
    assert desk("graph", "merge", "1.car").code == 1


def test_without_wheels_everything_but_them_is_checked(desk, other, chain):
    _, second = chain
    with_all = publish(desk, second["record"], "car:1.car")
    without = publish(desk, second["record"], "car:2.car", "--no-wheels")
    assert without["blocks"] == with_all["blocks"]  # this function has none
    assert desk("publish", second["record"], "--to", "kubo:", "--no-wheels").code == 2


def test_a_plain_content_stays_what_it_is(desk, chain, tmp_path):
    first, _ = chain
    cid = desk("add", "x.txt").text.strip()
    assert publish(desk, cid, "car:1.car") == {"cid": cid, "to": "car:1.car", "blocks": 1, "bytes": 3}
    assert publish(desk, first["output"], "car:2.car", "--plain")["cid"] == first["output"]
    assert publish(desk, first["task"], "car:3.car")["cid"] == first["task"]


def test_nothing_is_signed_for_a_place_that_is_taken(desk, chain, tmp_path):
    first, _ = chain
    (tmp_path / "x.car").write_bytes(b"mine")
    assert desk("publish", first["record"], "--to", "car:x.car").code == 2
    assert desk("graph", "log").code == 2


def test_a_flipped_bit_is_not_merged(desk, other, chain, tmp_path):
    _, second = chain
    publish(desk, second["record"], "car:x.car")
    whole = (tmp_path / "x.car").read_bytes()
    (tmp_path / "bad.car").write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    said = other("graph", "merge", "bad.car")
    assert (said.code, said.out) == (1, b"")
    assert other("graph", "why", second["record"], "--json").json["roots"] == []


def test_a_record_that_contradicts_is_a_dispute_everywhere(desk, other, chain):
    first, second = chain
    desk.engine.behave = lambda number, plan, store: Gave(result=b"something else")
    theirs = other(*RUN, "-i", "x.txt").json
    assert (theirs["task"], theirs["output"] != first["output"]) == (first["task"], True)
    publish(other, theirs["record"], "car:x.car")
    merged = desk("graph", "merge", "x.car", "--json")
    assert merged.code == 0
    assert merged.json["merged"][0]["disputes"] == [
        {"task": first["task"], "merged": theirs["record"], "here": first["record"]}
    ]
    for command in ("show", "why"):
        found = desk("graph", command, second["record"], "--json").json
        standing = found["standing"][second["record"]]
        assert (standing["standing"], standing["disputed_by"]) == ("disputed", [first["record"]])
        said = desk("graph", command, second["record"])
        assert f"CONTRADICTED by {theirs['record']}" in said.text
        assert "disputed" in said.err
    audit = desk("audit", first["record"], "--json")
    assert (audit.code, audit.json["verdict"]) == (4, "unchecked")
    assert theirs["record"] in audit.json["checks"][-1]["detail"]
    rerun = desk(*RUN, "-i", "x.txt").json
    assert (rerun["verdict"], rerun["output"]) == ("cached", first["output"])
    assert rerun["disputes"] == [{"record": theirs["record"], "output": theirs["output"]}]


def test_who_publishes_one_side_of_a_dispute_says_so_and_gives_the_other(desk, other, chain, tmp_path):
    first, second = chain
    desk.engine.behave = lambda number, plan, store: Gave(result=b"something else")
    theirs = other(*RUN, "-i", "x.txt").json
    publish(other, theirs["record"], "car:theirs.car")
    desk("graph", "merge", "theirs.car")
    said = desk("publish", second["record"], "--to", "car:ours.car", "--json").json
    assert said["disputes"] == [{"record": first["record"], "rival": theirs["record"]}]
    assert (said["records"], said["log_size"]) == (2, 2)
    plain = desk("publish", second["record"], "--to", "car:again.car")
    assert f"DISPUTED: {first['record']} is contradicted by {theirs['record']}" in plain.err
    # It is told of and not claimed: no check is false, and none is more than unknown for it.
    audit = other("audit", "--car", "ours.car", "--json")
    assert (audit.code, audit.json["verdict"]) == (4, "unchecked")
    assert [check["n"] for check in audit.json["checks"] if check["ok"] is not True] == [28]
    third = type(desk)(home=Home(tmp_path / "third"), engine=desk.engine, read_output=desk.read_output)
    merged = third("graph", "merge", "ours.car", "--json").json["merged"][0]
    assert merged["disputes"] == [{"task": first["task"], "merged": first["record"], "here": theirs["record"]}]
    for record in (first["record"], theirs["record"]):
        found = third("graph", "show", record, "--json").json["standing"][record]
        assert found["standing"] == "disputed"
    assert theirs["record"] not in third("graph", "log", "ours.car", "--json").text


def test_taint_flows_down(desk, chain, other):
    first, second = chain
    with desk.store() as store:
        old = load_node(store, parse_cid(first["record"]), Record)
        named = {"task": old.task, "function": old.function, "input": old.input}
        tainted = put_unverified(store, old.output, old.parents, **named)
        made_here(desk, tainted, old.task)
        child = load_node(store, parse_cid(second["record"]), Record).to_node()
        record = Record.from_node({**child, "parents": [tainted]})
        below = made_here(desk, store_node(store, record), record.task)
    found = desk("graph", "show", below, "--json").json
    assert found["standing"][below]["standing"] == "tainted"
    assert found["standing"][below]["tainted_by"] == [cid_text(tainted)]
    made = publish(desk, below, "car:x.car")
    audit = desk("audit", made["cid"], "--json")
    assert audit.code in (1, 4)  # not valid, whatever check 13 makes of such a parent
    states = {check["name"]: check["ok"] for check in audit.json["checks"]}
    assert (states["taint"], states["chain"]) == (None, True)


def made_here(desk, record, task):
    """Note a record as one that was made here."""
    with desk.services().open_results() as results:
        results.add(task, record, nodes=Nodes.EMBEDDED, at=1.0)
    return cid_text(record)


def test_an_ancestor_that_is_not_here_is_unknown(desk, chain):
    first, second = chain
    with desk.store() as store:
        child = load_node(store, parse_cid(second["record"]), Record).to_node()
        nowhere = parse_cid(first["task"])[:-1] + b"\x00"
        record = Record.from_node({**child, "parents": [nowhere]})
        below = made_here(desk, store_node(store, record), record.task)
    found = desk("graph", "show", below, "--json").json
    assert found["standing"][below]["standing"] == "unknown"
    assert found["standing"][below]["counts"]["missing"] == 1
    assert desk("publish", below, "--to", "car:x.car").code == 4


def test_a_record_of_strangers_is_checked_before_it_is_shown(desk, chain, other):
    first, _ = chain
    with desk.store() as store:
        old = load_node(store, parse_cid(first["record"]), Record)
        lie = load_node(store, parse_cid(first["task"]), Task).input
        forged = cid_text(store_node(store, replace(old, output=lie)))
    said = desk("graph", "show", forged)
    assert (said.code, said.out, "check 10 rule" in said.err) == (1, b"", True)
    assert desk("publish", forged, "--to", "car:y.car").code == 1
    assert desk("graph", "log").code == 2  # nothing was signed
    # It disputes nothing either.
    assert desk("audit", first["record"]).code == 0
    desk("publish", first["record"], "--to", "car:x.car", "--plain")
    assert other("fetch", first["record"], "--from", "car:x.car").code == 0
    found = other("graph", "show", first["record"], "--json").json
    assert (found["nodes"][0]["tier"], found["nodes"][0]["merged"]) == ("verified", True)


def test_what_is_published_outlives_a_collection(desk, other, chain, tmp_path):
    _, second = chain
    made = publish(desk, second["record"], "car:x.car")
    other("graph", "merge", "x.car")
    for home in (desk, other):
        home("store", "gc")
        assert home("audit", made["cid"]).code == 0
        assert json.loads(home("graph", "log", made["cid"], "--json").text)["size"] == 2


# Jobs over shards, flows, and downloads


@pytest.fixture
def shards(desk, tmp_path):
    """A job over three files, each of which its shard turns round."""
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / name).write_text(f"content of {name}")

    def behave(number, plan, store):
        if plan.input.data is None:
            return Gave(result=b"nothing")
        names = [name for name, _ in UnixfsReader(store).entries(plan.input.data)]
        return Gave(result="".join(names).encode(), outputs={name: name.upper().encode() for name in names})

    desk.engine.behave = behave
    said = desk("run", "python", desk.function, "-i", "in", "--sharding-glob-pattern", "/*", "--json")
    assert said.code == 0, said.err
    return said.json


def test_every_shard_is_in_the_graph(desk, shards, other):
    records = [shard["record"] for shard in shards["shards"]]
    found = desk("graph", "why", shards["job"], "--json").json
    assert (found["kind"], sorted(found["roots"])) == ("job", sorted(records))
    found = desk("graph", "why", shards["output"], "--json").json
    assert (found["kind"], sorted(found["roots"])) == ("output", sorted(records))
    # One file of what all of them wrote together is one shard's.
    found = desk("graph", "why", f"{shards['output']}/outputs/outputs/b", "--json").json
    assert (found["kind"], found["roots"]) == ("part", [records[1]])
    file = desk("add", "in/c").text.strip()
    assert desk("graph", "dependents", file, "--json").json["direct"] == [records[2]]
    made = publish(desk, shards["job"], "car:x.car")
    assert (made["records"], made["log_size"]) == (3, 3)
    said = other("audit", "--car", "x.car", "--json").json
    assert (said["verdict"], said["checks"][0]["name"]) == ("valid", "file")
    merged = other("graph", "merge", "x.car", "--json").json["merged"][0]
    assert (merged["new"], merged["merges"], made["merges"]) == (3, 1, [shards["merge"]])
    # Where no such job ever ran, its output is what the statement says.
    for named in (shards["output"], shards["merge"]):
        assert sorted(other("graph", "why", named, "--json").json["roots"]) == sorted(records)
        audit = other("audit", named, "--json").json
        assert (audit["verdict"], audit["checks"][-1]["n"]) == ("valid", 16)
        assert publish(other, named, f"car:{named[-8:]}.car")["merges"] == [shards["merge"]]


def test_a_job_of_which_a_shard_was_not_verified_is_not_published_whole(desk, shards, tmp_path):
    (tmp_path / "in" / "d").write_text("d")
    behave = desk.engine.behave

    def split_on_d(number, plan, store):
        gave = behave(number, plan, store)
        return Gave(result=str(number).encode()) if gave.result == b"d" else gave

    desk.engine.behave = split_on_d
    report = desk("run", "python", desk.function, "-i", "in", "--sharding-glob-pattern", "/*", "--json").json
    said = desk("publish", report["job"], "--to", "car:x.car")
    assert (said.code, "1 of its 4 tasks has no record" in said.err) == (2, True)


def test_steps_of_a_flow_are_linked(desk, tmp_path):
    (tmp_path / "f.py").write_text("def main(data): pass\n")
    (tmp_path / "x.txt").write_text("raw")
    desk.engine.behave = turn
    (tmp_path / "flow.yaml").write_text(
        "flow: 1\nsteps:\n  one: {function: f.py, data: x.txt}\n"
        "  two: {function: f.py, data: '${one/result}', args: {n: '2'}}\n"
    )
    report = desk("run", "flow", "flow.yaml", "--json").json
    one, two = (step["record"] for step in report["steps"])
    found = desk("graph", "why", two, "--json").json
    assert [node["record"] for node in found["nodes"]] == [two, one]
    assert found["nodes"][0]["contents"][0]["given_by"] == [one]
    assert desk("graph", "dependents", one, "--json").json["direct"] == [two]


@pytest.fixture
def mapped(desk, tmp_path):
    """Return the report of a flow whose map is wanted, and taken as well; each task gives its files in capitals."""
    (tmp_path / "f.py").write_text("def main(data): pass\n")
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "in" / name).write_text(name)

    def behave(number, plan, store):
        names = [name for name, _ in UnixfsReader(store).entries(plan.input.data)]
        return Gave(result="".join(names).encode(), outputs={name: name.upper().encode() for name in names})

    desk.engine.behave = behave
    (tmp_path / "flow.yaml").write_text(
        "flow: 1\nsteps:\n  each: {function: f.py, map: {over: in, glob: '/*'}}\n"
        "  all: {function: f.py, data: '${each/outputs}'}\n"
    )
    return desk("run", "flow", "flow.yaml", "--target", "each", "--target", "all", "--json").json


def test_what_a_map_of_a_flow_gave_is_a_statement(desk, mapped, other, tmp_path):
    each, whole = mapped["steps"]
    records = [row["record"] for row in mapped["shards"] if row["first"].startswith("each/")]
    assert (mapped["merge"], whole["merge"]) == (None, None), "of two targets there is none"
    for named, kind in ((each["output"], "output"), (each["merge"], "merge")):
        found = desk("graph", "why", named, "--json").json
        assert (found["kind"], found["roots"]) == (kind, records)
        audit = desk("audit", named, "--json").json
        assert (audit["verdict"], audit["checks"][-1]["n"], audit["tainted"]) == ("valid", 16, False)
    found = desk("graph", "why", f"{each['output']}/outputs/outputs/b", "--json").json
    assert (found["kind"], found["roots"]) == ("part", [records[1]])
    # Who has the flow published has the statement, and what it is made of.
    made = publish(desk, mapped["job"], "car:x.car")
    assert (made["merges"], made["records"]) == ([each["merge"]], 4)
    assert publish(desk, each["output"], "car:y.car")["records"] == 3
    merged = other("graph", "merge", "x.car", "--json").json["merged"][0]
    assert (merged["new"], merged["merges"]) == (4, 1)
    assert other("graph", "why", each["output"], "--json").json["roots"] == records
    assert other("audit", each["output"], "--json").json["verdict"] == "valid"


def test_a_map_alone_is_the_flow_and_its_statement_outlives_a_collection(desk, mapped):
    each = mapped["steps"][0]
    again = desk("run", "flow", "flow.yaml", "--target", "each", "--json").json
    assert (again["merge"], again["output"]) == (each["merge"], each["output"])
    assert sorted(desk("graph", "why", again["job"], "--json").json["roots"]) == sorted(
        row["record"] for row in again["shards"]
    )
    assert desk("store", "gc").code == 0
    assert desk("audit", each["merge"], "--json").json["verdict"] == "valid"


def test_a_flow_of_before_there_were_statements_is_published_with_those_made_now(desk, mapped):
    each = mapped["steps"][0]
    with closing(sqlite3.connect(desk.home.datastore_path)) as connection, connection:
        connection.execute("DELETE FROM lineage_parts WHERE owner = ?", (parse_cid(each["output"]),))
    with desk.store() as store, desk.jobs() as jobs:
        assert [cid_text(one) for one in merges_of_flow(jobs.find(mapped["job"]), jobs, store).values()] == [
            each["merge"]
        ]
    assert desk("graph", "why", each["output"], "--json").json["roots"] == [], "nobody filed it"
    assert publish(desk, mapped["job"], "car:x.car")["merges"] == [each["merge"]]


def test_what_runs_over_a_map_of_a_flow_comes_of_its_tasks(desk, mapped, other):
    """Whether the flow ran here, or its graph was merged."""
    each = mapped["steps"][0]
    records = [row["record"] for row in mapped["shards"] if row["first"].startswith("each/")]
    publish(desk, mapped["job"], "car:x.car")
    other("graph", "merge", "x.car")
    for home in (desk, other):
        home.engine.behave = lambda number, plan, store: Gave(result=b"x")
        for path, parents in (("", records), ("/shards/1", records[1:2]), ("/outputs/outputs/c", records[2:])):
            report = home.run("-i", f"{each['output']}{path}", "--arg", f"of={path or 'all'}", "--no-cache")
            with home.store() as store:
                assert {*map(cid_text, load_node(store, parse_cid(report["record"]), Record).parents)} == {*parents}


def test_where_raw_inputs_were_fetched_from(desk, chain, tmp_path):
    plain, at = desk.prepare, datetime(2026, 1, 2, tzinfo=UTC)

    def prepare(request, *, note, **more):
        plan = plain(request, note=note, **more)
        place = f"https://example.org/{request.data}\x1b[31m"
        origin = Origin(
            url=place, final_url=place, cid=plan.input.data, size=3, sha256="0" * 64, fetched_at=at, checked_at=at,
            headers=(),
        )  # fmt: skip
        note(Noted(path="data", origin=origin))
        return plan

    desk.prepare = prepare
    report = desk(*RUN, "-i", "x.txt", "--arg", "n=9").json
    (content,) = desk("graph", "why", report["record"], "--json").json["nodes"][0]["contents"]
    assert content["origins"][0]["url"].startswith("https://example.org/x.txt")
    said = desk("graph", "why", report["record"]).text
    assert "fetched from https://example.org/x.txt\\x1b[31m at 2026-01-02T00:00:00+00:00" in said
