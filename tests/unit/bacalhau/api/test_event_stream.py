"""Followers without a server: heartbeats, and places that are given back however a follower ends."""

import pytest
import trio
import trio.testing
from starlette.requests import Request

from bacalhau.api.answers import RefusedError
from bacalhau.api.event_stream import HEARTBEAT_S, MAX_FOLLOWERS, EventHandlers
from bacalhau.api.job_finder import JobFinder
from network.messages import Demand
from network.node.datastore import Submission
from storage.cid import make_cid
from tests.unit.bacalhau.fake_node import FakeControl
from tests.unit.network.transport_world import on_trio
from verifier.compare import make_rule

JOB = "ab" * 16
SUBMISSION = Submission(
    job=JOB,
    created_at=0.0,
    task=make_cid(0x71, b"task"),
    rule=make_rule(),
    demand=Demand(cpu_milli=0, memory=0, disk=0, gpus=0),
)


class NoJobs:
    def beginning(self, digits):
        return []


class Client:
    """The other end of one request."""

    def __init__(self, handlers, query="follow=1"):
        self.handlers = handlers
        self.gone = trio.Event()
        self.got, self.arriving = trio.open_memory_channel(1000)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": query.encode()}
        self.scope = {**scope, "path_params": {"job": JOB}}

    async def run(self):
        answer = await self.handlers.events(Request(self.scope, self.receive))
        await answer(self.scope, self.receive, self.got.send)

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def body(self):
        while True:
            message = await self.arriving.receive()
            if message["type"] == "http.response.body":
                return message["body"]


async def node():
    control = FakeControl(None, None, None)
    await control.submit(SUBMISSION)
    return control, EventHandlers(control, JobFinder(control, NoJobs()))


@on_trio
async def test_a_silent_job_has_a_heartbeat():
    _, handlers = await node()
    client = Client(handlers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        assert b'"kind":"submitted"' in await client.body()
        began = trio.current_time()
        assert await client.body() == b":\n\n"
        assert trio.current_time() - began == pytest.approx(HEARTBEAT_S, abs=1)
        assert handlers.followers == 1
        client.gone.set()
    assert handlers.followers == 0


@on_trio
async def test_a_place_is_given_back_at_the_end_by_a_cancellation_and_by_an_error():
    control, handlers = await node()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Client(handlers).run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert handlers.followers == 0

    async def broken(job, after):
        raise RuntimeError("a bug")

    control.wait_for_events = broken
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug")):
        await Client(handlers).run()
    assert handlers.followers == 0
    del control.wait_for_events
    client = Client(handlers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        await client.body()
        assert handlers.followers == 1
        control.end(JOB)
    assert handlers.followers == 0


@on_trio
async def test_there_are_so_many_places():
    _, handlers = await node()
    clients = [Client(handlers) for _ in range(MAX_FOLLOWERS)]
    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(client.run)
            await client.body()
        with pytest.raises(RefusedError) as refused:
            await Client(handlers).run()
        assert refused.value.status == 429
        nursery.cancel_scope.cancel()


@on_trio
async def test_a_number_beyond_the_last_ends_with_the_job():
    control, handlers = await node()
    client = Client(handlers, "follow=1&after=99")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        assert await client.body() == b":\n\n"
        control.end(JOB)
    assert handlers.followers == 0
