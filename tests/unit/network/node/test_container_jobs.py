"""Containers on nodes in one process: what each node's engine gives is scripted, all the rest is as it is."""

import dataclasses
import threading
from pathlib import Path

import pytest
import trio

from bacalhau.container_node_report import finished_container
from network.job_store import Job
from network.messages import Demand, EngineKind
from network.node.container_run import run_container
from network.node.selection import JobSelection
from network.node.selection_policy import OfferedTask, objection
from network.requester import Requester
from runtime.container_engine import ContainerRun, ImageFacts, IncompleteRunError
from runtime.container_host import SILENCE_S, SILENT, ContainerHost, HostSettings
from runtime.container_plan import make_container_plan
from runtime.demand import task_room
from runtime.engine import UndeterminedError
from runtime.fitness import MAX_MOUNTS, excess
from runtime.stop_signal import StopSignal
from storage.blocks import MemoryBlockStore
from storage.dag_walk import walk
from storage.errors import UnavailableError
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_import import Importer
from tests.unit.network.node import node_world
from tests.unit.network.node.node_world import JOB, Engine, Net, submission, until_event
from tests.unit.network.node.offers import ALICE, BOB, offered, on_real_time
from tests.unit.verifier.test_model import an_input
from tests.unit.verifier.test_unverified import function
from tests.vectors.records.world import tree
from verifier.compare import make_rule
from verifier.model import EngineInfo, Limits, OutputMount
from verifier.taint import find_taint
from verifier.unverified_types import UnverifiedRecord, load_any_record

IMAGE = f"sha256:{'0a' * 32}"
DIGEST = f"ghcr.io/owner/name@sha256:{'0b' * 32}"
DOCKER = EngineInfo(name="docker", version="1", arch="x86_64", isolation=("container",))


class Containers:
    """An engine that has one image, and gives one answer."""

    def __init__(self, answer=b"y", images=(IMAGE,), written=b"0"):
        self.answer, self.images, self.written = answer, set(images), written
        self.pulled, self.gpus, self.runs = [], [], 0
        self.gate, self.began, self.ended = threading.Event(), threading.Semaphore(0), threading.Event()
        self.gate.set()
        self.is_silent = False

    def has_image(self, image):
        if self.is_silent:
            raise UnavailableError("does not answer")
        return image in self.images

    def bring_image(self, reference, _stop):
        self.pulled.append(reference)
        self.images.add(IMAGE)
        return ImageFacts(id=IMAGE, repo_digest=reference, user="", arch="x86_64")

    def run(self, plan, store, progress=None, stop=None, gpus=None):
        self.runs += 1
        self.gpus.append(tuple(gpus))
        self.began.release()
        given_up = threading.Event()

        def end():
            given_up.set()
            self.gate.set()

        with stop.ending(end):
            self.gate.wait()
        self.ended.set()
        if given_up.is_set():
            raise IncompleteRunError("was given up")
        if isinstance(self.answer, Exception):
            raise self.answer
        files = {"result": b"", "stdout": self.answer, "stderr": b"", "exit_code": self.written}
        return ContainerRun(task=plan.task, output=tree(store, files), exit_code=0, engine=DOCKER)

    def stop(self):
        self.gate.set()

    def end(self, within_s):
        self.stop()


def host(engine, resolve=lambda _host, _port: ["8.8.8.8"], **settings):
    return ContainerHost(
        engine=engine, settings=HostSettings(**settings), name="docker", arch="x86_64", resolve=resolve
    )


def make_plan(store, *, gpus=0, **changes):
    input_ = an_input(
        data=Importer(store).bytes(b"data").cid,
        volumes=(),
        limits=Limits(fuel=None, memory=64 << 20, output=1 << 20),
    )
    made = function(image=IMAGE, gpus=gpus, **changes)
    return make_container_plan(made, input_, store=store, wall_clock_s=60.0)


@pytest.fixture
def net(tmp_path, monkeypatch):
    """Nodes of these engines, and a requester that makes real records of containers."""
    hosts = {}
    whole = node_world.NodeParts

    def parts(**values):
        engine = hosts.get(values["engine"])
        store = values["store"]
        if engine is not None:
            compute, kind = values["compute"], EngineKind(engine="docker", arch="x86_64")
            values["compute"] = dataclasses.replace(compute, engines=(*compute.engines, kind), **engine.room)
            held = host(engine.engine)
            values["containers"] = held
            values["make_selection"] = lambda: JobSelection(
                engine.policy, store, knows_runtime=lambda _: True, objection_to_container=held.objection
            )
        return whole(
            **values,
            make_container_job=lambda one, outcome, *, problem: finished_container(
                one, outcome, store, problem=problem
            ),
        )

    monkeypatch.setattr(node_world, "NodeParts", parts)
    monkeypatch.setitem(Requester.__init__.__kwdefaults__, "grace_ms", 50)
    monkeypatch.setattr("network.node.requester_side.OFFER_MS", 50)

    def make(*engines, gpus=()):
        made = Net(tmp_path, [Engine() for _ in engines])
        for place, engine in zip(made.nodes, engines, strict=True):
            room = {}
            if gpus:
                total = dataclasses.replace(node_world.TOTAL, gpus=len(gpus))
                room = {"total": total, "gpus": tuple(gpus)}
            if engine is not None:
                hosts[place.engine] = type("One", (), {"engine": engine, "room": room, "policy": place.policy})
        return made

    return make


def put_container(folder: Path, **changes):
    scratch = MemoryBlockStore()
    plan = make_plan(scratch, **changes)
    folder.mkdir(parents=True, exist_ok=True)
    with SqliteBlockStore(folder / "blocks.sqlite") as store:
        store.put_many(walk(scratch, plan.task))
        room = task_room(plan, scratch)
    demand = Demand(cpu_milli=room.cpu_milli, memory=room.memory_bytes, disk=room.disk_bytes, gpus=room.gpus)
    return plan.task, demand


def ask(net, times=2, **changes):
    task, demand = put_container(net.requester.folder, **changes)
    rule = make_rule(replication=times, confidence=times)
    return submission(task, rule=rule, demand=demand, unverified=True)


def read_record(net, job):
    with SqliteBlockStore(net.requester.folder / "blocks.sqlite") as store:
        return load_any_record(store, job.record), find_taint(store, [job.record])


async def run(net, asked):
    async with net.running() as node:
        await node.submit(asked)
        events = await until_event(node, JOB, "ended")
    return net.requester.finished().get(JOB), [event.kind for event in events], events


@on_real_time
async def test_two_nodes_say_the_same(net):
    net = net(Containers(), Containers())
    job, kinds, _ = await run(net, ask(net))
    assert isinstance(job, Job)
    assert (job.verdict, job.tier, job.report["reproduced"]) == ("reproduced", "unverified", "2/2")
    assert job.report["receipts"] == []
    assert job.report["stdout"] == "y"
    assert kinds.count("said") == 2
    record, taint = read_record(net, job)
    assert isinstance(record, UnverifiedRecord)
    assert {one.node for one in record.runs} == {place.peer for place in net.nodes}
    assert taint.is_tainted


@on_real_time
async def test_what_differs_has_no_record(net):
    net = net(Containers(b"y"), Containers(b"z"))
    job, _, _ = await run(net, ask(net))
    assert (job.verdict, job.record, job.output, job.exit_code) == ("differs", None, None, None)
    assert {one["node"] for one in job.report["runs"]} == {place.peer for place in net.nodes}


@on_real_time
async def test_an_output_that_says_another_exit_code_than_its_nodes_is_none(net):
    net = net(Containers(written=b"7"))
    job, _, _ = await run(net, ask(net, 1))
    assert job.report["stdout"] is None, "so the command says that it is not here"
    assert "its exit code is not 0, as the nodes say" in job.report["reason"]


@on_real_time
async def test_a_run_that_is_ended_tells_what_it_wrote(net):
    net = net(Containers(IncompleteRunError("took longer than 1 s", stdout=b"so far")))
    job, _, _ = await run(net, ask(net, 1))
    assert (job.verdict, job.report["stdout"]) == ("incomplete", "so far")
    assert "took longer than 1 s" in job.report["reason"]


@on_real_time
async def test_an_engine_that_fails_is_replaced(net):
    broken = Containers(IncompleteRunError("the engine failed", is_of_engine=True))
    net = net(broken, Containers(), Containers())
    job, _, _ = await run(net, ask(net, 2))
    assert job.verdict == "reproduced"
    failures = [one["reason"] for one in job.report["undetermined"]]
    assert failures == ["the engine failed"] * broken.runs


@on_real_time
async def test_nodes_that_run_no_containers_are_not_asked(net):
    net = net(None, Containers())
    job, _, events = await run(net, ask(net, 1))
    assert job.verdict == "ran"
    (assigned,) = (event for event in events if event.kind == "assigned")
    assert assigned.detail["nodes"] == [net.nodes[1].peer]


@on_real_time
async def test_a_node_without_the_image_says_so_and_the_search_ends(net):
    net = net(Containers(images=()))
    job, _, events = await run(net, ask(net, 1))
    assert job.verdict == "incomplete"
    (refused,) = (event for event in events if event.kind == "refused")
    assert refused.detail["reason"] == f"this node does not have the image {IMAGE}"
    assert "does not have the image" in job.report["reason"]


@on_real_time
async def test_a_node_that_is_started_again_runs_it_again(net):
    engine = Containers()
    engine.gate.clear()
    net = net(engine)
    asked = ask(net, 1)
    async with net.requester.open(net.network) as requester:
        async with net.nodes[0].open(net.network):
            await net.network.connect(net.requester.peer, net.nodes[0].peer)
            await requester.submit(asked)
            assert await trio.to_thread.run_sync(engine.began.acquire)
        engine.gate.set()
        async with net.nodes[0].open(net.network):
            await net.network.connect(net.requester.peer, net.nodes[0].peer)
            await until_event(requester, JOB, "ended")
    assert net.requester.finished()[JOB].verdict == "ran"
    assert engine.runs == 2


@on_real_time
async def test_cancel_ends_the_container(net):
    engine = Containers()
    engine.gate.clear()
    net = net(engine)
    async with net.running() as node:
        await node.submit(ask(net, 1))
        assert await trio.to_thread.run_sync(engine.began.acquire)
        await node.cancel(JOB)
        await until_event(node, JOB, "ended")
        assert await trio.to_thread.run_sync(engine.ended.wait, 60)
    job = net.requester.finished()[JOB]
    assert (job.verdict, job.report["reason"], job.record) == ("incomplete", "it was cancelled", None)


@on_real_time
async def test_devices_are_counted_and_held(net):
    """Only a node that has as many is asked, and the container gets whole devices of its own."""
    engine = Containers()
    net = net(engine, gpus=("GPU-a", "GPU-b"))
    job, _, _ = await run(net, ask(net, 1, gpus=2))
    assert job.verdict == "ran"
    assert [set(one) for one in engine.gpus] == [{"GPU-a", "GPU-b"}]


@on_real_time
async def test_more_devices_than_any_node_has_are_not_waited_for(net):
    net = net(Containers(), gpus=("GPU-a",))
    job, _, _ = await run(net, ask(net, 1, gpus=2))
    assert job.verdict == "incomplete"
    assert "no node took it" in job.report["reason"]


def test_a_demand_must_be_what_the_container_takes():
    store = MemoryBlockStore()
    plan = make_plan(store, gpus=1)
    room = task_room(plan, store)
    demand = Demand(cpu_milli=room.cpu_milli, memory=room.memory_bytes, disk=room.disk_bytes, gpus=1)
    one = OfferedTask(requester="me", job=JOB, demand=demand, plan=plan)
    policy = node_world.SelectionPolicy()
    assert objection(policy, one) == ""
    for name in ("cpu_milli", "memory", "disk", "gpus"):
        less = dataclasses.replace(demand, **{name: 0})
        assert "demands 0" in objection(policy, dataclasses.replace(one, demand=less))


# What a host lets run.


def test_a_host_says_why_not():
    store = MemoryBlockStore()
    engine = Containers(images=())
    plan = make_plan(store)
    pinned = make_plan(store, repo_digest=DIGEST)
    assert host(engine).objection(plan) == f"this node does not have the image {IMAGE}"
    assert host(engine).objection(pinned).endswith("and pulls none")
    assert host(engine, pulls=True).objection(plan).endswith("no registry is known that does")
    assert host(engine, pulls=True).objection(pinned) == ""
    reaching = make_plan(store, network="bridge")
    engine.images.add(IMAGE)
    assert host(engine).objection(reaching) == "this node gives containers no network"
    assert host(engine, networks=True).objection(reaching) == ""
    forbidding = dataclasses.replace(host(engine), policy_objection=lambda _: "not with the policy")
    assert forbidding.objection(plan) == "not with the policy"


def test_a_host_pulls_by_digest_and_only_what_was_named():
    kept = MemoryBlockStore()
    engine = Containers(images=())
    host(engine, pulls=True).run(make_plan(kept, repo_digest=DIGEST), kept, (), StopSignal())
    assert engine.pulled == [DIGEST]
    other = Containers(images=())
    other.bring_image = lambda reference, _stop: ImageFacts(
        id=f"sha256:{'0c' * 32}", repo_digest=reference, user="", arch="x86_64"
    )
    with pytest.raises(UndeterminedError, match="another image"):
        host(other, pulls=True).run(make_plan(kept, repo_digest=DIGEST), kept, (), StopSignal())
    assert other.runs == 0


def test_what_a_registry_or_an_engine_says_of_this_machine_is_told_to_nobody():
    """A requester chooses the registry: what is said of the way there would map this node's network."""
    kept = MemoryBlockStore()
    plan = make_plan(kept, repo_digest=DIGEST)
    told = UnavailableError('Get "https://10.0.0.7/v2/": dial tcp 10.0.0.7:443: connect: connection refused')

    def refuse(*_arguments):
        raise told

    engine = Containers(images=())
    engine.bring_image = refuse
    with pytest.raises(UndeterminedError) as caught:
        run_container(host(engine, pulls=True), plan, kept, (), StopSignal())
    assert str(caught.value) == "the image cannot be pulled"
    for error in (told, IncompleteRunError("mkdir /var/lib/docker: no space", is_of_engine=True)):
        with pytest.raises(UndeterminedError) as caught:
            run_container(host(Containers(error)), plan, kept, (), StopSignal())
        assert str(caught.value) == "the engine failed"


@pytest.mark.parametrize(
    ("registry", "is_asked"),
    [
        ("", True),
        ("owner/", True),
        ("ghcr.io/", True),
        ("registry.example:5000/", True),
        ("8.8.8.8:5000/", True),
        ("localhost/", False),
        ("localhost:5000/", False),
        ("registry:5000/", False),
        ("registry.internal/", False),
        ("127.0.0.1:5000/", False),
        ("10.1.2.3/", False),
        ("169.254.169.254/", False),
        ("127.1/", False),
        ("127.0.0.0x1/", False),
        ("10.0.0.1./", False),
        ("registry.example:0/", False),
        (f"registry.example:{'9' * 20}/", False),
    ],
)
def test_a_registry_of_this_nodes_own_network_is_not_asked(registry, is_asked):
    plan = make_plan(MemoryBlockStore(), repo_digest=f"{registry}name@sha256:{'0b' * 32}")
    assert (host(Containers(images=()), pulls=True).objection(plan) == "") == is_asked


def unknown(_host, _port):
    raise OSError("Name or service not known")


@pytest.mark.parametrize(
    ("name", "answer", "is_pulled"),
    [
        ("evil.example.com/x", ["127.0.0.1"], False),
        ("evil.example.com:5000/x", ["8.8.8.8", "10.0.0.1"], False),
        ("evil.example.com/x", ["::1"], False),
        ("evil.example.com/x", ["fe80::1%eth0"], False),
        ("evil.example.com/x", [], False),
        ("evil.example.com/x", None, False),
        ("ghcr.io/x", ["140.82.121.34", "2606:50c0::1"], True),
        ("corp.example.com/x", ["10.0.0.1"], True),
        ("registry.internal:5000/x", ["10.0.0.1"], True),
        ("owner/x", None, True),
    ],
)
def test_a_public_name_that_leads_to_this_nodes_own_network_is_not_asked_unless_its_operator_says_so(
    name, answer, is_pulled
):
    kept, asked = MemoryBlockStore(), []

    def resolve(host, port):
        asked.append((host, port))
        return unknown(host, port) if answer is None else answer

    engine = Containers(images=())
    one = host(engine, resolve, pulls=True, registries=frozenset({"corp.example.com", "registry.internal"}))
    plan = make_plan(kept, repo_digest=f"{name}@sha256:{'0b' * 32}")
    assert one.objection(plan) == ""
    assert asked == [], "an offer makes this node look up nothing"
    if is_pulled:
        one.run(plan, kept, (), StopSignal())
    else:
        with pytest.raises(UndeterminedError, match="registries of the internet alone"):
            one.run(plan, kept, (), StopSignal())
    assert bool(engine.pulled) == is_pulled


def test_a_strangers_container_has_so_many_volumes_at_most():
    store = MemoryBlockStore()
    plan = make_plan(store)
    outputs = tuple(OutputMount(name=f"o{number:03}", path=f"/o/{number}") for number in range(MAX_MOUNTS + 1))
    assert excess(dataclasses.replace(plan, input=dataclasses.replace(plan.input, outputs=outputs[1:]))) == ""
    assert "each a volume" in excess(dataclasses.replace(plan, input=dataclasses.replace(plan.input, outputs=outputs)))


@on_real_time
async def test_an_engine_that_hangs_keeps_only_containers_waiting():
    asked, released = threading.Semaphore(0), threading.Event()

    def hang(_plan):
        asked.release()
        released.wait()
        return ""

    scratch = MemoryBlockStore()
    demand = Demand(cpu_milli=1 << 20, memory=1 << 40, disk=1 << 40, gpus=0)
    container = OfferedTask(requester=ALICE, job=JOB, demand=demand, plan=make_plan(scratch))
    selection = JobSelection(
        node_world.SelectionPolicy(), scratch, knows_runtime=lambda _: True, objection_to_container=hang
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(selection.refusal, container)
        try:
            await trio.to_thread.run_sync(asked.acquire)
            assert await selection.refusal(offered(requester=BOB)) == ""
            assert await selection.refusals([offered(requester=BOB)]) == [""]
        finally:
            released.set()


def test_an_engine_that_is_silent_is_not_asked_for_each_offer():
    engine = Containers()
    engine.is_silent = True
    one = host(engine)
    plan = make_plan(MemoryBlockStore())
    assert one.objection(plan) == SILENT
    engine.is_silent = False
    assert one.objection(plan) == SILENT, f"for {SILENCE_S:g} s"
    one._silent_until = 0.0
    assert one.objection(plan) == ""
