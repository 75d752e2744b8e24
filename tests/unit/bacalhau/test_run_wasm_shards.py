"""`run wasm` over shards: what `run python` does with them, on the embedded nodes and on a node elsewhere."""

import pytest

from bacalhau.node_client import NodeClient
from storage.cid import parse_cid
from storage.unixfs_read import UnixfsReader
from tests.unit.bacalhau.fakes import FakeEngine, Gave
from tests.unit.bacalhau.test_node_commands import elsewhere  # noqa: F401
from tests.unit.bacalhau.test_run_wasm import asked  # noqa: F401
from verifier.model import Record, Task, load_node
from verifier.wasm_types import WasmFunction, load_function

pytestmark = pytest.mark.usefixtures("asked")
SPLIT = ("--sharding-glob-pattern", "/*", "--sharding-batch-size", "2")


@pytest.fixture
def folder(tmp_path):
    """Five files: three shards by batches of two."""
    made = tmp_path / "folder"
    made.mkdir()
    for name in "abcde":
        (made / name).write_text(name)
    return made


def run(desk, folder, *arguments):
    said = desk("run", "wasm", "main.wasm", "-i", folder, *SPLIT, "--json", *arguments, "--", "-x")
    assert said.out, said.err
    return said.json


def test_every_shard_of_a_module_is_verified_known_again_and_audited(desk, folder, tmp_path):
    desk.engine = FakeEngine(lambda _number, plan, _store: Gave(stdout=str(plan.input.args).encode()))
    assert run(desk, folder, "--dry-run")["sharding"]["shards"] == 3
    first = run(desk, folder)
    assert (first["verdict"], first["tier"], len(first["shards"]), desk.engine.calls) == ("agreed", "verified", 3, 9)
    with desk.store() as store:
        for shard in first["shards"]:
            record = load_node(store, parse_cid(shard["record"]), Record)
            function = load_function(store, load_node(store, record.task, Task).function)
            assert isinstance(function, WasmFunction)
    assert desk("audit", first["job"], "--rerun").code == 0
    assert desk("get", first["job"], "--output-dir", tmp_path / "got").code == 0
    assert (tmp_path / "got/shards/2/stdout").read_text() == "{'argv': ['-x']}"
    assert desk("audit", "--car", tmp_path / "got/record.car").code == 0

    (folder / "c").write_text("something else")
    calls = desk.engine.calls
    second = run(desk, folder)
    assert ([one["cached"] for one in second["shards"]], desk.engine.calls) == ([True, False, True], calls + 3)


def test_a_job_that_was_ended_goes_on_with_the_shards_that_it_had_not(desk, folder, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # one shard after the other

    def give_up_in_the_last(_number, plan, store):
        if [name for name, _ in UnixfsReader(store).entries(plan.input.data)] == ["e"]:
            raise KeyboardInterrupt
        return Gave()

    desk.engine = FakeEngine(give_up_in_the_last)
    assert desk("run", "wasm", "main.wasm", "-i", folder, *SPLIT, "--", "-x").code == 130
    desk.engine = FakeEngine(lambda *_: Gave())
    assert [one["cached"] for one in run(desk, folder)["shards"]] == [True, True, False]


def test_a_module_over_shards_gives_the_same_on_a_node_and_travels_once(desk, elsewhere, folder, monkeypatch):  # noqa: F811
    sent = []
    put = NodeClient.put_blocks
    monkeypatch.setattr(NodeClient, "put_blocks", lambda client, car: sent.append(put(client, car)) or sent[-1])
    desk.engine = elsewhere.control.engine = FakeEngine(lambda *_: Gave(stdout=b"said"))
    embedded = run(desk, folder, "--local")
    report = run(desk, folder)
    for key in ("verdict", "tier", "function", "input", "output", "sharding"):
        assert report[key] == embedded[key], key
    assert [one["task"] for one in report["shards"]] == [one["task"] for one in embedded["shards"]]
    (folder / "a").write_text("changed")
    assert run(desk, folder)["verdict"] == "agreed"
    assert len(sent) == 2
    assert sent[1]["bytes"] < sent[0]["bytes"]
