import threading

import pytest

from network.flow_schedule import StepState
from storage.errors import UserError
from tests.unit.network.flow_world import FlowWorld, WordsEngine, step, words
from verifier.audit import audit_record
from verifier.model import Record, load_node


@pytest.fixture
def world(tmp_path):
    return FlowWorld(tmp_path)


def states(ends):
    return {name: end.state.value for name, end in ends.items()}


def record_of(task):
    return task.session.record


def test_a_step_gets_what_another_gave(world):
    flow = (
        step("a", data=world.tree(x="1"))
        + step("b", data="${a/result}")
        + step("c", data={"l/a": "${a/result}", "r": "${b}"})
    )
    ends, tasks = world.run(flow)
    assert [task.task.step for task in tasks] == ["a", "b", "c"]
    assert world.read(ends["a"].value) == "x=1"
    assert world.read(ends["b"].value) == "=x=1"
    assert world.read(ends["c"].value) == "l/a=x=1 r/exit_code=0 r/result==x=1 r/stderr= r/stdout="
    assert states(ends) == {"a": "done", "b": "done", "c": "done"}


def test_every_task_is_a_verified_record_linked_to_those_it_takes_of(world):
    flow = step("a", data=world.tree(x="1")) + step("b", data="${a/result}", volumes={"/ref": "${a}"})
    flow += step("c", data={"a": "${a/result}", "b": "${b/result}"})
    _, tasks = world.run(flow)
    records = {task.task.step: record_of(task) for task in tasks}
    parents = {name: set(load_node(world.store, cid, Record).parents) for name, cid in records.items()}
    assert parents == {"a": set(), "b": {records["a"]}, "c": {records["a"], records["b"]}}
    for cid in records.values():
        report = audit_record(world.store, cid)
        assert report.verdict == "valid", report


def test_a_parent_of_which_nothing_was_taken_is_false(world):
    _, (a, b) = world.run(step("a", data=world.tree(x="1")) + step("b", data=world.tree(y="2")))
    unrelated = world.run_one(b.task.plan, parents=(record_of(a),))
    report = audit_record(world.store, unrelated.record)
    assert report.verdict == "invalid"
    assert [check.name for check in report.checks if check.ok is False] == ["parents"]


def test_a_map_gives_the_output_of_a_job_over_shards(world):
    writes = {"writes": {}}
    flow = step("m", split=f"map: {{over: {world.tree(a='1', b='2', c='3')}, glob: '/*', batch: 2}}", args=writes)
    ends, tasks = world.run(flow + step("z", data="${m/shards/1/result}"))
    assert [(task.task.step, task.task.index) for task in tasks] == [("m", 0), ("m", 1), ("z", 0)]
    assert world.read(ends["m"].value, "shards/0/result") == "a=1 b=2"
    assert world.read(ends["z"].value) == "=c=3"
    assert load_node(world.store, record_of(tasks[2]), Record).parents == (record_of(tasks[1]),)


def test_a_map_over_a_map_links_each_task_to_those_it_takes_of(world):
    def behave(files, args):
        names = sorted(files)
        return b"+".join(files[name] for name in names), {f"{names[0].rpartition('/')[2]}.txt": names[0]}, 0

    world.engine.behave = behave
    flow = step("m", split=f"map: {{over: {world.tree(a='1', b='2', c='3')}, glob: '/*'}}")
    flow += step("results", split="map: {over: '${m}', glob: '/shards/*/result', batch: 2}")
    flow += step("files", split="map: {over: '${m/outputs}', glob: '/**/*.txt', batch: 2}")
    flow += step("whole", data="${m/outputs}")
    _, tasks = world.run(flow)
    records = {(task.task.step, task.task.index): record_of(task) for task in tasks}
    parents = {key: set(load_node(world.store, cid, Record).parents) for key, cid in records.items()}
    of_m = [records["m", number] for number in range(3)]
    assert parents["results", 0] == set(of_m[:2])
    assert parents["results", 1] == {of_m[2]}
    assert parents["files", 0] == set(of_m[:2])
    assert parents["files", 1] == {of_m[2]}
    assert parents["whole", 0] == set(of_m)
    assert {audit_record(world.store, cid).verdict for cid in records.values()} == {"valid"}


def test_a_reduce_goes_on_until_one_is_left(world):
    def behave(files, args):
        return str(sum(int(content) for content in files.values())).encode(), {}, 0

    world.engine.behave = behave
    over = world.tree(**{f"n{number}": str(number) for number in range(10)})
    flow = step("m", split=f"map: {{over: {over}, glob: '/*'}}")
    flow += step("r", split="reduce: {over: '${m}', glob: '/shards/*/result', batch: 3}") + step(
        "z", data="${r/result}"
    )
    ends, tasks = world.run(flow, at_once=3)
    assert world.read(ends["z"].value) == "45"
    # 10 are taken as 3+3+3+1, these as 3+1, these as one.
    assert sorted(task.task.index for task in tasks if task.task.step == "r") == list(range(7))
    records = {(task.task.step, task.task.index): record_of(task) for task in tasks}
    parents = {key: load_node(world.store, cid, Record).parents for key, cid in records.items()}
    assert set(parents["r", 4]) == {records["r", number] for number in range(3)}
    assert set(parents["r", 6]) == {records["r", 4], records["r", 5]}
    assert parents["z", 0] == (records["r", 6],)
    assert {audit_record(world.store, cid).verdict for cid in records.values()} == {"valid"}


def test_a_reduce_of_one_batch_is_one_task(world):
    flow = step("r", split=f"reduce: {{over: {world.tree(a='1', b='2')}, glob: '/*'}}")
    ends, tasks = world.run(flow)
    assert (len(tasks), world.read(ends["r"].value)) == (1, "a=1 b=2")


def test_a_reduce_that_does_not_get_smaller_is_ended(world):
    files = {f"n{number}": str(number) for number in range(6)}
    writes = {"writes": {}}
    flow = step("r", split=f"reduce: {{over: {world.tree(**files)}, glob: '/**', batch: 2}}", args=writes)
    ends, tasks = world.run(flow)
    assert len(tasks) == 3
    assert ends["r"].problem == ("f.yaml:3:3: step r does not get smaller: 3 tasks gave what is 3 tasks again")


def test_what_tasks_contradict_each_other_in_is_a_failure(world):
    def behave(files, args):
        (content,) = files.values()
        return b"", {"same.txt": "same", "x.txt": content.decode()}, 0

    world.engine.behave = behave
    flow = step("m", split=f"map: {{over: {world.tree(a='1', b='2')}, glob: '/*'}}") + step("z", data="${m}")
    ends, _ = world.run(flow)
    assert states(ends) == {"m": "failed", "z": "not-run"}
    assert ends["m"].problem == "tasks wrote different content to one path: outputs/outputs/x.txt (tasks 0 and 1)"
    assert ends["z"].problem == "it needs m"


@pytest.mark.parametrize(
    ("content", "problem"),
    [("fail", "the function failed with exit code 1"), ("broken", "it was not verified (too-few)")],
)
def test_what_needs_a_failed_step_is_not_run_and_the_others_are(world, content, problem):
    flow = step("a", data=world.tree(x=content)) + step("b", data="${a}") + step("c", data={"b": "${b}", "d": "${d}"})
    flow += step("d", data=world.tree(x="1")) + step("e", data="${d}")
    ends, tasks = world.run(flow)
    assert states(ends) == {"a": "failed", "b": "not-run", "c": "not-run", "d": "done", "e": "done"}
    assert [ends[name].problem for name in "abc"] == [problem, "it needs a", "it needs b"]
    assert [task.task.step for task in tasks] == ["a", "d", "e"]
    assert world.engine.stops == 0


def test_after_a_failed_task_no_further_one_of_its_step_begins(world):
    flow = step("m", split=f"map: {{over: {world.tree(a='1', b='fail', c='3', d='4')}, glob: '/*'}}")
    ends, tasks = world.run(flow + step("o", data=world.tree(x="1")))
    assert ends["m"].problem == "task 1: the function failed with exit code 1"
    assert [(task.task.step, task.task.index) for task in tasks] == [("m", 0), ("m", 1), ("o", 0)]


def test_what_is_wrong_with_the_first_steps_is_said_before_anything_runs(world):
    flow = step("a", data=world.tree(x="1")) + step("m", split=f"map: {{over: {world.tree(a='1')}, glob: '/*.csv'}}")
    with pytest.raises(UserError, match=r"f.yaml:6:3: step m: glob '/\*.csv': picks nothing"):
        world.run(flow)
    assert world.engine.tasks == []
    assert world.engine.stops == 1


def test_what_is_wrong_with_what_a_step_gave_fails_who_takes_it(world):
    flow = step("a", data=world.tree(x="1")) + step("b", data="${a/outputs/outputs/y}") + step("c", data="${a/result}")
    flow += step("m", split="map: {over: '${a}', glob: '/*.csv'}")
    ends, _ = world.run(flow)
    assert states(ends) == {"a": "done", "b": "failed", "c": "done", "m": "failed"}
    assert "${a/outputs/outputs/y} is not there: step a gave no 'outputs/outputs/y'" in ends["b"].problem
    assert "f.yaml:8:11" in ends["b"].problem
    assert "picks nothing" in ends["m"].problem


def test_contents_that_stand_in_each_others_way(world):
    flow = step("a", data=world.tree(x="1")) + step("b", data="${a}", volumes={"/inputs/x": "${a}"})
    flow += step("c", data={"p": "${a}", "p/q": "${a}"})
    ends, _ = world.run(flow)
    assert states(ends) == {"a": "done", "b": "failed", "c": "failed"}
    assert "step b: -v: /inputs/x lies in /inputs" in ends["b"].problem
    assert "step c: data: 'p/q': path leads through something that is no directory" in ends["c"].problem


def test_several_run_at_a_time(tmp_path):
    """Two sessions of two executions each meet, or this test would never end."""
    meeting = threading.Barrier(4)

    def behave(files, args):
        meeting.wait()
        return words(files, args)

    world = FlowWorld(tmp_path, WordsEngine(behave))
    ends, _ = world.run(step("a", data=world.tree(x="1")) + step("b", data=world.tree(x="2")), at_once=2)
    assert set(states(ends).values()) == {"done"}


def test_an_error_in_a_task_ends_everything(world):
    def run(task):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        world.run(step("a", data=world.tree(x="1")) + step("b", data=world.tree(x="2")), run=run)
    assert world.engine.stops == 1


def test_a_caller_that_gives_up_ends_what_is_under_way(world):
    events = world.events(world.graph(step("a", data=world.tree(x="1")) + step("b", data="${a}")))
    next(events)
    events.close()
    assert world.engine.stops == 1


def test_what_is_only_looked_at_tells_as_much_as_is_known(world):
    """Of a flow of which some tasks are known: steps as far as these lead."""
    over = world.tree(a="1", b="2", c="3")
    flow = step("a", data=world.tree(x="1")) + step("m", split=f"map: {{over: {over}, glob: '/*'}}")
    flow += step("b", data="${a/result}") + step("c", data="${b/result}") + step("z", data={"a": "${a}", "m": "${m}"})
    known = {}
    world.run(flow, run=lambda task: known.setdefault((task.step, task.index), world.verify(task)))
    known = {key: session for key, session in known.items() if key not in (("b", 0), ("m", 1))}
    calls = len(world.engine.tasks)
    ends, tasks = world.run(flow, run=lambda task: known.get((task.step, task.index)))
    assert states(ends) == {"a": "done", "m": "unknown", "b": "unknown", "c": "not-run", "z": "not-run"}
    assert [(task.task.step, task.task.index, task.session is not None) for task in tasks] == [
        ("a", 0, True), ("m", 0, True), ("m", 1, False), ("m", 2, True), ("b", 0, False),
    ]  # fmt: skip
    assert len(world.engine.tasks) == calls
    assert ends["b"].state is StepState.UNKNOWN


def test_a_flow_can_be_cut_anywhere_and_goes_on(world):
    """Whatever was verified when it ended is taken; no task that was is run again, and the outputs are the same."""
    over = world.tree(a="1", b="2", c="3")
    flow = step("m", split=f"map: {{over: {over}, glob: '/*'}}") + step("a", data=world.tree(x="1"))
    flow += step("r", split="reduce: {over: '${m}', glob: '/shards/*/result', batch: 2}")
    flow += step("z", data={"r": "${r/result}", "a": "${a/result}"})
    whole, tasks = world.run(flow)
    for cut in range(len(tasks) + 1):
        known, ran = {}, []

        def run(task, known=known, ran=ran):
            if task.plan.task not in known:
                ran.append(task.plan.task)
                known[task.plan.task] = world.verify(task)
            return known[task.plan.task]

        events = world.events(world.graph(flow), run=run)
        while len(known) < cut:
            next(events)
        events.close()
        ends, _ = world.run(flow, run=run)
        assert ends["z"].value.output == whole["z"].value.output
        assert ran == list(dict.fromkeys(ran))
        assert len(ran) == len(tasks)
