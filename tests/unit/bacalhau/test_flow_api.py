import subprocess
import sys

import pytest

import bacalhau
from storage.cid import cid_text
from storage.errors import UserError
from tests.unit.bacalhau.fakes import FakeEngine
from tests.unit.bacalhau.test_run_flow import FLOW, joined, run, write


@pytest.fixture
def desk(desk, tmp_path):
    desk.engine = FakeEngine(joined)
    (tmp_path / "texts").mkdir()
    for name in "abc":
        (tmp_path / "texts" / f"{name}.txt").write_text(name)
    (tmp_path / "f.py").write_text("def main(data):\n    pass\n")
    (tmp_path / "g.py").write_text("def main(data, mark=''):\n    pass\n")
    return desk


def test_a_flow_in_python_is_the_flow_of_a_file(desk, tmp_path):
    flow = bacalhau.Flow(services=desk.services())
    count = flow.map("f.py", over="texts", glob="/**/*.txt", name="count")
    total = flow.reduce("f.py", over=count, glob="/shards/*/result", batch=2, name="total")
    shout = flow.step("g.py", data=total / "result", args={"mark": "!"}, name="shout")
    other = flow.step(code="print(1)", name="other")
    assert desk.engine.calls == 0
    plan = flow.plan(shout)
    assert ([step["state"] for step in plan["steps"]], desk.engine.calls) == (["unknown", "not-run", "not-run"], 0)
    result = flow.run(shout, other)
    assert result.verified
    report = run(desk, write(tmp_path, FLOW))
    assert (report["verdict"], report["function"], report["output"]) == (
        "cached", result.report["function"], cid_text(result.output),
    )  # fmt: skip


def test_what_a_flow_gives(desk):
    told = []
    flow = bacalhau.Flow(services=desk.services())
    both = flow.step("f.py", data={"x": "texts/a.txt", "y/z": "texts/b.txt"}, volumes={"/ref": "texts"})
    after = flow.step("g.py", data=both / "result", args={"mark": "?"})
    assert (both.name, after.name) == ("f", "g")
    result = flow.run(after, progress=told.append, concurrency=2, labels=("x",))
    assert (result.read(), result.read("exit_code"), result.verified) == (b"ab?", b"0", True)
    assert result.record is not None
    assert result.report["labels"] == ["x"]
    assert "step g done (2 of 2 steps)" in told
    assert desk("audit", cid_text(result.record)).code == 0
    assert desk("list", "--json").json["job"] == result.report["job"]


def test_what_fails_is_told(desk, tmp_path):
    (tmp_path / "texts" / "b.txt").write_text("fail")
    flow = bacalhau.Flow(services=desk.services())
    flow.step("f.py", data=flow.map("f.py", over="texts", glob="/*"))
    result = flow.run()
    assert (result.verified, result.output, result.record) == (False, None, None)
    with pytest.raises(UserError, match="gave no output; step f: task 1: the function failed with exit code 1"):
        result.read()


def test_only_what_is_asked_for_is_done(desk):
    flow = bacalhau.Flow(services=desk.services())
    first = flow.step(code="print(1)")
    flow.step("f.py", data="nowhere")
    assert flow.run(first).verified
    assert desk.engine.calls == 3


def test_wrong_calls(desk):
    flow, other = bacalhau.Flow("mine", services=desk.services()), bacalhau.Flow(services=desk.services())
    step = flow.step("f.py")
    for call, said in [
        (lambda: other.step("f.py", data=step), "step f: is a step of another flow"),
        (lambda: other.run(step), "step f: is a step of another flow"),
        (lambda: other.run(), "flow: has no steps"),
        (lambda: flow.step(), "step step: has neither function, code nor module"),
        (lambda: flow.step("f.py", code="x"), "step f-2: has function and code"),
        (lambda: flow.step("f.py", name="f"), "step f: is no name for a step, or taken"),
        (lambda: flow.step("f.py", name="args"), "step args: is no name for a step, or taken"),
        (lambda: flow.step("f.py", args={"x": object()}), "step f-2: an argument is no JSON"),
        (lambda: flow.step("f.py", args={"x": float("nan")}), "step f-2: an argument is no JSON"),
        (lambda: flow.step("f.py", memory="9Gb"), "--memory: 9Gb is out of range"),
        (lambda: flow.step("f.py", data=""), "step f-2: takes content that has no name"),
        (lambda: flow.map("f.py", over=step, glob="*.txt"), "does not begin with '/'"),
        (lambda: flow.reduce("f.py", over=step, glob="/*", batch=1), "batch is 1"),
        (lambda: step / "../x", "step f: '../x' is not a plain path"),
    ]:
        with pytest.raises(UserError) as caught:
            call()
        assert said in str(caught.value)
    assert [one["name"] for one in flow.plan()["steps"]] == ["f"]


def test_what_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'Flows'"):
        bacalhau.Flows  # noqa: B018
    assert bacalhau.FlowStep.__name__ == "FlowStep"
    assert bacalhau.FlowResult.__name__ == "FlowResult"


def test_importing_the_package_loads_nothing():
    names = ("runtime", "network", "storage", "yaml", "click")
    script = f"import sys, bacalhau; print([name for name in {names} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
