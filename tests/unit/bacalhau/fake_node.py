"""A node without a network: `NodeControl` over dicts, and the real API on a real socket beside a test."""

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import trio

from bacalhau.api.app import make_app
from bacalhau.api.http_server import serve_api
from bacalhau.api_token import load_or_create_token
from bacalhau.node_report import finished_job, finished_shards
from network.embedded import run_embedded
from network.messages import Demand
from network.node.control import NodeStatus
from network.node.datastore import JobEvent, JobState, KeptJob
from network.node.shard_settlement import SettledShard
from network.shard_list import load_shards
from runtime.content_givers import ContentGivers
from runtime.plan import plan_of_task
from storage.cid import parse_cid
from storage.errors import UserError
from storage.sqlite_pins import hold
from tests.unit.bacalhau.fakes import FakeEngine
from tests.unit.network.transport_world import identity
from verifier.shard_merge import merge_shards

PEER = identity(1).peer
NOTHING = Demand(cpu_milli=0, memory=0, disk=0, gpus=0)
CREATED_AT = 1_767_323_045.0


class FakeControl:
    """Keeps jobs and events in memory; `run` does what nodes would do."""

    def __init__(self, store, jobs, keys_dir, engine=None):
        self.store = store
        self.finished = jobs
        self.keys_dir = keys_dir
        self.engine = engine or FakeEngine()
        self.kept = {}
        self.told = {}
        self.store_ok = True
        self.runs_at_once = False
        self.fails_with = None
        self.holds = False
        self.changed = trio.Event()
        self.left = threading.Semaphore(0)
        """Released by each call of `wait_for_events` that ended."""

    def status(self):
        return NodeStatus(
            peer=PEER,
            addresses=(f"/ip4/127.0.0.1/tcp/4001/p2p/{PEER}",),
            roles=("requester",),
            connected=(identity(2).peer,),
            labels={"zone": "a"},
            engines=("node",),
            total=NOTHING,
            job_most=NOTHING,
            free=NOTHING,
            gpus=("GPU-1",),
            gpu_note="",
            known_nodes=3,
            running=0,
            jobs_open=sum(one.state is not JobState.ENDED for one in self.kept.values()),
            store_ok=self.store_ok,
        )

    async def submit(self, submission):
        if self.fails_with is not None:
            raise self.fails_with
        if submission.job in self.kept:
            return
        if self.holds:
            hold(self.store, submission.root)
        self.kept[submission.job] = KeptJob(submission=submission, state=JobState.RUNNING, cancelled=False, outcome=b"")
        self.tell(submission.job, "submitted", {})
        if self.runs_at_once:
            self.run(submission.job)

    async def cancel(self, job):
        if job not in self.kept:
            raise UserError("there is no such job", where=job)
        if self.kept[job].state is not JobState.ENDED:
            self.kept[job] = replace(self.kept[job], cancelled=True)
            self.end(job)

    async def job(self, job):
        return self.kept.get(job)

    async def jobs(self, *, limit):
        return sorted(self.kept.values(), key=lambda one: one.submission.created_at, reverse=True)[:limit]

    async def events(self, job, *, after=0, limit=1000):
        return [event for event in self.told.get(job, []) if event.number > after][:limit]

    async def wait_for_events(self, job, after):
        try:
            while not await self.events(job, after=after):
                await self.changed.wait()
        finally:
            self.left.release()

    def tell(self, job, kind, detail):
        events = self.told.setdefault(job, [])
        events.append(JobEvent(job=job, number=len(events) + 1, at=CREATED_AT, kind=kind, detail=detail))
        self.changed.set()
        self.changed = trio.Event()

    def end(self, job):
        self.kept[job] = replace(self.kept[job], state=JobState.ENDED)
        self.tell(job, "ended", {})

    def run(self, job):
        """Execute a job on embedded nodes, keep what came of it and tell."""
        asked = self.kept[job].submission
        if asked.shards is not None:
            self.run_shards(job, asked)
            return
        plan = plan_of_task(asked.task, self.store, asked.timeout_s)
        session = run_embedded(
            plan, engine=self.engine, store=self.store, keys_dir=self.keys_dir, rule=asked.rule, parallel=1,
            parents=asked.parents,
        )  # fmt: skip
        done = finished_job(asked, session, self.store, problem="")
        report = done.report
        for receipt in report["receipts"]:
            self.tell(job, "revealed", {"node": receipt["node"]})
        self.tell(job, "verdict", {"verdict": report["verdict"]})
        self.finished.add(done)
        self.end(job)

    def run_shards(self, job, asked):
        split, listed = load_shards(self.store, asked.shards)
        settled = []
        givers = ContentGivers(self.store, asked.data_parents, whole=parse_cid(split.data))
        for number, shard in enumerate(listed):
            plan = plan_of_task(shard.task, self.store, asked.timeout_s)
            session = run_embedded(
                plan, engine=self.engine, store=self.store, keys_dir=self.keys_dir, rule=asked.rule, parallel=1,
                parents=tuple(sorted({*asked.parents, *givers.of(plan.input.data)})),
            )  # fmt: skip
            settled.append(SettledShard(number=number, listed=shard, session=session))
            count = len(settled)
            self.tell(job, "shards", {"ended": count, "of": len(listed), "agreed": count, "cached": 0, "failed": 0})
        outputs = {one.number: one.session.output for one in settled if one.session.output is not None}
        merged = merge_shards(self.store, outputs) if outputs else None
        self.finished.add(finished_shards(asked, split, settled, merged, self.store, problem=""))
        self.end(job)


class ServedNode:
    """The node's control, its store and its address, for a test in another thread."""

    def __init__(self, services):
        self.services = services
        self.url = ""
        self.token = load_or_create_token(services.home.api_token_path)
        self.control = None
        self.app = None
        self.trio_token = None
        self.cancel_scope = None
        self.hosts = ()
        self.pages = None
        self.metrics = None
        """Makes what `/metrics` tells, from the store."""

    def do(self, call, *arguments):
        """Call something in the node's loop."""
        return trio.from_thread.run_sync(call, *arguments, trio_token=self.trio_token)

    async def serve(self, ready):
        with ExitStack() as stack, trio.CancelScope() as self.cancel_scope:
            store = stack.enter_context(self.services.open_store())
            jobs = stack.enter_context(self.services.open_jobs())
            self.control = FakeControl(store, jobs, self.services.home.keys_dir)
            self.app = make_app(
                self.control,
                store,
                jobs,
                token=self.token,
                hosts=self.hosts,
                pages=self.pages,
                lineage=stack.enter_context(self.services.open_lineage()),
                metrics=None if self.metrics is None else self.metrics(store),
                clock=lambda: CREATED_AT,
            )
            self.trio_token = trio.lowlevel.current_trio_token()
            async with trio.open_nursery() as nursery:
                self.url = await nursery.start(serve_api, self.app, "127.0.0.1", 0)
                ready.set()


@contextmanager
def served(services, **settings):
    """Serve a fake node over the given home while the block runs."""
    node, ready, failed = ServedNode(services), threading.Event(), []
    for name, value in settings.items():
        setattr(node, name, value)

    def run():
        try:
            trio.run(node.serve, ready)
        except BaseException as error:  # noqa: BLE001  told to the test below
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        ready.wait()
        if failed:
            raise failed[0]
        yield node
    finally:
        if node.trio_token is not None and thread.is_alive():
            node.trio_token.run_sync_soon(node.cancel_scope.cancel)
        thread.join()
    if failed:
        raise failed[0]
