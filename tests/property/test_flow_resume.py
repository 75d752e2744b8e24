"""Random flows, cut at random moments as often as one likes: tasks and outputs are those of a flow that was not cut."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.network.flow_world import FlowWorld, step


@st.composite
def flows(draw, world):
    """Up to six steps: one task over what others gave, a map or a reduce."""
    text = ""
    for number in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["one", "map", "reduce"]))
        taken = sorted(draw(st.sets(st.integers(0, number - 1)))) if number else []
        if kind == "one" or not taken:
            data = {f"from/{one}": f"${{s{one}}}" for one in taken} or world.tree(**{f"f{number}": str(number)})
            text += step(f"s{number}", data=data)
        else:
            # Of whatever a step is: there are results somewhere in it.
            batch = draw(st.integers(1, 3)) if kind == "map" else 9
            over = f"over: '${{s{taken[0]}}}', glob: '/**/result', batch: {batch}"
            text += step(f"s{number}", split=f"{kind}: {{{over}}}")
    return text


def digest(files, args):
    """Something short that depends on all names and contents."""
    import hashlib

    return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest().encode(), {}, 0


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_flow_that_is_cut_goes_on(data):
    with TemporaryDirectory() as folder:
        world = FlowWorld(Path(folder), replication=1)
        world.engine.behave = digest
        text = data.draw(flows(world))
        whole, tasks = world.run(text)
        known = {}

        def run(task):
            if task.plan.task not in known:
                known[task.plan.task] = world.verify(task)
            return known[task.plan.task]

        for events in data.draw(st.lists(st.integers(0, 12), max_size=4)):
            under_way = world.events(world.graph(text), run=run)
            for _ in range(events):
                if next(under_way, None) is None:
                    break
            under_way.close()
        ends, _ = world.run(text, run=run)
        assert {name: end.state for name, end in ends.items()} == {name: end.state for name, end in whole.items()}
        for name, end in ends.items():
            assert (end.value and end.value.output) == (whole[name].value and whole[name].value.output)
        assert set(known) == {one.task.plan.task for one in tasks}
