"""Bad actors in a devstack: real nodes that execute, commit, reveal and lie over real connections."""

from tests.integration import libp2p_gate  # noqa: F401

# isort: split
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


def dissenting(report):
    return {receipt["node"] for receipt in report["receipts"] if not receipt["agrees"]}


def faults(report):
    return {(fault["node"], fault["kind"]) for fault in report["faults"]}


@pytest.fixture(scope="module")
def liar_and_copycat(stack_home, tmp_path_factory):
    """A stack, and the report of a job for which the copycat had something to copy."""
    scratch = tmp_path_factory.mktemp("liars") / "stack"
    with devstack(stack_home, scratch, "--nodes", 5, "--bad-actors", "liar,copycat") as stack:
        arguments = ("-c", "print('once')", "--concurrency", 5)
        first = run(stack.home, *arguments)
        # Perhaps it overheard nothing before it lost patience, and guessed. The same task again: now all is known.
        second = run(stack.home, *arguments, "--no-cache") if faults(first) == set() else first
        if second is not first:
            assert dissenting(first) == {stack.bad("liar"), stack.bad("copycat")}
        yield stack, second


def check_the_liar_is_named(stack: Stack, report):
    assert (report["verdict"], dissenting(report)) == ("agreed", {stack.bad("liar")})
    honest = stack.peers() - {stack.bad("liar"), stack.bad("copycat")}
    assert {receipt["node"] for receipt in report["receipts"] if receipt["agrees"]} == honest
    assert audit(stack.home, report["record"]) == "valid"


def test_a_copycat_is_convicted_by_a_digest_that_it_cannot_open(liar_and_copycat):
    stack, report = liar_and_copycat
    assert faults(report) == {(stack.bad("copycat"), "mismatch")}
    check_the_liar_is_named(stack, report)


# Who was convicted is not asked again, so four nodes are left, the liar among them.


def test_a_job_that_wants_all_five_takes_the_four_that_are_left(liar_and_copycat):
    """It waits for a newcomer, and not as long as for a node that is known and busy."""
    stack, _ = liar_and_copycat
    check_the_liar_is_named(stack, run(stack.home, "-c", "print('four')", "--concurrency", 5))


@pytest.mark.parametrize("name", NAMES)
def test_every_function_is_verified_with_the_liar_named(liar_and_copycat, name):
    stack, _ = liar_and_copycat
    (data,) = (FUNCTIONS / name).glob("input.*")
    report = run(stack.home, FUNCTIONS / name, "-i", data, "--concurrency", 4)
    assert report["output"] == json.loads((FUNCTIONS / name / "expected.json").read_text())["output"]
    assert faults(report) == set()
    check_the_liar_is_named(stack, report)


def test_a_function_that_fails_is_verified_with_the_liar_named(liar_and_copycat):
    stack, _ = liar_and_copycat
    report = run(stack.home, "-c", "raise SystemExit(7)", "--concurrency", 4, code=3)
    assert report["exit_code"] == 7
    check_the_liar_is_named(stack, report)


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
            # Without --min-bids those that bid first are taken: one node may be the last each time.
            arguments = ("-c", f"print({number})", "--min-bids", 4)
            report = run(stack.home, *arguments, "--timeout", 12)  # twice that is before the late one speaks
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
