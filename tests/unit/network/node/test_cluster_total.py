"""A node whose room is elsewhere: the sum over workers, followed while they come and go."""

import threading

import trio

from network.demand import room_of
from network.messages import Demand
from network.node.cluster_total import ClusterTotal
from network.transport_memory import MemoryNetwork
from runtime.capacity import Room
from runtime.cluster import WorkerRoom
from runtime.machine_room import MAX_AMOUNT
from tests.unit.network.node.node_world import Place

GIGABYTE = 1 << 30


class Workers:
    def __init__(self, *rooms):
        self.rooms = rooms
        self.watchers = []

    def workers(self):
        return self.rooms

    def watch(self, tell):
        self.watchers.append(tell)


def worker(number, slots, gigabytes):
    return WorkerRoom(name=f"tcp://w:{number}", slots=slots, memory_bytes=gigabytes * GIGABYTE)


def demand(cores, gigabytes, disk=7):
    return Demand(cpu_milli=1000 * cores, memory=gigabytes * GIGABYTE, disk=disk, gpus=0)


UNBOUND = Room(cpu_milli=MAX_AMOUNT, memory_bytes=MAX_AMOUNT, disk_bytes=7)


def test_it_is_the_sum_within_the_limit():
    cluster = Workers(worker(1, 4, 8), worker(2, 2, 4))
    room = ClusterTotal(cluster=cluster, limit=UNBOUND, job_limit=UNBOUND)
    assert (room.total(), room.job_most()) == (demand(6, 12), demand(6, 8))
    said = ClusterTotal(cluster=cluster, limit=room_of(demand(5, 9)), job_limit=room_of(demand(2, 3, disk=1)))
    assert (said.total(), said.job_most()) == (demand(5, 9), demand(2, 3, disk=1))
    cluster.rooms = ()
    assert (room.total(), room.job_most()) == (demand(0, 0), demand(0, 0))


async def follow(tmp_path):
    """Run a node of no workers; give it some, from another thread; return what it has before and after."""
    cluster = Workers()
    place = Place(tmp_path / "node", 1)
    place.changing = ClusterTotal(cluster=cluster, limit=UNBOUND, job_limit=UNBOUND)
    async with place.open(MemoryNetwork()) as node:
        side = node.compute
        before = node.status().total
        cluster.rooms = (worker(1, 2, 1), worker(2, 1, 2))
        while not cluster.watchers:
            await trio.lowlevel.checkpoint()
        thread = threading.Thread(target=cluster.watchers[0])
        thread.start()
        while node.status().free.cpu_milli != 3000:
            await trio.lowlevel.checkpoint()
        thread.join()
        status, executor = node.status(), side.executor
        return before, (status.total, status.job_most), executor._threads.total_tokens, executor.gate.free


def test_a_node_follows_its_workers(tmp_path):
    before, after, threads, free = trio.run(follow, tmp_path)
    assert (before, after) == (demand(0, 0), (demand(3, 3), demand(3, 2)))
    assert (threads, free) == (3, room_of(demand(3, 3)))
