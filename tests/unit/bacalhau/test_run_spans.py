"""Spans of commands and calls: of preparing, and of jobs that run on nodes of this process, in their jobs' traces."""

from hashlib import sha256

from bacalhau.executor import Executor
from bacalhau.progress import Display
from bacalhau.run_spans import TracedRun
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from tests.unit.bacalhau.test_executor import run_here, size
from tests.unit.bacalhau.test_node_commands import here  # noqa: F401
from tests.unit.bacalhau.test_run_flow import flow, run  # noqa: F401
from tests.unit.bacalhau.test_tracing import collector, words  # noqa: F401


def trace_of(job):
    return sha256(job.encode()).digest()[:16]


def spans(found, name):
    return [span for _, span in found.named(name)]


def names(found):
    return sorted(span.name for _, span in found.spans)


RUN = sorted(["prepare", "execution", "execution", "execution", "verification", "job"])


def test_a_run_without_a_node_is_one_trace(desk, collector):  # noqa: F811
    report = desk.run("-i", desk.file())
    assert names(collector) == RUN
    assert {span.trace_id for _, span in collector.spans} == {trace_of(report["job"])}
    ((_, root),) = collector.named("job")
    assert {span.parent_span_id for _, span in collector.spans if span is not root} == {root.span_id}
    assert words(root.attributes)["bacalhau.record"] == report["record"]
    ((_, prepare),) = collector.named("prepare")
    assert words(prepare.attributes)["bacalhau.task"] == report["task"]
    assert root.start_time_unix_nano <= prepare.start_time_unix_nano <= prepare.end_time_unix_nano
    for _, span in collector.named("execution"):
        assert words(span.attributes)["bacalhau.phase.run_s"] == 0.001
        assert prepare.end_time_unix_nano <= span.start_time_unix_nano <= root.end_time_unix_nano


def test_a_host_that_fails_is_an_error(desk, collector):  # noqa: F811
    from runtime.engine import UndeterminedError

    desk.engine.behave = lambda number, plan, store: UndeterminedError("disk full") if number == 1 else Gave()
    desk.run()
    failed = [span for _, span in collector.named("execution") if span.status.code == 2]
    assert [span.status.message for span in failed] == ["disk full"]


def test_a_run_over_shards_is_one_trace(desk, collector, tmp_path):  # noqa: F811
    desk.engine.behave = lambda *_: Gave()
    (tmp_path / "texts").mkdir()
    for name in ("a", "b"):
        (tmp_path / "texts" / name).write_text(name)
    report = desk.run("-i", tmp_path / "texts", "--sharding-glob-pattern", "/*")
    assert {span.trace_id for _, span in collector.spans} == {trace_of(report["job"])}
    assert names(collector).count("execution") == 6
    assert set(names(collector)) == {"job", "prepare", "execution", "verification"}


def test_what_is_prepared_for_a_node_is_in_the_trace_of_its_nodes(desk, here, collector):  # noqa: F811
    report = desk.run()
    assert report["job"] in here.control.kept
    ((_, span),) = collector.spans
    assert (span.name, span.trace_id) == ("prepare", trace_of(report["job"]))


def test_a_flow_is_one_trace_with_its_steps_and_their_tasks_below(desk, flow, collector):  # noqa: F811
    report = run(desk, flow, "--target", "shout", "--target", "other")
    assert {span.trace_id for _, span in collector.spans} == {trace_of(report["job"])}
    ((_, root),) = collector.named("job")
    assert words(root.attributes)["bacalhau.verdict"] == "agreed"
    steps = {words(span.attributes)["bacalhau.step"]: span for _, span in collector.named("step")}
    assert set(steps) == {"count", "total", "shout", "other"}
    assert {span.parent_span_id for span in (*steps.values(), *spans(collector, "prepare"))} == {root.span_id}
    assert words(steps["count"].attributes)["bacalhau.tasks"] == 3
    tasks = spans(collector, "verification")
    for task in tasks:
        step = steps[words(task.attributes)["bacalhau.step"]]
        assert task.parent_span_id == step.span_id
        assert step.start_time_unix_nano <= task.start_time_unix_nano <= task.end_time_unix_nano
        assert task.end_time_unix_nano <= step.end_time_unix_nano
    assert {words(task.attributes)["bacalhau.task"] for task in tasks} == {row["task"] for row in report["shards"]}
    below = [span.parent_span_id for span in spans(collector, "execution")]
    assert sorted(below) == sorted(3 * [task.span_id for task in tasks])
    assert len({span.span_id for _, span in collector.spans}) == len(collector.spans)


def test_a_flow_that_goes_on_tells_what_was_known_and_what_failed(desk, flow, collector, tmp_path):  # noqa: F811
    (tmp_path / "texts/a.txt").write_text("fail")
    # One at a time: of several at once the one that fails stops others, and how far they were is chance.
    run(desk, flow, "-j", "1")
    before = len(collector.spans)
    failed = {words(span.attributes)["bacalhau.step"]: span.status for span in spans(collector, "step")}
    assert {step: status.code for step, status in failed.items()} == {"count": 2, "other": 0}
    assert failed["count"].message == "task 0: the function failed with exit code 1"
    run(desk, flow, "-j", "1")
    again = [span for _, span in collector.spans[before:]]
    assert {span.name for span in again} == {"job", "prepare", "step", "verification"}
    of_tasks = [words(span.attributes) for span in again if span.name == "verification"]
    assert {said["bacalhau.verdict"] for said in of_tasks} == {"cached"}


def test_calls_of_the_python_api_are_traces_of_their_own(desk, collector):  # noqa: F811
    desk.engine = FakeEngine(run_here)
    with Executor(services=desk.services()) as executor:
        jobs = [r.job for r in executor.map(size, [b"", b"1"])]
    assert names(collector) == sorted(2 * RUN)
    assert {span.trace_id for _, span in collector.spans} == set(map(trace_of, jobs))


def test_nothing_is_told_and_nothing_is_wrapped_where_tracing_is_off():
    off = TracedRun(job="0" * 32, began_s=0.0, tell=None)
    display, engines = Display(step=print, transfer=print), (FakeEngine(),)
    assert off.watched(display) is display
    assert off.timed(engines) is engines
    off.prepared()
    off.ended({}, 0.0)


def test_phases_of_preparing_are_spans():
    told, at, said = [], iter(range(1, 100)), []
    run = TracedRun(job="0" * 32, began_s=0.0, tell=told.append, clock=lambda: float(next(at)))
    step = run.watched(Display(step=said.append, transfer=print)).step
    for phrase in ("resolving packages", "fetching numpy 2", "fetching pandas 3", "waiting", "importing a.csv"):
        step(phrase)
    run.prepared("task")
    assert [(span.name, span.began_s, span.ended_s) for span in told] == [
        ("prepare", 0.0, 6.0), ("resolve", 1.0, 2.0), ("fetch", 2.0, 4.0), ("fetch", 5.0, 6.0)
    ]  # fmt: skip
    assert said[0] == "resolving packages"


def test_a_variable_that_asks_for_what_there_is_not_is_told(desk, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    said = desk("run", "python", desk.function)
    assert (said.code, said.err.splitlines()[-1]) == (
        2, "bacalhau: OTEL_TRACES_EXPORTER: there is no exporter 'zipkin'; use otlp, console, none"
    )  # fmt: skip
