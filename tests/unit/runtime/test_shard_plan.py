import io
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.plan import plan_of_task
from runtime.shard_plan import read_sharding, shard_tasks
from storage.dag_tar import DagTar
from storage.errors import UserError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from tests.vectors.records.world import World

ROOT = Path(__file__).parents[3]


@pytest.fixture
def world():
    world = World()
    world.build()
    return world


@pytest.fixture
def whole(world):
    builder = TreeBuilder(Importer(world.store))
    for path in ("a/1.csv", "a/2.csv", "b/3.csv", "notes"):
        builder.add_file(path, path.encode())
    plan = plan_of_task(world.task, world.store, 7.0)
    return replace(plan, input=replace(plan.input, data=builder.finish().cid), submitter="somebody")


def test_the_line_of_the_document_reads_a_shard_of_one_file(world, whole):
    [*_, line] = re.findall(r"`(\[text\] = .*)`", (ROOT / "docs" / "sharding.md").read_text(encoding="utf-8"))
    shards = [task.shard.directory for task in shard_tasks(whole, read_sharding("/**/*.csv"), world.store)]
    for shard, said in zip(shards, (b"a/1.csv", b"a/2.csv", b"b/3.csv"), strict=True):
        space = {"tarfile": tarfile, "data": io.BufferedReader(DagTar(UnixfsReader(world.store), shard))}
        exec(line, space)  # noqa: S102  what a reader would copy
        assert space["text"] == said


def test_a_shard_is_a_task_that_differs_in_its_data_alone(world, whole):
    tasks = list(shard_tasks(whole, read_sharding("/**/*.csv", batch_size=2), world.store))
    assert [(task.shard.first, task.shard.last) for task in tasks] == [("a/1.csv", "a/2.csv"), ("b/3.csv",) * 2]
    for task in tasks:
        assert task.plan.input == replace(whole.input, data=task.shard.directory)
        assert task.plan.function_cid == whole.function_cid
        # Anybody who has the task's CID and its blocks makes the same plan of it.
        assert replace(plan_of_task(task.plan.task, world.store, 7.0), submitter="somebody") == task.plan
    assert len({task.plan.task for task in tasks}) == 2


@pytest.mark.parametrize("base_path", ["/inputs/a", "/inputs/a/"])
def test_a_base_path_is_what_the_function_would_see(world, whole, base_path):
    [first, _] = shard_tasks(whole, read_sharding("/*", base_path=base_path), world.store)
    assert UnixfsReader(world.store).resolve(first.shard.directory, "1.csv")


@pytest.mark.parametrize("base_path", ["/", "", "/input", "/inputsx", "inputs/a", "/ref"])
def test_a_base_path_outside_of_the_input_is_refused(base_path):
    with pytest.raises(UserError, match="is not in the input") as caught:
        read_sharding("/*", base_path=base_path)
    assert caught.value.where == f"--sharding-base-path {base_path}"


def test_a_base_path_that_is_not_there_is_refused(world, whole):
    with pytest.raises(UserError, match="'c' is not there"):
        list(shard_tasks(whole, read_sharding("/*", base_path="/inputs/c"), world.store))


@pytest.mark.parametrize("size", [0, -1, 100_001])
def test_a_batch_size_out_of_range_is_refused(size):
    with pytest.raises(UserError, match=f"--sharding-batch-size: {size} is out of range"):
        read_sharding("/*", batch_size=size)


def test_without_input_there_is_nothing_to_split(world, whole):
    nothing = replace(whole, input=replace(whole.input, data=None))
    with pytest.raises(UserError, match="no input to split"):
        list(shard_tasks(nothing, read_sharding("/*"), world.store))


def test_a_file_cannot_be_split(world, whole):
    file = replace(whole, input=replace(whole.input, data=Importer(world.store).bytes(b"x").cid))
    with pytest.raises(UserError, match="is a file"):
        list(shard_tasks(file, read_sharding("/*"), world.store))
