"""Bad actors in a devstack: real nodes that execute, commit, reveal and lie over real connections."""

from tests.integration.stack_world import Stack, audit, bacalhau, devstack, run

# isort: split
import json

import pytest

from tests.acceptance_table import ACCEPTANCE
from tests.integration.test_functions import FUNCTIONS, NAMES

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("devstack")]

ALONE = (1, 0, None, (0, 1))
"""The row of which nothing runs: it is refused before."""
MAX_JOBS = 30
"""Until a bad actor among four nodes is one of the three that are drawn: one of 10**18 runs would need more."""


@pytest.fixture(scope="module")
def liar_and_copycat(stack_home, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("liars") / "stack"
    with devstack(stack_home, scratch, "--nodes", 5, "--bad-actors", "liar,copycat") as stack:
        yield stack


def dissenting(report):
    return {receipt["node"] for receipt in report["receipts"] if not receipt["agrees"]}


def faults(report):
    return {(fault["node"], fault["kind"]) for fault in report["faults"]}


def check_both_are_named(stack: Stack, report):
    """The copycat is convicted by a digest that it cannot open, or else its guess is one more lie."""
    liar, copycat = stack.bad("liar"), stack.bad("copycat")
    guessed = faults(report) == set()
    assert guessed or faults(report) == {(copycat, "mismatch")}
    assert dissenting(report) == ({liar, copycat} if guessed else {liar})
    assert {receipt["node"] for receipt in report["receipts"] if receipt["agrees"]} == stack.peers() - {liar, copycat}


@pytest.mark.parametrize("name", NAMES)
def test_every_function_is_verified_with_the_liars_named(liar_and_copycat, name):
    (data,) = (FUNCTIONS / name).glob("input.*")
    report = run(liar_and_copycat.home, FUNCTIONS / name, "-i", data, "--concurrency", 5)
    assert report["verdict"] == "agreed"
    assert report["output"] == json.loads((FUNCTIONS / name / "expected.json").read_text())["output"]
    check_both_are_named(liar_and_copycat, report)
    assert audit(liar_and_copycat.home, report["record"]) == "valid"


def test_a_copycat_that_has_something_to_copy_is_convicted(liar_and_copycat):
    arguments = ("-c", "print('again')", "--concurrency", 5)
    run(liar_and_copycat.home, *arguments)
    report = run(liar_and_copycat.home, *arguments)  # the same task: what was committed to is known in the back room
    assert faults(report) == {(liar_and_copycat.bad("copycat"), "mismatch")}
    check_both_are_named(liar_and_copycat, report)
    assert audit(liar_and_copycat.home, report["record"]) == "valid"


def test_a_function_that_fails_is_verified_with_the_liars_named(liar_and_copycat):
    report = run(liar_and_copycat.home, "-c", "raise SystemExit(7)", "--concurrency", 5, code=3)
    assert (report["verdict"], report["exit_code"]) == ("agreed", 7)
    check_both_are_named(liar_and_copycat, report)


@pytest.mark.parametrize(("nodes", "liars", "confidence", "expected"), [row for row in ACCEPTANCE if row != ALONE])
def test_the_acceptance_table_at_two_shards(stack_home, tmp_path, nodes, liars, confidence, expected):
    bad = ("--bad-actors", ",".join(["liar"] * liars)) if liars else ()
    asked = () if confidence is None else ("--confidence", confidence)
    verified, refused = expected
    with devstack(stack_home, tmp_path / "stack", "--nodes", nodes, *bad) as stack:
        for shard in range(2):
            # After a split further nodes are sought for as long as one would execute; there are none.
            arguments = ("-c", f"print({shard})", "--concurrency", nodes, *asked, "--timeout", 20)
            report = run(stack.home, *arguments, code=0 if verified else 1)
            agreeing = len(report["receipts"]) - len(dissenting(report))
            assert (agreeing, len(dissenting(report))) == (verified, refused)
            assert (report["verdict"] == "agreed") is (verified > 0)
            assert (report["record"] is not None) is (verified > 0)
            if verified:
                assert report["stdout"] == f"{shard}\n"
                assert dissenting(report) <= {node["peer"] for node in stack.nodes if node["bad_actor"]}


def test_one_node_alone_verifies_nothing_unless_that_was_asked_for(stack_home, tmp_path):
    assert ALONE in ACCEPTANCE
    with devstack(stack_home, tmp_path / "stack", "--nodes", 1) as stack:
        done = bacalhau(stack.home, "run", "python", "--deterministic", "-c", "print(1)", "--concurrency", 1)
        assert done.returncode == 2
        assert "add --confidence 1 to trust a single node" in done.stderr
        assert bacalhau(stack.home, "list", "--json").stdout == ""


NAMED = {
    "liar": "dissent",
    "copycat": "dissent",  # alone, it overhears nothing, and its guess is one more lie
    "bait-and-switch": "mismatch",
    "mute": "mute",
    "late": "late",
    "equivocator": "equivocation",
    "flooder": None,  # all that it says of the job is true, and the rest is nothing
}


@pytest.mark.parametrize("name", NAMED)
def test_a_bad_actor_among_four_is_outvoted_and_named(stack_home, tmp_path, name):
    with devstack(stack_home, tmp_path / "stack", "--nodes", 4, "--bad-actors", name) as stack:
        bad = stack.bad(name)
        for number in range(MAX_JOBS):
            report = run(stack.home, "-c", f"print({number})", "--timeout", 20)
            assert (report["verdict"], report["stdout"]) == ("agreed", f"{number}\n")
            assert audit(stack.home, report["record"]) == "valid"
            took_part = {receipt["node"] for receipt in report["receipts"]} | {node for node, _ in faults(report)}
            assert {node for node, _ in faults(report)} | dissenting(report) <= {bad}
            if bad in took_part:
                break
        assert bad in took_part
        assert dissenting(report) == ({bad} if NAMED[name] == "dissent" else set())
        proven = set() if NAMED[name] in ("dissent", None) else {(bad, NAMED[name])}
        assert faults(report) == proven
