"""`--trust` at the command line: on nodes of this machine, handed to a node, and what is known of nodes."""

import json
import os

import pytest

from bacalhau.api.submission import read_asked
from bacalhau.trust_report import probability
from network.trust_terms import LEAST_RULE
from storage.cid import cid_text
from storage.errors import UserError
from tests.unit.bacalhau.fake_node import PEER, served
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from tests.vectors.records.world import World, identity
from verifier.credibility import TrustGoal


def test_nodes_of_this_machine_are_as_many_as_strangers_and_no_probability_is_claimed(desk):
    report = desk.run("-i", desk.file(), "--trust", "0.999")
    assert report["verdict"] == "agreed"
    assert report["rule"] == {"replication": 4, "confidence": 4, "diverse": False}
    assert len(report["receipts"]) == 4
    trust = report["trust"]
    assert (trust["asked"], trust["reached"], trust["bad_nodes"], trust["words"]) == (0.999, None, 0.1, 4)
    assert trust["basis"] == "one machine"
    assert "no probability is claimed" in trust["assumptions"][0]
    human = desk("run", "python", desk.function, "--trust", "0.9", "--bad-nodes", "0.3")
    assert human.code == 0
    assert "3 equal words were needed" in human.err
    assert "all nodes are of this machine" in human.err
    described = desk("describe", report["job"])
    assert "no probability is claimed" in described.out.decode()
    assert desk.run("-i", desk.file())["trust"] is None


def test_what_they_disagree_on_is_not_verified(desk):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=str(number % 2).encode()))
    said = desk("run", "python", desk.function, "--trust", "0.99", "--json")
    assert said.code == 1
    assert said.json["verdict"] == "split"
    assert (said.json["output"], said.json["trust"]["reached"]) == (None, None)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--trust", "0.99", "--concurrency", "3"), "--trust: and --concurrency both say how many nodes are needed"),
        (("--trust", "0.99", "--confidence", "2"), "--trust: and --confidence both say how many nodes are needed"),
        (("--trust", "1"), "must be a probability from 0.5 to less than 1"),
        (("--trust", "nan"), "must be a probability from 0.5 to less than 1"),
        (("--trust", "0.99", "--bad-nodes", "0.5"), "--bad-nodes 0.5: must be more than 0 and at most 0.49"),
        (("--trust", "0.999", "--bad-nodes", "0.49"), "is more than 100 nodes can be trusted with"),
        (("--bad-nodes", "0.2"), "--bad-nodes: means nothing without --trust"),
    ],
)
@pytest.mark.parametrize("kind", ["python", "flow"])
def test_wrong_calls_are_one_clear_line(desk, tmp_path, flags, said, kind):
    file = tmp_path / "flow.yaml"
    file.write_text("flow: 1\nsteps:\n  a:\n    code: print(1)\n")
    target = desk.function if kind == "python" else file
    answer = desk("run", kind, target, *flags)
    assert (answer.code, answer.out) == (2, b"")
    assert answer.err.count("\n") == 1
    assert said in answer.err


def test_two_engines_are_two_nodes_at_least(desk):
    report = desk("run", "python", desk.function, "--trust", "0.6", "--diverse", "--dry-run", "--json").json
    assert report["rule"] == {"replication": 2, "confidence": 2, "diverse": True}


def test_shards_and_flows_take_it_too(desk, tmp_path):
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"x"))
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        (folder / name).write_text(name)
    report = desk.run("-i", folder, "--sharding-glob-pattern", "/*", "--trust", "0.99")
    assert (report["verdict"], report["rule"]["confidence"]) == ("agreed", 3)
    assert {shard["receipts"] for shard in report["shards"]} == {3}
    assert report["trust"]["reached"] is None
    file = tmp_path / "flow.yaml"
    file.write_text("flow: 1\nsteps:\n  a:\n    code: print(1)\n")
    said = desk("run", "flow", file, "--trust", "0.99", "--json").json
    assert (said["tier"], len(said["receipts"]), said["trust"]["words"]) == ("verified", 3, 3)


def test_a_dry_run_and_an_explanation_say_how_many(desk):
    plan = desk("run", "python", desk.function, "--trust", "0.9999", "--dry-run", "--json").json
    assert plan["trust"] == {"asked": 0.9999, "bad_nodes": 0.1, "words_of_newcomers": 5}
    assert "0.9999 takes 5 equal words" in desk("run", "python", desk.function, "--trust", "0.9999", "--dry-run").text
    said = desk("run", "python", desk.function, "--trust", "0.9999", "--explain")
    assert "0.9999 takes 5 equal words of nodes of which nothing is known" in said.out.decode()
    assert "no probability is claimed" in said.out.decode()


def test_a_policy_bounds_trust_and_may_ask_for_more_nodes(desk):
    desk.home.create()
    desk.home.policy_path.write_text("[require]\nmax-nodes = 3\n")
    said = desk("run", "python", desk.function, "--trust", "0.999")
    assert said.code == 4
    assert "--trust 0.999" in said.err
    desk.home.policy_path.write_text("[require]\nmin-confidence = 5\n")
    assert desk.run("--trust", "0.999")["rule"]["confidence"] == 5


# ---- handed to a node


def test_a_node_is_told_how_far_and_the_least_counts(desk):
    desk.home.create()
    with served(desk.services()) as node:
        node.control.runs_at_once = True
        desk.home.node_path.write_text(json.dumps({"api": node.url, "peer": PEER, "pid": os.getpid(), "addresses": []}))
        report = desk.run("-i", desk.file(), "--trust", "0.999", "--bad-nodes", "0.2")
        (kept,) = node.control.kept.values()
        assert kept.submission.trust == TrustGoal(asked=0.999, bad=0.2)
        assert kept.submission.rule == LEAST_RULE
        explained = desk("run", "python", desk.function, "--trust", "0.999", "--explain").out.decode()
        assert "fewer of those whose records speak for them" in explained
        view = node.control.kept[report["job"]].submission
        assert view.trust.asked == 0.999
        desk.home.node_path.unlink()


TASK = cid_text(World().build())


def asked(**more):
    return read_asked(json.dumps({"task": TASK, **more}).encode())


def test_a_submission_with_trust():
    assert asked().trust is None
    plain = asked(trust=0.999)
    assert (plain.trust, plain.rule) == (TrustGoal(asked=0.999), LEAST_RULE)
    more = asked(trust=0.99, bad_nodes=0.2, rule={"confidence": 2, "replication": 2, "diverse": True})
    assert (more.trust.bad, more.rule.confidence, more.rule.diverse) == (0.2, 2, True)
    assert asked(trust=0.99, rule={"diverse": False}).rule == LEAST_RULE
    assert asked(rule={}).rule.replication == 3


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"trust": 1}, "trust"),
        ({"trust": True}, "trust"),
        ({"trust": "0.9"}, "trust"),
        ({"trust": None}, "trust"),
        ({"trust": 10**400}, "trust"),
        ({"trust": 0.999, "bad_nodes": 0.49}, "trust"),
        ({"trust": 0.9, "bad_nodes": 0.7}, "bad_nodes"),
        ({"trust": 0.9, "bad_nodes": []}, "bad_nodes"),
        ({"bad_nodes": 0.1}, "bad_nodes"),
    ],
)
def test_a_trust_that_is_none_is_refused(fields, where):
    with pytest.raises(UserError) as caught:
        asked(**fields)
    assert caught.value.where == where


# ---- what is known


def test_what_is_known_of_nodes(desk, tmp_path):
    nothing = desk("trust")
    assert (nothing.out, "nothing is known of any node" in nothing.err) == (b"", True)
    desk.home.create()

    world = World(nodes=3, liars=1)
    record = world.build()
    with desk.store() as store:
        store.put_many(world.store.kept.items())
    counted = desk("trust", "--count", cid_text(record), "--json").json
    assert (counted["records"], counted["unsound"]) == (1, 0)
    by_node = {one["node"]: (one["passes"], one["dissents"]) for one in counted["nodes"]}
    assert by_node == {identity(number).peer: (1, 0) if number < 2 else (0, 1) for number in range(3)}
    human = desk("trust").out.decode().splitlines()
    assert human[0].endswith("1 pass, 0 dissents, credibility 0.972")
    assert human[2].endswith("0 passes, 1 dissent, credibility 0.500")
    liar = identity(2).peer
    assert desk("trust", "--forgive", liar).code == 0
    assert liar not in desk("trust").out.decode()
    assert desk("trust", "--forgive", liar).code == 2
    again = desk("trust", "--count", cid_text(record), "--json").json
    assert {one["node"]: one["passes"] for one in again["nodes"]}[identity(0).peer] == 1, "a task counts once"


def test_what_is_no_sound_record_counts_for_nothing(desk):
    world = World(edits={"receipt/1": lambda node: node.update(nonce="00" * 32)})
    record = world.build()
    with desk.store() as store:
        store.put_many(world.store.kept.items())
    assert desk("trust", "--count", cid_text(record)).code == 2
    assert desk("trust", "--count", cid_text(world.task)).code in (1, 2, 4)
    assert desk("trust", "--json").json["nodes"] == []


@pytest.mark.parametrize(
    ("value", "shown"), [(0.9, "0.900"), (0.99985, "0.9998"), (0.9999999, "0.9999999"), (1.0, "1.000"), (0.0, "0.000")]
)
def test_a_probability_is_shown_as_far_as_it_is_not_1(value, shown):
    assert probability(value) == shown
