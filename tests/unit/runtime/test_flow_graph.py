from pathlib import Path

import pytest

from runtime.flow_file import read_flow
from runtime.flow_graph import make_graph
from storage.errors import UserError


def flow(**needs):
    """A flow of steps that each take something of those named, in the order in which they are written."""
    lines = ["flow: 1", "steps:"]
    for name, taken in needs.items():
        lines += [f"  {name}:", "    code: pass"]
        lines += ["    data:", *(f"      {one}: ${{{one}/result}}" for one in taken.split())] if taken else []
    return read_flow("\n".join(lines).encode(), "f.yaml", Path("/x"), {})


def names(graph):
    return [step.name for step in graph.steps]


def test_what_is_needed_comes_before_and_else_what_was_written_first():
    graph = make_graph(flow(d="b c", b="a", z="", c="a", a=""))
    assert names(graph) == ["z", "a", "b", "c", "d"]
    assert graph.needs == {"z": (), "a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    assert graph.targets == ("d", "z")


def test_only_what_targets_need_is_done():
    whole = flow(d="b c", b="a", z="", c="a", a="")
    assert names(make_graph(whole, ["c"])) == ["a", "c"]
    assert names(make_graph(whole, ["z", "b", "z"])) == ["z", "a", "b"]
    assert make_graph(whole, ["z", "b", "z"]).targets == ("z", "b")


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ({"a": "a"}, "f.yaml:6:10: steps need each other: a -> a; let one of them take something else"),
        ({"a": "b", "b": "a"}, "f.yaml:6:10: steps need each other: a -> b -> a; let one of them take something else"),
        # The circle alone is told, from its first step on, whoever waits for it.
        (
            {"w": "z", "x": "y", "y": "z", "z": "x", "v": ""},
            "f.yaml:10:10: steps need each other: x -> y -> z -> x; let one of them take something else",
        ),
    ],
)
def test_steps_that_need_each_other_are_told_by_name(needs, said):
    with pytest.raises(UserError) as caught:
        make_graph(flow(**needs))
    assert str(caught.value) == said


def test_a_circle_is_refused_also_where_no_target_needs_it():
    with pytest.raises(UserError, match="need each other"):
        make_graph(flow(a="", b="c", c="b"), ["a"])


def test_a_long_circle_is_told_in_short():
    needs = {f"s{number}": f"s{(number + 1) % 20}" for number in range(20)}
    with pytest.raises(UserError, match=r"s0 -> s1 -> s2 -> s3 -> … -> s17 -> s18 -> s19 -> s0;"):
        make_graph(flow(**needs))


def test_a_step_or_target_that_is_not_there():
    with pytest.raises(UserError, match=r"f.yaml:6:14: step count takes .*'texst'; did you mean 'texts'\?"):
        make_graph(flow(count="texst", texts=""))
    with pytest.raises(UserError, match=r"--target cuont: f.yaml has no such step; did you mean 'count'\?"):
        make_graph(flow(count=""), ["cuont"])


def test_a_chain_of_thousands_needs_no_stack():
    needs = {f"s{number}": f"s{number + 1}" if number < 4999 else "" for number in range(5000)}
    graph = make_graph(flow(**needs), ["s0"])
    assert names(graph) == [f"s{number}" for number in reversed(range(5000))]
