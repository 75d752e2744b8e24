"""Policies at work: what `run`, `audit --rerun` and `serve` do under them, and what `--explain` says."""

import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest

from bacalhau import checkup
from bacalhau.planning import ENGINES, load_policy, objection, plan_node
from network.messages import Demand
from network.node.datastore import Submission
from runtime.capacity import Room
from runtime.jail import Level
from runtime.machine_room import MachineRoom
from runtime.planner.stack import EngineName, Isolation, Machine, Part
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError, UserError
from tests.unit.bacalhau.fake_node import served
from tests.unit.bacalhau.fakes import FACTS, FakeEngine, Gave
from tests.unit.bacalhau.test_node_commands import write_node_file
from verifier.model import Rule

STACK = {
    "kind": "python",
    "tier": "verified",
    "place": "embedded",
    "engines": [{"engine": "pyodide-node", "isolation": "namespaces"}],
    "diverse": False,
    "gpu": False,
    "networking": False,
    "limits": {"memory": 1 << 29, "timeout_s": 1800.0},
    "concurrency": 3,
    "confidence": 2,
}
SCRIPT = """
import sys
from pathlib import Path
import bacalhau.cli.run_python, bacalhau.run_job
from bacalhau.home import Home
from bacalhau.planning import load_policy, plan_run
from bacalhau.services import default_services
from runtime.planner.facts import MachineFacts
from runtime.planner.stack import Machine
from runtime.planner.wishes import Wish, Wishes, run_question
wish = Wish(value=2, said=True)
wishes = Wishes(nodes=wish, confidence=wish, timeout=wish, memory=wish)
plan_run(wishes, load_policy(Home(Path("nowhere"))), default_services())
print("pysat" in sys.modules, "tomllib" in sys.modules)
from runtime.planner.choice import choose
choose(run_question(wishes, (), MachineFacts(machine=Machine.BARE, engines=())))
print("pysat" in sys.modules)
"""
FLAGS = {"engine": "node", "engine_said": False, "strict": False, "computes": True}


@pytest.fixture
def policy(desk):
    """Write the policy of the home."""

    def write(text):
        desk.home.create()
        desk.home.policy_path.write_text(text)
        return f"{desk.home.policy_path}"

    return write


@pytest.fixture
def node(desk):
    desk.home.create()
    with served(desk.services()) as node:
        node.control.runs_at_once = True
        write_node_file(desk.home, node.url)
        yield node


def explained(desk, *flags):
    return desk("run", "python", "-c", "1", "--explain", "--json", *flags)


def test_without_a_policy_nothing_is_looked_at(desk):
    assert desk("run", "python", "-c", "1").code == 0
    assert (desk.looked, desk.asked, desk.levels) == (0, [("node", False)], [None])


def test_without_a_policy_no_solver_is_loaded():
    said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False", "True"]


def test_explain_runs_nothing_and_says_all(desk):
    said = explained(desk)
    assert (said.code, desk.engine.calls, desk.asked) == (0, 0, [])
    assert said.json["stack"] == STACK
    assert (said.json["cost"], said.json["preferences"], said.json["departures"], said.json["clash"]) == (0, [], [], [])
    alternatives = {f"{one['choice']} {one['value']}": one["because"] for one in said.json["alternatives"]}
    assert alternatives["place nodes"] == "no node runs here (this machine)"
    assert alternatives["engine pyodide-bun"] == "costs no less, and is not as simple"
    assert not desk.home.store_path.exists()


def test_a_policy_changes_the_run_and_says_so(desk, policy):
    policy('[require]\nmax-nodes = 2\nmax-timeout = 60\n[forbid]\nisolation = "namespaces"\n')
    said = desk("run", "python", desk.function, "--json")
    assert (said.code, said.json["rule"]["replication"], len(said.json["receipts"])) == (0, 2, 2)
    assert (desk.asked, desk.levels) == ([("node", False)], [Level.BUBBLEWRAP])
    assert "2 nodes run it, not 3: so the policy wants it" in said.err
    assert "60 s at most, not 1800" in said.err


def test_a_policy_may_want_both_engines(desk, policy):
    policy("[prefer]\ndiverse = true\n")
    said = explained(desk)
    assert [one["engine"] for one in said.json["stack"]["engines"]] == ["pyodide-node", "pyodide-bun"]
    desk("run", "python", "-c", "1")
    assert (desk.asked, desk.levels) == ([("node", False), ("bun", False)], [Level.NAMESPACES, Level.NAMESPACES])
    desk.facts = replace(FACTS, engines=(FACTS.engines[0], replace(FACTS.engines[1], absent="Bun is not installed")))
    said = explained(desk)
    (wanted,) = said.json["preferences"]
    assert (wanted["kept"], wanted["cost"], said.json["cost"]) == (False, 1, 1)
    human = desk("run", "python", "-c", "1", "--explain").text
    assert "rather diverse true" in human
    assert "given up, costs 1" in human


def test_what_policy_and_flags_do_not_let_be_had_together(desk, policy):
    file = policy("# what may run\n[require]\nmax-nodes = 2\n")
    said = desk("run", "python", desk.function, "--concurrency", "5")
    assert (said.code, said.out, desk.engine.calls) == (4, b"", 0)
    clash = f"exactly 5 nodes (--concurrency); at most 2 nodes ({file}:3)"
    advice = "leave --concurrency out or change the policy"
    assert said.err == f"bacalhau: run python: these cannot be had together: {clash}; {advice}\n"
    told = explained(desk, "--concurrency", "5")
    assert (told.code, told.json["stack"]) == (4, None)
    assert [(rule["origin"], rule["where"]) for rule in told.json["clash"]] == [
        ("request", "--concurrency"),
        ("policy", f"{file}:3"),
    ]
    human = desk("run", "python", "-c", "1", "--explain", "--concurrency", "5")
    assert (human.code, "at most 2 nodes" in human.text, human.err) == (4, True, "")


def test_flags_that_contradict_each_other_are_a_wrong_call(desk, node):
    said = desk("run", "python", "-c", "1", "--isolation", "strict")
    assert (said.code, "--local" in said.err) == (2, True)
    assert explained(desk, "--isolation", "strict").code == 2


def test_what_the_machine_has_not(desk):
    weak = tuple(replace(one, isolations=(Isolation.SECCOMP,)) for one in FACTS.engines[:2])
    desk.facts = replace(FACTS, engines=weak)
    said = desk("run", "python", "-c", "1", "--isolation", "strict")
    assert (said.code, desk.engine.calls) == (4, 0)
    assert "here pyodide-node runs under seccomp, and nothing else" in said.err


def test_a_policy_keeps_a_job_from_the_node(desk, node, policy):
    policy('[require]\nplace = "embedded"\n')
    said = desk("run", "python", desk.function, "--json")
    assert (said.code, node.control.kept) == (0, {})
    assert "although a node runs here" in said.err
    assert desk("run", "python", desk.function, "--no-wait").code == 4


def test_a_policy_goes_to_the_node_with_the_job(desk, node, policy):
    policy("[require]\nmin-nodes = 5\nmax-timeout = 60\n")
    assert desk("run", "python", desk.function).code == 0
    (kept,) = node.control.kept.values()
    assert (kept.submission.rule.replication, kept.submission.timeout_s) == (5, 60.0)


def test_a_further_policy_adds_to_that_of_the_home(desk, policy, tmp_path):
    policy("[require]\nmax-nodes = 2\n")
    mine = tmp_path / "mine.toml"
    mine.write_text("[require]\nmin-nodes = 3\n")
    said = desk("run", "python", "-c", "1", "--policy", mine)
    assert said.code == 4
    assert f"({mine}:2)" in said.err
    mine.write_text("[require]\nmax-timeout = 9\n")
    assert explained(desk, "--policy", mine).json["stack"]["limits"]["timeout_s"] == 9
    assert explained(desk, "--policy", mine).json["stack"]["concurrency"] == 2


@pytest.mark.parametrize("flags", [(), ("--explain",)])
def test_a_policy_that_cannot_be_read_is_obeyed_by_nobody(desk, policy, tmp_path, flags):
    file = policy("[require]\nteir = 'verified'\n")
    said = desk("run", "python", "-c", "1", *flags)
    assert (said.code, desk.engine.calls) == (2, 0)
    assert said.err.startswith(f"bacalhau: {file}:2: unknown key 'teir'; did you mean tier?")
    desk.home.policy_path.write_bytes(b"\xff")
    assert "is not UTF-8" in desk("run", "python", "-c", "1", *flags).err
    desk.home.policy_path.unlink()
    desk.home.policy_path.mkdir()
    said = desk("run", "python", "-c", "1", *flags)
    assert (said.code, "the policy cannot be read" in said.err) == (2, True)
    desk.home.policy_path.rmdir()
    said = desk("run", "python", "-c", "1", "--policy", tmp_path / "nowhere.toml", *flags)
    assert (said.code, "nowhere.toml" in said.err) == (2, True)


def test_a_rerun_obeys_the_policy(desk, policy):
    report = desk.run()
    policy('[require]\nengine = "pyodide-bun"\nisolation = "seccomp"\n')
    desk.asked.clear()
    desk.levels.clear()
    assert desk("audit", report["record"], "--rerun").code == 0
    assert (desk.asked, desk.levels) == ([("bun", False)], [Level.SECCOMP])
    said = desk("audit", report["record"], "--rerun", "--engine", "node")
    assert (said.code, "only engine pyodide-bun" in said.err) == (4, True)
    calls = desk.engine.calls
    policy('[require]\nmax-memory = "256Mb"\nmax-timeout = 5\n')
    said = desk("audit", report["record"], "--rerun", "--json")
    assert (said.code, said.json["verdict"], desk.engine.calls) == (4, "unchecked", calls)
    assert "the policy here allows 268435456" in said.json["reruns"][0]["detail"]


def test_a_rerun_gets_no_more_time_than_the_policy_has(desk, policy):
    report = desk.run()
    policy("[require]\nmax-timeout = 5\n")
    times = []
    desk.engine = FakeEngine(lambda number, plan, store: times.append(plan.wall_clock_s) or Gave())
    desk("audit", report["record"], "--rerun")
    desk("audit", report["record"], "--rerun", "--timeout", "3")
    assert times == [5, 3]


def test_what_a_node_executes_with(desk, policy):
    services = desk.services()
    plain = Part(engine=EngineName.PYODIDE_NODE, isolation=None)
    assert (plan_node((), services, **FLAGS).part, desk.looked) == (plain, 0)
    policy('[require]\nengine = "pyodide-bun"\nmax-memory = "1Gb"\nmax-timeout = 60\n')
    rules = load_policy(desk.home)
    stack = plan_node(rules, services, **FLAGS)
    assert stack.part == Part(engine=EngineName.PYODIDE_BUN, isolation=Isolation.NAMESPACES)
    assert (stack.machine, stack.max_memory, stack.max_wall_clock_s) == (Machine.BARE, 1 << 30, 60)
    with pytest.raises(UnavailableError, match=r"only pyodide-node \(--engine\); only engine pyodide-bun"):
        plan_node(rules, services, **FLAGS | {"engine_said": True})
    assert plan_node(rules, services, **FLAGS | {"computes": False}).part == plain
    assert set(ENGINES) == {"node", "bun"}


def test_a_node_refuses_jobs_that_its_policy_does_not_have(desk, policy):
    policy('[require]\nmax-nodes = 2\nmax-memory = "1Gb"\nisolation = "strict"\n[prefer]\nmax-timeout = 1\n')
    rules = load_policy(desk.home)
    job = Submission(
        job="0" * 32,
        created_at=0.0,
        task=make_cid(RAW, b""),
        rule=Rule(replication=2, confidence=2, diverse=False),
        demand=Demand(cpu_milli=1000, memory=1 << 30, disk=0, gpus=0),
    )
    assert objection(rules, Machine.BARE, job) == ""
    more = replace(job, rule=replace(job.rule, replication=3))
    assert objection(rules, Machine.BARE, more) == f"not with the policy: at most 2 nodes ({desk.home.policy_path}:2)"
    large = replace(job, demand=replace(job.demand, memory=(1 << 30) + 1))
    assert "bytes of memory" in objection(rules, Machine.BARE, large)


def test_the_further_policy_has_to_be_there(desk, tmp_path):
    assert load_policy(desk.home) == ()
    with pytest.raises(UserError, match="cannot be read"):
        load_policy(desk.home, tmp_path / "nowhere")


def test_doctor_names_the_policy_or_what_is_wrong_with_it(desk, policy, monkeypatch):
    monkeypatch.setattr(checkup, "_sandbox", lambda: iter(()))
    room = partial(MachineRoom, total=Room(), job_most=Room())

    def found():
        (finding,) = (
            one for one in checkup.check_up(desk.home, online=False, look_at_room=room) if one.name == "policy"
        )
        return finding.ok, finding.detail

    assert found() == (None, "none: all that this machine has may be used")
    file = policy("[forbid]\ngpu = true\n")
    assert found() == (True, f"{file}: 1 rule")
    policy("[forbid]\ngpo = true\n")
    assert found() == (False, f"{file}:2: unknown key 'gpo'")


def test_a_job_over_shards_obeys_the_policy(desk, policy, tmp_path):
    policy('[require]\nmax-nodes = 2\nengine = "pyodide-bun"\n')
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(name)
    desk.engine = FakeEngine(lambda *_: Gave())
    flags = ("--sharding-glob-pattern", "/*", "--json")
    said = desk("run", "python", desk.function, "-i", folder, *flags)
    assert said.json["rule"]["replication"] == 2
    assert (desk.asked, desk.levels) == ([("bun", False)], [Level.NAMESPACES])
