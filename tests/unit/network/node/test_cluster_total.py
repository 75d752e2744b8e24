"""A node whose room is elsewhere: the sum over workers, followed while they come and go."""

import threading

import trio

from network.messages import Demand, Offer
from network.node.cluster_total import ClusterTotal
from network.transport_memory import MemoryNetwork
from runtime.cluster import WorkerRoom
from runtime.worker_transport import worker_memory
from tests.unit.network.node.node_world import Place
from tests.unit.network.personas import TASK
from verifier.bounds import MAX_INTEGER

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


UNBOUND = Demand(cpu_milli=MAX_INTEGER, memory=MAX_INTEGER, disk=7, gpus=0)


def test_it_is_the_sum_within_the_limit():
    cluster = Workers(worker(1, 4, 8), worker(2, 2, 4))
    room = ClusterTotal(cluster=cluster, limit=UNBOUND)
    assert (room.total(), room.largest_memory()) == (demand(6, 12), 8 * GIGABYTE - worker_memory(0))
    assert ClusterTotal(cluster=cluster, limit=demand(5, 3)).total() == demand(5, 3)
    cluster.rooms = ()
    assert (room.total(), room.largest_memory()) == (demand(0, 0), 0)


async def follow(tmp_path):
    """Run a node of no workers; give it some, from another thread; return what it has before and after."""
    cluster = Workers()
    place = Place(tmp_path / "node", 1)
    place.changing = ClusterTotal(cluster=cluster, limit=UNBOUND)
    async with place.open(MemoryNetwork()) as node:
        side = node.compute
        before = node.status().total
        cluster.rooms = (worker(1, 3, 1),)
        while not cluster.watchers:
            await trio.lowlevel.checkpoint()
        thread = threading.Thread(target=cluster.watchers[0])
        thread.start()
        while node.status().free.cpu_milli != 3000:
            await trio.lowlevel.checkpoint()
        thread.join()
        large = Offer(session="0" * 64, job="0" * 32, task=TASK, demand=demand(1, 2))
        refusal = await side._look(place.peer, large)
        return before, node.status().total, side.executor._limiter.total_tokens, refusal


def test_a_node_follows_its_workers(tmp_path):
    before, after, slots, refusal = trio.run(follow, tmp_path)
    assert (before, after, slots) == (demand(0, 0), demand(3, 1), 3)
    assert refusal == "larger than any worker of this node"
