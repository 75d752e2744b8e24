"""`audit --rerun` of what a stranger handed over: what may run here, and what is said where it may not."""

import dataclasses

import pytest

from bacalhau.replay import rerun
from bacalhau.services import default_services
from runtime.fitness import misplacement, unfitness
from runtime.plan import plan_of_task
from storage.cid import DAG_PB, RAW, cid_text, make_cid
from storage.errors import UnavailableError, VerificationError
from tests.unit.bacalhau.fakes import FakeEngine
from tests.vectors.records.world import World, tree
from verifier.model import Limits, OutputMount, Volume


@pytest.fixture
def world():
    world = World()
    world.build()
    return world


def fitness(world, *, knows_runtime=lambda _: True, **changes):
    plan = plan_of_task(world.task, world.store, 60.0)
    plan = dataclasses.replace(plan, input=dataclasses.replace(plan.input, **changes))
    return unfitness(plan, knows_runtime) or misplacement(plan, world.store)


def test_an_ordinary_task_of_a_known_runtime_may_run(world):
    known = []
    assert fitness(world, knows_runtime=lambda cid: known.append(cid) or True) == ""
    assert known == [plan_of_task(world.task, world.store, 60.0).function.runtime]


def test_a_runtime_that_somebody_made_up_is_not_started(world):
    engine = FakeEngine()
    again = rerun(world.store, world.record, engine=engine, knows_runtime=lambda _: False, wall_clock_s=60.0)
    assert (again.ok, again.output, engine.calls) == (None, None, 0)
    assert "runtime bafy" in again.detail


def test_what_is_not_run_leaves_the_audit_unchecked(desk):
    report = desk.run()
    desk.knows_runtime = lambda _: False
    said = desk("audit", report["record"], "--rerun", "--json")
    assert said.code == 4
    assert said.json["verdict"] == "unchecked"
    assert said.json["reruns"][0]["ok"] is None
    assert desk.engine.calls == 3


@pytest.mark.parametrize("error", [VerificationError("runtime was changed on disk"), UnavailableError("no Pyodide")])
def test_trouble_of_this_machine_does_not_make_a_record_invalid(desk, error):
    report = desk.run()
    desk.engine = FakeEngine(lambda *_: error)
    said = desk("audit", report["record"], "--rerun", "--json")
    assert said.code == 4
    assert said.json["reruns"][0]["detail"] == str(error)
    assert all(check["ok"] for check in said.json["checks"])


@pytest.mark.parametrize("path", ["/function", "/function/function.py", "/lib/python3.14", "/run/data", "/dev/urandom"])
def test_nothing_is_mounted_over_what_belongs_to_the_runtime(world, path):
    lie = tree(world.store, {"function.py": b"def main(data):\n    return 'forged'\n"})
    assert "belongs to the runtime" in fitness(world, volumes=(Volume(path=path, cid=lie),))
    assert "belongs to the runtime" in fitness(world, outputs=(OutputMount(name="outputs", path=path),))


@pytest.mark.parametrize("path", ["/inputs/data", "/outputs", "/outputs/x"])
def test_nothing_is_mounted_over_the_data_or_an_output(world, path):
    lie = tree(world.store, {"x": b"x"})
    assert "lies in" in fitness(world, volumes=(Volume(path=path, cid=lie),))


@pytest.mark.parametrize("limits", [{"memory": 1 << 40}, {"output": 1 << 40}])
def test_limits_beyond_those_of_runs_are_not_granted(world, limits):
    asked = Limits(**{"fuel": None, "memory": 1 << 29, "output": 1 << 26} | limits)
    assert "more than runs get" in fitness(world, limits=asked)


@pytest.mark.parametrize("wall_clock_s", [0.0, -1.0, 31 * 86400.0, float("inf"), float("nan")])
def test_a_run_has_an_end(world, wall_clock_s):
    plan = plan_of_task(world.task, world.store, wall_clock_s)
    assert "no time for a run" in unfitness(plan, lambda _: True)


def test_what_is_known_against_a_task_without_its_data(world):
    plan = plan_of_task(world.task, world.store, 60.0)
    lonely = dataclasses.replace(plan, input=dataclasses.replace(plan.input, data=make_cid(RAW, b"not here")))
    assert unfitness(lonely, lambda _: True) == ""
    assert "runtime bafy" in unfitness(lonely, lambda _: False)
    absent = dataclasses.replace(plan.input, data=make_cid(DAG_PB, b"nor is this"))
    with pytest.raises(UnavailableError):
        misplacement(dataclasses.replace(plan, input=absent), world.store)


def test_this_release_and_what_ran_here_are_known(tmp_path, monkeypatch):
    monkeypatch.setenv("BACALHAU_DIR", str(tmp_path))
    monkeypatch.setattr("runtime.npm_client.pyodide_package", lambda cache_dir: tmp_path)
    world = World()
    world.build()
    ours, ran_here, foreign = world.task, world.function, world.input
    monkeypatch.setattr("runtime.prepared_runtime.make_runtime", lambda package, store: ours)
    services = default_services()
    assert services.knows_runtime(ours)
    assert not services.knows_runtime(ran_here)
    (services.home.runtimes_dir / cid_text(ran_here)).mkdir(parents=True)
    assert services.knows_runtime(ran_here)
    assert not services.knows_runtime(foreign)
