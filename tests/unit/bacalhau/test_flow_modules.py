"""Flows whose steps are WebAssembly modules, beside Python functions: the same tasks, records and reports."""

import textwrap

import pytest
from wasmtime import wat2wasm

import bacalhau
from runtime.wasm_prepare import prepare_wasm
from storage.cid import parse_cid
from tests.unit.bacalhau.fakes import FakeEngine
from tests.unit.bacalhau.test_run_flow import joined, run, write
from verifier.model import Function, Record, Task, load_node
from verifier.wasm_types import WasmFunction, load_function

MODULE = '(module (memory {pages}) (func (export "_start")))'
FLOW = """
    flow: 1
    args: {top: 5}
    steps:
      count:
        module: count.wasm
        arguments: [-n, '${args.top}']
        map: {over: texts, glob: '/*', batch: 2}
      total:
        function: f.py
        reduce: {over: '${count}', glob: '/shards/*/result', batch: 2}
      again:
        module: count.wasm
        data: ${total/result}
        memory: 64Mb
    """


@pytest.fixture
def flow(desk, tmp_path):
    python = desk.prepare

    def prepare(request, *, store, engine, progress, report, note):
        if request.module is None:
            return python(request, store=store, engine=engine, progress=progress, report=report, note=note)
        return prepare_wasm(request, store=store, cache_dir=tmp_path / "cache", note=note)

    desk.prepare = prepare
    desk.engine = FakeEngine(joined)
    (tmp_path / "f.py").write_text("def main(data):\n    pass\n")
    (tmp_path / "count.wasm").write_bytes(bytes(wat2wasm(MODULE.format(pages=1))))
    (tmp_path / "texts").mkdir()
    for name in "abc":
        (tmp_path / "texts" / name).write_text(name)
    return write(tmp_path, FLOW)


def kinds(desk, report):
    with desk.store() as store:
        for shard in report["shards"]:
            record = load_node(store, parse_cid(shard["record"]), Record)
            yield type(load_function(store, load_node(store, record.task, Task).function))


def test_modules_and_functions_are_steps_of_one_flow(desk, flow):
    plan = run(desk, flow, "--dry-run")
    assert ([step["state"] for step in plan["steps"]], desk.engine.calls) == (["unknown", "not-run", "not-run"], 0)
    report = run(desk, flow)
    assert (report["verdict"], report["tier"], desk.engine.calls) == ("agreed", "verified", 12)
    assert list(kinds(desk, report)) == [WasmFunction, WasmFunction, Function, WasmFunction]
    assert desk("cat", f"{report['output']}/result").out == b"abc"
    assert desk("audit", report["job"]).code == 0
    assert {("node", False), ("wasmtime", False)} <= set(desk.asked)
    assert run(desk, flow)["verdict"] == "cached"
    changed = run(desk, flow, "--arg", "top=6")
    assert [one["cached"] for one in changed["shards"]] == [False, False, True, True]


def test_a_flow_in_python_takes_modules(desk, flow, tmp_path):
    made = bacalhau.Flow(services=desk.services())
    count = made.map(over="texts", glob="/*", batch=2, module="count.wasm", arguments=["-n", "5"])
    total = made.reduce("f.py", over=count, glob="/shards/*/result", batch=2, name="total")
    again = made.step(data=total / "result", module="count.wasm", memory="64Mb", name="again")
    assert count.name == "count"
    assert made.run(again).report["function"] == run(desk, flow)["function"]


def test_policies_hold_for_modules_too(desk, flow):
    forbids = desk.file(b'[forbid]\nengine = "wasmtime"\n', "forbids.toml")
    said = desk("run", "flow", flow, "--policy", forbids)
    assert (said.code, "never engine wasmtime" in said.err, desk.engine.calls) == (4, True, 0)
    strict = desk.file(b'[require]\nisolation = "strict"\n', "strict.toml")
    assert desk("run", "flow", flow, "--policy", strict).code == 0
    assert {level.value for level in desk.levels[-2:]} == {"namespaces"}


@pytest.mark.parametrize(
    ("wat", "said"),
    [
        (MODULE.format(pages=2000), "begins with 131072000 bytes of memory, and --memory is 67108864"),
        ("(module)", "exports no function _start"),
    ],
)
def test_a_module_that_cannot_run_is_told_with_its_step(desk, flow, tmp_path, wat, said):
    (tmp_path / "count.wasm").write_bytes(bytes(wat2wasm(wat)))
    told = desk("run", "flow", flow)
    assert (told.code, said in told.err, "flow.yaml:" in told.err) == (2, True, True), told.err
    assert desk.engine.calls == 0


def test_a_flow_of_modules_alone(desk, flow, tmp_path):
    text = """
        flow: 1
        steps: {one: {module: count.wasm, data: texts}}
        """
    assert run(desk, write(tmp_path, textwrap.dedent(text)))["verdict"] == "agreed"
