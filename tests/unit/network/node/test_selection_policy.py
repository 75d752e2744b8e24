"""What is decided about an offer at once, how the operator's words are read, and what a probe is told."""

import dataclasses
import json

import pytest

from network.node.reasons import reason
from network.node.selection_policy import (
    SelectionPolicy,
    objection,
    objection_to_run,
    parse_command,
    parse_peers,
    parse_probe_url,
)
from network.node.selection_question import question
from runtime.engine import NO_PACKAGES
from runtime.worker_transport import worker_memory
from storage.cid import RAW, cid_text, make_cid
from storage.errors import UserError
from tests.unit.network.node.offers import ALICE, BOB, DEMAND, JOB, offered, plan, world
from verifier.model import Limits, Volume
from verifier.wasm_types import WasmFunction

CID_OF_NOTHING = make_cid(RAW, b"")
VOLUME = Volume(path="/ref", cid=CID_OF_NOTHING)


def test_without_a_word_of_the_operator_an_ordinary_job_is_taken():
    assert objection(SelectionPolicy(), offered()) == ""
    assert objection(SelectionPolicy(), offered(plan=plan(data=None, volumes=()))) == ""


def test_what_was_assigned_before_the_operator_changed_their_mind_is_not_run():
    asked = dataclasses.replace(plan(), submitter=ALICE)
    assert objection_to_run(SelectionPolicy(), asked) == ""
    assert objection_to_run(SelectionPolicy(denied_requesters=frozenset({ALICE})), asked) != ""
    stateless = dataclasses.replace(plan(data=None, volumes=()), submitter=ALICE)
    assert objection_to_run(SelectionPolicy(accepts_stateless=False), stateless) != ""


@pytest.mark.parametrize(
    ("policy", "taken"),
    [
        ({"allowed_requesters": frozenset({ALICE})}, True),
        ({"allowed_requesters": frozenset({BOB})}, False),
        ({"denied_requesters": frozenset({BOB})}, True),
        ({"denied_requesters": frozenset({ALICE})}, False),
        ({"allowed_requesters": frozenset({ALICE, BOB}), "denied_requesters": frozenset({ALICE})}, False),
    ],
)
def test_requesters_are_allowed_and_denied(policy, taken):
    assert (objection(SelectionPolicy(**policy), offered()) == "") is taken


def test_an_operator_bounds_the_memory_of_tasks():
    asked = dataclasses.replace(plan(), submitter=ALICE)
    memory = asked.input.limits.memory
    for most, taken in ((memory, True), (memory - 1, False)):
        policy = SelectionPolicy(max_memory=most)
        assert (objection(policy, offered()) == "") is taken
        assert (objection_to_run(policy, asked) == "") is taken


def test_a_job_is_stateless_without_data_and_volumes():
    policy = SelectionPolicy(accepts_stateless=False)
    assert objection(policy, offered(plan=plan(data=None, volumes=()))) == "this node takes no jobs without data"
    assert objection(policy, offered(plan=plan(data=CID_OF_NOTHING, volumes=()))) == ""
    assert objection(policy, offered(plan=plan(data=None, volumes=(VOLUME,)))) == ""


def test_the_demand_covers_the_memory_of_the_task_and_of_its_engine():
    exact = dataclasses.replace(DEMAND, memory=worker_memory(plan().input.limits.memory))
    assert objection(SelectionPolicy(), offered(demand=exact)) == ""
    less = dataclasses.replace(exact, memory=exact.memory - 1)
    assert f"demands {less.memory} bytes of memory" in objection(SelectionPolicy(), offered(demand=less))


def test_the_demand_covers_the_core_that_a_worker_keeps_busy():
    less = dataclasses.replace(DEMAND, cpu_milli=999)
    assert "999 thousandths of a core" in objection(SelectionPolicy(), offered(demand=less))
    assert objection(SelectionPolicy(), offered()) == ""


def test_the_demand_covers_the_disk_that_the_function_may_write():
    exact = dataclasses.replace(DEMAND, disk=plan().input.limits.output)
    assert objection(SelectionPolicy(), offered(demand=exact)) == ""
    less = dataclasses.replace(exact, disk=exact.disk - 1)
    said = f"the offer demands {less.disk} bytes of disk, and its function may write {exact.disk}"
    assert objection(SelectionPolicy(), offered(demand=less)) == said


def test_nobody_keeps_gpus_that_nothing_uses():
    greedy = dataclasses.replace(DEMAND, gpus=1)
    assert objection(SelectionPolicy(), offered(demand=greedy)) == "the offer demands 1 GPUs, and its task uses 0"


@pytest.mark.parametrize("limits", [{"memory": 4 << 30}, {"output": 1 << 40}])
def test_what_no_run_gets_is_refused_whatever_is_demanded(limits):
    asked = Limits(**{"fuel": None, "memory": 1 << 29, "output": 1 << 26} | limits)
    huge = dataclasses.replace(DEMAND, memory=1 << 40, disk=1 << 41)
    assert "more than runs get" in objection(SelectionPolicy(), offered(demand=huge, plan=plan(limits=asked)))


@pytest.mark.parametrize("wall_clock_s", [0.0, float("inf"), float("nan")])
def test_a_run_without_an_end_is_refused(wall_clock_s):
    endless = dataclasses.replace(plan(), wall_clock_s=wall_clock_s)
    assert "no time for a run" in objection(SelectionPolicy(), offered(plan=endless))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no\nthanks", "no"),
        ("\n\n  no \t thanks \x1b[31m", "no thanks [31m"),
        ("abc\u202edef\udc80", "abc def"),
        ("", "otherwise"),
        ("\x00\x01", "otherwise"),
        ("x" * 300, "x" * 255),
        ("é" * 200, "é" * 127),
    ],
)
def test_reasons_are_short_lines_of_plain_text(text, shown):
    assert reason(text, otherwise="otherwise") == shown


def test_peers_are_read():
    assert parse_peers([ALICE, BOB, ALICE], where="--x") == {ALICE, BOB}
    with pytest.raises(UserError, match="--x: '12D3' must be a peer id"):
        parse_peers([ALICE, "12D3"], where="--x")


def test_a_command_is_split_and_nothing_else():
    words = parse_command("/bin/probe --name 'two words' $HOME *", where="--x")
    assert words == ("/bin/probe", "--name", "two words", "$HOME", "*")


@pytest.mark.parametrize("text", ["", "  ", "'open", "a\0b"])
def test_what_is_no_command(text):
    with pytest.raises(UserError, match=r"--x: (names no command|cannot be read)"):
        parse_command(text, where="--x")


def test_addresses_of_probes():
    for url in ("http://127.0.0.1:8080/probe?x=1", "https://user:word@probe.internal", "http://[::1]:1/"):
        assert parse_probe_url(url, where="--x") == url


@pytest.mark.parametrize(
    "url", ["", "probe.internal", "ftp://x/", "http://", "http://x:99999/", "http://x:0/", "http://x/#y", "http://x/\n"]
)
def test_what_is_no_address_of_a_probe(url):
    with pytest.raises(UserError, match="--x: "):
        parse_probe_url(url, where="--x")


def test_a_probe_is_told_all_names_and_no_contents():
    made, the_plan = world(), plan(volumes=(VOLUME,), args={"n": 1, "secret": "in here"}, env={"TOKEN": "in here"})
    told = question(offered(plan=the_plan))
    assert told.endswith(b"\n")
    assert told.count(b"\n") == 1
    assert b"in here" not in told
    assert json.loads(told) == {
        "version": 1,
        "requester": ALICE,
        "job": JOB,
        "demand": {"cpu_milli": 1000, "memory": 1 << 30, "disk": 1 << 27, "gpus": 0},
        "task": cid_text(made.task),
        "function": cid_text(made.function),
        "source": cid_text(the_plan.function.source),
        "entry": "main",
        "module": None,
        "runtime": cid_text(the_plan.function.runtime),
        "packages": [{"name": "tiny", "version": "1.0"}],
        "image": None,
        "input": cid_text(made.input),
        "data": cid_text(the_plan.input.data),
        "volumes": [{"path": "/ref", "cid": cid_text(CID_OF_NOTHING)}],
        "outputs": [{"name": output.name, "path": output.path} for output in the_plan.input.outputs],
        "args": 2,
        "env": 1,
        "limits": the_plan.input.limits.to_node(),
    }


def test_a_probe_is_told_the_module_in_place_of_a_source():
    the_plan = plan()
    function = WasmFunction(module=CID_OF_NOTHING, runtime=the_plan.function.runtime)
    told = json.loads(question(offered(plan=dataclasses.replace(the_plan, function=function, lock=NO_PACKAGES))))
    assert (told["module"], told["source"], told["entry"]) == (cid_text(CID_OF_NOTHING), None, None)
    assert told["packages"] == []
