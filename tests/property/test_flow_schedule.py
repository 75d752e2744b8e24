"""Random flows: order, what targets need, what failures leave undone, and circles."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.flow_schedule import FlowSchedule, StepState
from runtime.flow_graph import make_graph
from runtime.flow_types import Flow, Reference, Step, StepKind, Tree
from runtime.request import Request
from storage.errors import UserError


def step(name, needs):
    entries = tuple((one, Reference(step=one, path="result", at=f"{name} takes {one}")) for one in needs)
    data = Tree(entries=entries, at=name) if needs else None
    return Step(name=name, kind=StepKind.ONE, request=Request(code="x"), data=data, split=None, volumes=(), at=name)


@st.composite
def flows(draw):
    """Steps in some order; each needs some of those with smaller numbers."""
    count = draw(st.integers(1, 12))
    needs = [draw(st.sets(st.integers(0, number - 1))) if number else set() for number in range(count)]
    order = draw(st.permutations(range(count)))
    return Flow(name="f", steps=tuple(step(f"s{n}", [f"s{one}" for one in sorted(needs[n])]) for n in order))


def closure(graph, names):
    found = set(names)
    for one in reversed(graph.steps):
        if one.name in found:
            found.update(graph.needs[one.name])
    return found


@given(flows(), st.data())
def test_only_what_is_needed_in_an_order_that_can_be_done(flow, data):
    whole = make_graph(flow)
    assert {one.name for one in whole.steps} == {one.name for one in flow.steps}
    targets = data.draw(st.lists(st.sampled_from([one.name for one in flow.steps]), min_size=1, max_size=3))
    graph = make_graph(flow, targets)
    done = set()
    for one in graph.steps:
        assert done.issuperset(graph.needs[one.name])
        done.add(one.name)
    assert len(done) == len(graph.steps)
    assert done == closure(whole, targets)
    # The same steps written in the same order give the same graph.
    assert make_graph(flow, targets) == graph


@given(flows(), st.data())
def test_every_step_begins_once_after_what_it_needs_and_never_after_a_failure(flow, data):
    graph = make_graph(flow)
    schedule, under_way, done, gone = FlowSchedule(graph.needs), [], set(), set()
    begun = []
    while True:
        while (name := schedule.begin()) is not None:
            assert done.issuperset(graph.needs[name])
            begun.append(name)
            under_way.append(name)
        if not under_way:
            break
        name = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
        state = data.draw(st.sampled_from([StepState.DONE, StepState.DONE, StepState.FAILED, StepState.UNKNOWN]))
        left = schedule.end(name, state)
        assert not left or state is not StepState.DONE
        (done if state is StepState.DONE else gone).add(name)
        for other, why in left:
            assert why in graph.needs[other]
            assert why in gone
            assert other not in gone
            gone.add(other)
    assert len(begun) == len(set(begun))
    assert done | gone == {one.name for one in graph.steps}
    # Nothing is left undone without a reason, and nothing is done that needed what gave nothing.
    assert all(done.issuperset(graph.needs[name]) for name in done)
    for name in gone - set(begun):
        assert schedule.state(name) is StepState.NOT_RUN
        assert gone.intersection(graph.needs[name])


@given(flows(), st.data())
def test_a_circle_is_found_and_told_as_it_is(flow, data):
    names = [one.name for one in flow.steps]
    circle = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=8, unique=True))
    after = dict(zip(circle, circle[1:] + circle[:1], strict=True))
    needs = {one.name: [reference.step for reference in one.references()] for one in flow.steps}
    steps = [step(name, sorted({*needs[name], *([after[name]] if name in after else [])})) for name in names]
    with pytest.raises(UserError) as caught:
        make_graph(replace(flow, steps=tuple(steps)))
    told = caught.value.problem.removeprefix("steps need each other: ").split(" -> ")
    assert told[0] == told[-1]
    taken = {one.name: {reference.step for reference in one.references()} for one in steps}
    assert all("…" in pair or pair[1] in taken[pair[0]] for pair in pairwise(told))
    assert caught.value.where == f"{told[0]} takes {told[1]}"


def test_a_step_ends_once():
    schedule = FlowSchedule({"a": ()})
    with pytest.raises(ValueError, match="step a is waiting"):
        schedule.end("a", StepState.DONE)
    assert schedule.begin() == "a"
    schedule.end("a", StepState.DONE)
    with pytest.raises(ValueError, match="step a is done"):
        schedule.end("a", StepState.DONE)
