import threading
from dataclasses import replace
from functools import partial

import pytest

from network.embedded import run_embedded
from network.embedded_shards import run_shards
from runtime.engine import Execution, UndeterminedError
from runtime.plan import plan_of_task
from runtime.shard_plan import read_sharding, shard_tasks
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from tests.vectors.records.world import STATE, World
from verifier.audit import audit_record
from verifier.compare import make_rule
from verifier.model import EngineInfo, Verdict
from verifier.shard_merge import merge_shards

ENGINE = EngineInfo(name="scripted", version="1", arch="x86_64", isolation=())


class NamesEngine:
    """Writes a file for each file of its input; one called 'fail' makes it exit with 1, 'broken' is the host's end."""

    def __init__(self, meeting=None):
        self.stops = 0
        self.meeting = meeting
        self.calls = []

    def stop(self):
        self.stops += 1

    def execute(self, plan, store, progress=lambda phrase: None, stop=None):
        names = [name for name, _ in UnixfsReader(store).entries(plan.input.data)]
        self.calls.append(names)
        if self.meeting is not None:
            self.meeting.wait()
        if "broken" in names:
            raise UndeterminedError("the host died")
        code = int("fail" in names)
        builder = TreeBuilder(Importer(store))
        files = {"result": b"", "stdout": b"", "stderr": b"", "exit_code": b"%d" % code}
        for path, content in files.items() | {(f"outputs/outputs/{name}", b"seen") for name in names}:
            builder.add_file(path, content)
        return Execution(
            task=plan.task,
            output=builder.finish().cid,
            exit_code=code,
            fuel=None,
            state_digest=STATE,
            engine=ENGINE,
        )


class Job:
    """A directory of files, split into one shard each."""

    def __init__(self, names, tmp_path, engine):
        world = World()
        world.build()
        self.store, self.engine = world.store, engine
        builder = TreeBuilder(Importer(self.store))
        for name in names:
            builder.add_file(name, b"")
        plan = plan_of_task(world.task, self.store, 7.0)
        self.whole = replace(plan, input=replace(plan.input, data=builder.finish().cid))
        self.run_one = partial(
            run_embedded,
            engine=engine,
            store=self.store,
            keys_dir=tmp_path,
            rule=make_rule(replication=2, confidence=2),
            parallel=2,
        )
        self.taken = 0

    def tasks(self):
        for task in shard_tasks(self.whole, read_sharding("/*"), self.store):
            self.taken += 1
            yield task

    def run(self, **more):
        return run_shards(self.tasks(), self.run_one, **{"at_once": 1, "stop": self.engine.stop} | more)


def test_every_shard_is_a_verified_task_with_a_record(tmp_path):
    job = Job("abc", tmp_path, NamesEngine())
    results = list(job.run())
    assert [result.task.shard.first for result in results] == ["a", "b", "c"]
    assert [(result.session.verdict, result.exit_code, result.has_failed) for result in results] == [
        (Verdict.AGREED, 0, False)
    ] * 3
    for result in results:
        report = audit_record(job.store, result.session.record)
        assert report.verdict == "valid"
    merged = merge_shards(job.store, {result.task.shard.index: result.session.output for result in results})
    outputs = UnixfsReader(job.store).resolve(merged.output, "outputs/outputs")
    assert [name for name, _ in UnixfsReader(job.store).entries(outputs)] == ["a", "b", "c"]
    assert job.engine.stops == 0


def test_several_run_at_a_time(tmp_path):
    """Two sessions of two executions each meet, or this test would never end."""
    engine = NamesEngine(threading.Barrier(4))
    job = Job("abcd", tmp_path, engine)
    results = list(job.run(at_once=2))
    assert sorted(result.task.shard.index for result in results) == [0, 1, 2, 3]


def test_shards_are_taken_as_they_are_needed(tmp_path):
    job = Job("abcdef", tmp_path, NamesEngine())
    results = job.run(at_once=2)
    next(results)
    assert job.taken <= 3
    results.close()


def test_a_function_that_fails_is_a_verified_failure(tmp_path):
    job = Job(["a", "fail"], tmp_path, NamesEngine())
    [_, failed] = job.run()
    assert (failed.session.verdict, failed.exit_code, failed.has_failed) == (Verdict.AGREED, 1, True)


def test_a_host_that_fails_is_no_verdict_and_the_others_go_on(tmp_path):
    job = Job(["a", "broken", "c"], tmp_path, NamesEngine())
    results = {result.task.shard.first: result for result in job.run()}
    assert [results[name].has_failed for name in ("a", "broken", "c")] == [False, True, False]
    assert results["broken"].exit_code is None
    assert results["broken"].session.output is None


@pytest.mark.parametrize(("max_failures", "begun"), [(0, 2), (1, 3), (2, 5), (None, 5)])
def test_after_too_many_failures_no_shard_is_begun(tmp_path, max_failures, begun):
    """The second and the third of five fail."""
    job = Job(["a", "broken", "fail", "x", "y"], tmp_path, NamesEngine())
    results = list(job.run(max_failures=max_failures))
    assert [result.task.shard.first for result in results] == ["a", "broken", "fail", "x", "y"][:begun]
    assert job.taken == begun
    assert job.engine.stops == 0


def test_an_error_in_a_shard_ends_everything(tmp_path):
    job = Job("abc", tmp_path, NamesEngine())

    def run_one(plan):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(run_shards(job.tasks(), run_one, at_once=2, stop=job.engine.stop))
    assert job.engine.stops == 1


def test_a_caller_that_gives_up_ends_what_is_under_way(tmp_path):
    job = Job("abc", tmp_path, NamesEngine())
    results = job.run()
    next(results)
    results.close()
    assert job.engine.stops == 1
    assert len(job.engine.calls) <= 4
