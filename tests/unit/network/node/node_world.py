"""Nodes in one process on a network of memory, with real datastores and block stores and an engine that is scripted."""

import dataclasses
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import trio

from network.job_shards import JobShard
from network.job_store import Job, JobStore
from network.known_results import find_known, find_prior
from network.messages import Demand, EngineKind
from network.node.compute_side import ComputeSettings
from network.node.datastore import Submission
from network.node.node import open_node
from network.node.node_parts import NodeParts
from network.node.requester_ledger import exit_code_of
from network.node.selection import JobSelection
from network.node.selection_policy import SelectionPolicy
from network.node.sqlite_datastore import SqliteDatastore
from network.result_store import Nodes, ResultStore
from network.shard_list import listed, store_shards
from network.transport_memory import MemoryNetwork
from runtime.engine import Execution, UndeterminedError
from storage.cid import cid_text
from storage.dag_walk import walk
from storage.sqlite_block_store import SqliteBlockStore
from tests.vectors.records.world import STATE, World, identity, tree
from verifier.compare import make_rule
from verifier.model import EngineInfo, Input, Task, load_node, store_node

KIND = EngineKind(engine="scripted", arch="x86_64")
UNIT = Demand(cpu_milli=1000, memory=1 << 30, disk=1 << 27, gpus=0)
TOTAL = Demand(cpu_milli=4000, memory=8 << 30, disk=1 << 40, gpus=0)
JOB = "0123456789abcdef" * 2


class Engine:
    """Gives one answer for every execution; while `gate` is shut, executions wait for it or for being given up."""

    def __init__(self, answer=b"y", exit_code=0):
        self.answer, self.exit_code = answer, exit_code
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Semaphore(0)
        self.calls = 0
        self.tasks = []
        self.given_up = 0

    def execute(self, plan, store, progress=lambda phrase: None, stop=None):
        self.calls += 1
        self.tasks.append(plan.task)
        self.began.release()
        ended = threading.Event()

        def end():
            ended.set()
            self.given_up += 1
            self.gate.set()

        with stop.ending(end):
            self.gate.wait()
        if ended.is_set():
            raise UndeterminedError("given up")
        if isinstance(self.answer, Exception):
            raise self.answer
        code = str(self.exit_code).encode()
        output = tree(store, {"result": self.answer, "stdout": b"out", "stderr": b"", "exit_code": code})
        engine = EngineInfo(name=KIND.engine, version="1", arch=KIND.arch, isolation=())
        made = {"exit_code": self.exit_code, "fuel": None, "state_digest": STATE, "engine": engine}
        return Execution(task=plan.task, output=output, **made)

    def stop(self):
        self.gate.set()


class Place:
    """What a node has on its disk; survives the node."""

    def __init__(self, folder, number, *, engine=None, computes=True, requests=False, labels=None, persona=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.identity = folder, identity(number)
        self.peer = self.identity.peer
        self.engine = engine or Engine()
        self.computes, self.requests, self.labels, self.persona = computes, requests, labels or {}, persona
        self.policy = SelectionPolicy()
        self.spot_checks = 0.0
        self.changing = None
        self.objection = lambda job: ""
        self.check_inputs = lambda job: None
        self.wrap = lambda datastore: datastore
        self.tell_span = None

    @asynccontextmanager
    async def open(self, network):
        with (
            SqliteBlockStore(self.folder / "blocks.sqlite") as store,
            SqliteDatastore(self.folder / "datastore.sqlite") as datastore,
            ResultStore(self.folder / "datastore.sqlite") as results,
        ):
            room = self.changing
            settings = ComputeSettings(
                total=TOTAL if room is None else room.total(),
                job_most=None if room is None else room.job_most(),
                engines=(KIND,),
                labels=self.labels,
                changing=room,
            )
            compute = settings if self.computes else None
            parts = NodeParts(
                identity=self.identity,
                store=store,
                datastore=self.wrap(datastore),
                open_transport=partial(_join, network),
                compute=compute,
                requests=self.requests,
                engine=self.engine,
                make_selection=lambda: JobSelection(self.policy, store, knows_runtime=lambda _: True),
                fitness=lambda plan, store: "",
                make_job=make_job,
                make_shards_job=make_shards_job,
                find_known=lambda task, rule: find_known(task, rule, results.records(task, nodes=Nodes.NETWORK), store),
                find_prior=lambda task, nodes: find_prior(
                    task,
                    results.records(task, nodes=Nodes.NETWORK),
                    store,
                    usable=results.records(task, nodes=nodes),
                ),
                check_inputs=self.check_inputs,
                objection_to_job=self.objection,
                free_disk=lambda: 1 << 40,
                spot_checks=self.spot_checks,
                sample_known=results.sample,
                records_of=partial(results.records, nodes=Nodes.NETWORK),
                persona=self.persona,
                tell_span=self.tell_span,
            )
            async with open_node(parts) as node:
                yield node

    def finished(self):
        with JobStore(self.folder / "datastore.sqlite") as jobs:
            return {job.id: job for job in jobs.newest(100)}


@asynccontextmanager
async def _join(network, identity, handler, store):
    async with network.join(identity, handler, store) as core:
        core.reach = _nowhere
        yield core


async def _nowhere(address):
    raise AssertionError(f"nobody announces an address here, and {address} was dialled")


def make_job(submission, session, *, problem):
    return Job(
        id=submission.job,
        created_at=submission.created_at,
        labels=submission.labels,
        task=submission.task,
        function=submission.task,
        input=submission.task,
        output=session.output,
        record=session.record,
        verdict=session.verdict.value,
        tier="verified" if session.record else "unverified",
        exit_code=None,
        report={
            "problem": problem,
            "receipts": [receipt.node for receipt in session.receipts],
            "dissent": [receipt.node for receipt in session.dissent],
            "faults": {fault.peer: fault.kind.value for fault in session.faults},
            "undetermined": [peer for peer, _ in session.undetermined],
            "output": cid_text(session.output) if session.output else None,
            "trust": None if session.trust is None else session.trust.reached,
        },
    )


def make_shards_job(submission, shards, settled, merged, *, problem):
    rows = tuple(
        JobShard(
            number=one.number,
            task=one.listed.task,
            output=one.session.output,
            record=one.session.record,
            verdict="cached" if one.session.cached else one.session.verdict.value,
            exit_code=exit_code_of(one.session),
        )
        for one in settled
    )
    return Job(
        id=submission.job,
        created_at=submission.created_at,
        labels=submission.labels,
        task=None,
        function=submission.root,
        input=submission.root,
        output=None if merged is None else merged.output,
        record=None,
        verdict="agreed" if len(rows) == shards.count and all(row.record for row in rows) else "too-few",
        tier="verified",
        exit_code=0,
        report={"problem": problem},
        shards=rows,
    )


def put_shards(store, count):
    """Put a list of whole tasks into a store, and return its CID; each has an input of its own."""
    world = World()
    world.build()
    store.put_many(walk(world.store, world.task))
    parts = load_node(store, world.task, Task)
    whole = load_node(store, parts.input, Input)
    shards = []
    for number in range(count):
        input_ = store_node(store, dataclasses.replace(whole, seed=f"{number:08x}"))
        task = store_node(store, Task(function=parts.function, input=input_))
        shards.append(listed(task, picks=1, first=f"{number}.txt"))
    return store_shards(store, shards, data=whole.data, pattern="/*", base="", batch_size=1)


def shards_submission(shards, count, job=JOB, **more):
    return submission(None, job, shards=shards, shard_count=count, **more)


def put_task(store):
    """Put a whole task into a store and return its CID."""
    world = World()
    world.build()
    store.put_many(walk(world.store, world.task))
    return world.task


def submission(task, job=JOB, **more):
    values = {"job": job, "created_at": 1.5, "task": task, "rule": make_rule(), "demand": UNIT, "timeout_s": 60.0}
    return Submission(**(values | more))


class Net:
    """Some nodes that are all connected, the requester first."""

    def __init__(self, tmp_path, engines, **requester):
        self.network = MemoryNetwork()
        self.requester = Place(tmp_path / "requester", 60, computes=False, requests=True, **requester)
        self.nodes = [Place(tmp_path / f"node{number}", 61 + number, engine=one) for number, one in enumerate(engines)]

    @asynccontextmanager
    async def running(self):
        async with AsyncExitStack() as stack:
            for place in self.nodes:
                await stack.enter_async_context(place.open(self.network))
            async with self.requester_running() as node:
                yield node

    @asynccontextmanager
    async def requester_running(self):
        async with self.requester.open(self.network) as node:
            for place in self.nodes:
                await self.network.connect(self.requester.peer, place.peer)
            yield node


async def until_event(node, job, kind):
    """Wait for an event of a job and return all up to it."""
    seen = []
    while True:
        for event in await node.events(job, after=len(seen)):
            seen.append(event)
            if event.kind == kind:
                return seen
        await node.wait_for_events(job, len(seen))


async def in_thread(call, *arguments):
    return await trio.to_thread.run_sync(call, *arguments, abandon_on_cancel=True)
