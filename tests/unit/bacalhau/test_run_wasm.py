"""`run wasm`: what its flags ask for, and that stacks, engines and audits know modules."""

from pathlib import Path

import pytest

from runtime.engine import NO_PACKAGES
from runtime.plan import make_plan
from runtime.planner.stack import EngineName
from storage.cid import cid_text, parse_cid
from storage.unixfs_import import Importer
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from verifier.model import Input, Limits, OutputMount, store_node
from verifier.wasm_types import MAGIC, WasmFunction, WasmRuntime, load_function


def plans_of_modules(requests):
    """Return what plans a module of a few bytes, and keeps what was asked for in `requests`."""

    def prepare(request, *, store, engine, progress, report, note):
        requests.append(request)
        runtime = WasmRuntime(profile="wasi-1", engine="wasmtime", version="1", host="00" * 32, settings={})
        module = Importer(store).bytes(MAGIC).cid
        data = None if request.data is None else Importer(store).path(Path(request.data)).cid
        input_ = Input(
            data=data, volumes=(), outputs=(OutputMount(name="outputs", path="/outputs"),), env={}, seed=None,
            args={"argv": list(request.arguments)}, epoch=request.epoch,
            limits=Limits(fuel=request.fuel, memory=1 << 29, output=1 << 26),
        )  # fmt: skip
        function = WasmFunction(module=module, runtime=store_node(store, runtime))
        return make_plan(function, input_, NO_PACKAGES, store=store, wall_clock_s=request.timeout_s)

    return prepare


@pytest.fixture
def asked(desk):
    """Requests that were planned, each as a module of a few bytes."""
    requests = []
    desk.prepare = plans_of_modules(requests)
    return requests


def test_a_module_runs_with_what_stands_behind_the_dashes(desk, asked):
    said = desk("run", "wasm", "main.wasm", "--fuel", "9", "-e", "A=1", "--json", "--", "-x", "--json", "é")
    assert said.code == 0, said.err
    (request,) = asked
    assert (request.module, request.arguments, request.fuel) == ("main.wasm", ("-x", "--json", "é"), 9)
    assert (request.function, request.code, request.env) == (None, None, ("A=1",))
    assert (said.json["verdict"], said.json["tier"], said.json["lock"]) == ("agreed", "verified", [])
    assert desk.asked == [("wasmtime", False)]


def test_its_record_is_audited_and_run_again_in_the_engine_of_modules(desk, asked):
    report = desk("run", "wasm", "main.wasm", "--json").json
    desk.asked.clear()
    found = desk("audit", report["record"], "--rerun", "--json")
    assert (found.code, found.json["verdict"], found.json["reruns"][0]["ok"]) == (0, "valid", True)
    assert desk.asked == [("node", False), ("wasmtime", False)]


def test_a_diff_compares_its_outputs_and_says_what_runs_it_again(desk, asked):
    report = desk("run", "wasm", "main.wasm", "--json").json
    found = desk("diff", report["record"], report["record"], "--json")
    assert (found.code, found.json["verdict"]) == (0, "same")
    assert "`bacalhau audit RECORD --rerun`" in found.json["rerun"]["reason"]


def test_a_runtime_of_another_release_is_not_run_again(desk, asked):
    report = desk("run", "wasm", "main.wasm", "--json").json
    desk.knows_runtime = lambda _runtime: False
    found = desk("audit", report["record"], "--rerun", "--json").json
    assert found["verdict"] == "unchecked"
    assert "neither this release's" in found["reruns"][0]["detail"]


def test_a_plan_names_the_module(desk, asked):
    plan = desk("run", "wasm", "main.wasm", "--dry-run", "--json").json
    assert plan["module"].startswith("bafkrei")
    assert "source" not in plan
    assert plan["args"] == {"argv": []}
    assert "module" in desk("run", "wasm", "main.wasm", "--dry-run").text


def test_the_stack_is_wasmtime_in_a_jail(desk, asked):
    said = desk("run", "wasm", "main.wasm", "--explain", "--json").json
    assert [part["engine"] for part in said["stack"]["engines"]] == [EngineName.WASMTIME]
    assert (said["stack"]["kind"], said["stack"]["tier"]) == ("wasm", "verified")
    policy = desk.file(b'[require]\nisolation = "strict"\n', "policy.toml")
    assert desk("run", "wasm", "main.wasm", "--policy", policy).code == 0
    assert desk.levels[-1].value == "namespaces"
    forbids = desk.file(b'[forbid]\nengine = "wasmtime"\n', "forbids.toml")
    said = desk("run", "wasm", "main.wasm", "--policy", forbids)
    assert (said.code, "never engine wasmtime" in said.err) == (4, True)


def test_a_module_that_fails_is_verified_all_the_same(desk, asked):
    desk.engine = FakeEngine(lambda *_: Gave(exit_code=134, stderr=b"main.wasm: trap: integer overflow\n"))
    said = desk("run", "wasm", "main.wasm")
    assert said.code == 3
    assert "the function failed with exit code 134, 3 of 3 nodes agree" in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument"),
        (("",), "it is empty"),
        (("main.wasm", "--concurrency", "1"), "is more than --concurrency 1"),
        (("main.wasm", "--no-wait"), "needs a node"),
        (("main.wasm", "--no-deterministic"), "only deterministic runs exist"),
        (("main.wasm", "--entry", "main"), "No such option"),
        (("main.wasm", "--sharding-glob-pattern", "/*"), "there is no input to split"),
        (("main.wasm", "--sharding-batch-size", "2"), "means nothing without"),
        (("main.wasm", "--diverse"), "cannot be had"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(desk, asked, arguments, said):
    told = desk("run", "wasm", *arguments)
    assert told.code == 2 or "diverse" in str(arguments)
    assert said in told.err
    assert told.err.count("\n") == 1
    assert asked == []


def test_the_graph_knows_what_rests_on_a_module(desk, asked):
    report = desk("run", "wasm", "main.wasm", "--json").json
    with desk.store() as store:
        function = load_function(store, parse_cid(report["function"]))
    assert isinstance(function, WasmFunction)
    assert desk("publish", report["record"], "--to", "car:all.car").code == 0
    assert desk("publish", report["record"], "--to", "car:less.car", "--no-wheels").code == 0
    for cid in (function.module, function.runtime):
        assert report["record"] in desk("graph", "dependents", cid_text(cid)).text


def test_what_is_known_is_not_run_again_unless_that_is_asked_for(desk, asked):
    first = desk("run", "wasm", "main.wasm", "--json").json
    assert desk.engine.calls == 3
    assert desk("run", "wasm", "main.wasm", "--json").json["verdict"] == "cached"
    assert desk.engine.calls == 3
    again = desk("run", "wasm", "main.wasm", "--no-cache", "--json").json
    assert (again["verdict"], again["output"]) == ("agreed", first["output"])
    assert desk.engine.calls == 6
