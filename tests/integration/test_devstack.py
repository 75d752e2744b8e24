"""`bacalhau devstack` as a person uses it: real processes on loopback, jobs through them, and nothing left behind."""

from tests.integration import libp2p_gate  # noqa: F401

# isort: split
from tests.integration.stack_world import (
    HELLO,
    PATIENCE_S,
    Stack,
    audit,
    bacalhau,
    command,
    devstack,
    environment,
    first_line,
    run,
    wait_for_end,
)

# isort: split
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bacalhau.node_client import NodeClient

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devstack")]


def test_a_job_is_verified_by_three_nodes_and_nothing_is_left(stack_home, tmp_path):
    with devstack(stack_home, tmp_path / "stack", "--nodes", 3) as stack:
        report = run(stack.home, "-c", HELLO)
        assert (report["verdict"], report["stdout"], report["tier"]) == ("agreed", "hello\n", "verified")
        assert {receipt["node"] for receipt in report["receipts"]} == stack.peers()
        assert len(stack.peers()) == 3
        assert audit(stack.home, report["record"]) == "valid"
        again = run(stack.home, "-c", HELLO)
        assert (again["verdict"], again["record"], again["stdout"]) == ("cached", report["record"], "hello\n")
        assert (again["known"]["receipts"], again["disputes"]) == (3, [])
        anew = run(stack.home, "-c", HELLO, "--no-cache")
        assert (anew["verdict"], anew["output"], anew["disputes"]) == ("agreed", report["output"], [])
        assert anew["record"] != report["record"]
        weak = run(stack.home, "-c", "print(1)", "--concurrency", 1, "--confidence", 1)
        strong = run(stack.home, "-c", "print(1)", "--concurrency", 3, "--confidence", 3)
        assert (weak["verdict"], strong["verdict"], strong["known"]["receipts"]) == ("agreed", "agreed", 1)
        assert {receipt["node"] for receipt in strong["receipts"]} == stack.peers()
        assert bacalhau(stack.home, "events", strong["job"]).stdout.count(": committed") == 2, "it was topped up"
        assert audit(stack.home, strong["record"]) == "valid"
        assert [node["name"] for node in stack.nodes] == ["requester", "node-1", "node-2", "node-3"]
        assert called(stack.home, tmp_path) == {
            "values": [0, 1, 2], "nodes": sorted(stack.peers()), "error": [True, True], "trust": ["records", 0.9]
        }  # fmt: skip
        assert stack.end(signal.SIGINT) == ""


CALLS = """
import json
import bacalhau

@bacalhau.function
def size(data):
    return len(data.read())

@bacalhau.function(trust=0.9, bad_nodes=0.1)
def wrong(data):
    raise ValueError("no good")

with bacalhau.Executor(node=True) as ex:
    results = list(ex.map(size, [b"", b"1", b"22"]))
    try:
        ex.submit(wrong, b"").result(timeout=600)
    except ValueError as error:
        raised = error
assert all(r.audit()["verdict"] == "valid" for r in (*results, raised.verified))
trust = raised.verified.report["trust"]
print(json.dumps({
    "values": [r.value for r in results],
    "nodes": sorted({one["node"] for r in results for one in r.receipts}),
    "error": [isinstance(raised, bacalhau.FunctionError), "no good" in str(raised.__cause__)],
    "trust": [trust["basis"], trust["asked"]],
}))
"""


def called(home, folder):
    """Return what a program says that calls functions through the node of a home."""
    (folder / "calls.py").write_text(CALLS)
    done = subprocess.run(
        [sys.executable, folder / "calls.py"], env=environment(home), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_hybrid_stack_has_no_other_requester_and_each_node_takes_jobs(stack_home, tmp_path):
    with devstack(stack_home, tmp_path / "stack", "--nodes", 2, "--hybrid") as stack:
        assert len(stack.nodes) == 2
        for number, node in enumerate(stack.nodes):
            report = run(node["dir"], "-c", f"print({number})", "--concurrency", 2)
            assert report["stdout"] == f"{number}\n"
            assert {receipt["node"] for receipt in report["receipts"]} == stack.peers("requester")


def test_its_directory_can_be_kept_and_used_again(stack_home, tmp_path):
    place = tmp_path / "kept"
    with devstack(stack_home, tmp_path / "one", "--nodes", 1, "--dir", place) as stack:
        job = run(stack.home, "-c", HELLO, "--concurrency", 1, "--confidence", 1)["job"]
        peers = stack.peers()
    with devstack(stack_home, tmp_path / "two", "--nodes", 1, "--dir", place) as stack:
        assert stack.peers() == peers
        assert json.loads(bacalhau(stack.home, "describe", job, "--json").stdout)["verdict"] == "agreed"


def test_a_node_that_dies_is_told_with_its_last_words_and_the_others_go_on(stack_home, tmp_path):
    with devstack(stack_home, tmp_path / "stack", "--nodes", 3) as stack:
        victim = stack.nodes[-1]
        os.kill(victim["pid"], signal.SIGKILL)
        wait_for_end(victim["pid"])
        report = run(stack.home, "-c", HELLO, "--concurrency", 2)
        assert victim["peer"] not in {receipt["node"] for receipt in report["receipts"]}
        said = stack.end()
    assert said.startswith(f"bacalhau: {victim['name']} was killed by SIGKILL; the others go on.")


def test_nodes_end_when_the_devstack_is_killed(stack_home, tmp_path):
    scratch = tmp_path / "stack"
    scratch.mkdir()
    errors = tmp_path / "stderr"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            command("devstack", "--json", "--nodes", 2),
            env=environment(stack_home) | {"TMPDIR": str(scratch)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        stack = Stack(process, json.loads(first_line(process, errors)), errors)
        process.kill()
    for pid in stack.pids:
        wait_for_end(pid)
    assert not list(scratch.rglob("node.json")), "they ended by themselves, and cleanly"


def test_a_node_that_is_started_by_hand_does_not_care_about_its_stdin(stack_home):
    with subprocess.Popen(
        command("serve", "--json", "--role", "requester"),
        env=environment(stack_home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        facts = json.loads(process.stdout.readline())
        with NodeClient(facts["api"], "", is_elsewhere=True) as client:
            assert client.health()["peer"] == facts["peer"]
        assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--nodes", 0), "--nodes: 0 is not 1 to 50"),
        (("--bad-actors", "thief"), "--bad-actors: 'thief' is no bad actor; there are liar, copycat, bait-and-switch,"),
        (("--nodes", 1, "--bad-actors", "liar,mute"), "--bad-actors: 2 are more than the 1 node that may be bad"),
        (("--nodes", 1, "--hybrid", "--bad-actors", "liar"), "--bad-actors: 1 are more than the 0 nodes"),
    ],
)
def test_a_wrong_call_starts_nothing(stack_home, tmp_path, arguments, said):
    done = bacalhau(stack_home, "devstack", *arguments, "--dir", tmp_path / "place")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bacalhau: {said}")
    assert not (tmp_path / "place").exists()


def test_if_a_node_does_not_start_all_are_stopped_and_the_reason_is_told(stack_home, tmp_path):
    place = tmp_path / "kept"
    with devstack(stack_home, tmp_path / "one", "--nodes", 1, "--dir", place):
        # Its first node, the requester, is refused: there is one on its directory already.
        done = bacalhau(stack_home, "devstack", "--nodes", 2, "--dir", place)
    assert done.returncode == 4
    started, line = done.stderr.splitlines()
    assert started.startswith("bacalhau: starting a requester and 2 nodes")
    assert line.startswith("bacalhau: requester: did not start: ")
    assert "a node runs here already" in line


@pytest.mark.parametrize("broken", [("node-2",), ("node-1", "node-2")])
def test_a_node_that_cannot_start_later_ends_those_that_did(stack_home, tmp_path, broken):
    place = tmp_path / "kept"
    for name in broken:
        (place / name / "store").mkdir(parents=True)
        (place / name / "store" / "blocks.sqlite").write_text("no database")
    done = bacalhau(stack_home, "devstack", "--nodes", 2, "--dir", place)
    assert (done.returncode, done.stdout) == (4, "")
    started, line = done.stderr.splitlines()
    assert started.startswith("bacalhau: starting a requester and 2 nodes")
    assert line.startswith(tuple(f"bacalhau: {name}: did not start: " for name in broken))
    assert not list(place.rglob("node.json")), "the others ended cleanly"


def test_what_it_tells_people_to_type_works_as_it_stands(stack_home, tmp_path):
    errors = tmp_path / "stderr"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            command("devstack", "--nodes", 3),
            env=environment(stack_home) | {"TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        lines = [first_line(process, errors)]
        while not lines[-1].startswith("API "):
            lines.append(process.stdout.readline())
        typed = "".join(line.removeprefix("  ") for line in lines if line.startswith(("  export ", "  bacalhau ")))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        shell = environment(stack_home) | {"PATH": path}
        done = subprocess.run(["bash", "-ec", typed], env=shell, capture_output=True, text=True, timeout=PATIENCE_S)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert "3 of 3 nodes agree" in done.stderr
