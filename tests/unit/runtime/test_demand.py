"""What a task takes, before anything of its data is fetched."""

import dataclasses

from runtime.capacity import Room, excess, together
from runtime.demand import least_room, task_room
from runtime.plan import plan_of_task
from storage.blocks import MemoryBlockStore
from storage.dag_walk import walk
from storage.unixfs_import import Importer
from tests.vectors.records.world import World
from verifier.model import Input, Limits, Task, load_node, store_node


def world():
    made = World()
    made.build()
    return made.store, made.task


def test_a_worker_its_engine_what_the_task_holds_and_what_it_may_write():
    store, task = world()
    found = task_room(plan_of_task(task, store, 60.0), store)
    held = sum(len(data) for _, data in walk(store, task))
    assert found == Room(cpu_milli=1000, memory_bytes=1 << 30, disk_bytes=(1 << 26) + held)
    assert least_room(plan_of_task(task, store, 60.0)) == dataclasses.replace(found, disk_bytes=1 << 26)


def test_data_is_counted_by_its_root_alone():
    store, task = world()
    parts = load_node(store, task, Task)
    elsewhere = MemoryBlockStore()
    data = Importer(elsewhere).bytes(b"".join(b"%07d\n" % line for line in range(400_000))).cid
    store.put(data, elsewhere.get(data))  # its leaves are not here
    before = task_room(plan_of_task(task, store, 60.0), store)
    asked = dataclasses.replace(load_node(store, parts.input, Input), data=data)
    larger = store_node(store, dataclasses.replace(parts, input=store_node(store, asked)))
    after = task_room(plan_of_task(larger, store, 60.0), store)
    assert 3_200_000 < after.disk_bytes - before.disk_bytes < 3_201_000


def test_a_task_that_asks_for_everything_can_be_told_in_a_message():
    store, task = world()
    parts = load_node(store, task, Task)
    most = Limits(fuel=None, memory=(1 << 63) - 1, output=(1 << 63) - 1)
    asked = dataclasses.replace(load_node(store, parts.input, Input), limits=most)
    plan = plan_of_task(store_node(store, dataclasses.replace(parts, input=store_node(store, asked))), store, 60.0)
    assert task_room(plan, store) == Room(cpu_milli=1000, memory_bytes=(1 << 63) - 1, disk_bytes=(1 << 63) - 1)


def test_room_is_added_taken_away_and_compared():
    one, two = Room(cpu_milli=500, gpus=1), Room(memory_bytes=3, disk_bytes=4)
    assert together([one, two]) == Room(cpu_milli=500, memory_bytes=3, disk_bytes=4, gpus=1)
    assert together([one, two]) - two == one
    assert one.fits(together([one, two]))
    for more in (Room(cpu_milli=501), Room(memory_bytes=1), Room(disk_bytes=1), Room(gpus=2)):
        assert not more.fits(one)
        assert excess(more, one)
    assert excess(one, one) == ""


def test_excess_is_told_as_flags_are_written():
    most = Room(cpu_milli=2000, memory_bytes=1 << 30, disk_bytes=10 << 30)
    wanted = Room(cpu_milli=2500, memory_bytes=1536 << 20, disk_bytes=(10 << 30) + 1, gpus=1)
    assert excess(wanted, most) == (
        "needs 2500m cores, and gets at most 2; needs 1536Mb of memory, and gets at most 1Gb; "
        "needs 10737418241 of disk, and gets at most 10Gb; needs 1 GPU, and gets at most 0"
    )
