"""A node as a process: its home, its API, its signals. Everything that it opens is closed when this returns."""

from __future__ import annotations

import json
import logging
import os
import platform
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from bacalhau.api.app import make_app
from bacalhau.api.http_server import serve_api
from bacalhau.api.metrics import NodeMetrics
from bacalhau.api_token import load_or_create_token
from bacalhau.cluster import ClusterOptions, open_cluster
from bacalhau.container_node_report import finished_container
from bacalhau.engines import engine_for_all
from bacalhau.known_report import Before
from bacalhau.node_report import checked_inputs, finished_job, finished_shards
from bacalhau.services import Services
from bacalhau.trace_client import open_tracing
from bacalhau.web.page_files import read_page_files
from network import key_store
from network.demand import demand_of
from network.known_results import find_known, find_prior
from network.libp2p_transport import Libp2pSettings, open_libp2p
from network.messages import EngineKind
from network.node.changing_room import ChangingRoom
from network.node.compute_side import ComputeSettings
from network.node.datastore import Submission
from network.node.node import Node, open_node
from network.node.node_lock import hold_directory
from network.node.node_parts import MAX_WALL_CLOCK_S, NodeParts, Persona
from network.node.selection import JobSelection
from network.node.selection_policy import SelectionPolicy, objection_to_run
from network.node.sqlite_datastore import SqliteDatastore
from network.node.trust_count import count_once
from network.result_store import KEPT_S, Nodes
from network.transport_core import single_errors
from runtime.container_host import ContainerHost, HostSettings
from runtime.container_plan import ContainerPlan
from runtime.engine_host import find_host
from runtime.fitness import misplacement
from runtime.jail import Level
from runtime.machine_client import read_disk_bytes
from runtime.machine_room import MachineRoom
from runtime.npm_client import found_modules
from runtime.pyodide_engine import ENGINE_NAME
from runtime.wasm_profile import ENGINE as WASMTIME
from runtime.wasm_release import wasm_runtime_cid
from runtime.wheel_store import write_whole
from storage.cid import CID
from storage.errors import BacalhauError, UnavailableError
from verifier.identity import Identity

if TYPE_CHECKING:
    from runtime.any_plan import AnyPlan
    from runtime.engine import Engine
    from storage.blocks import BlockStore
    from storage.sqlite_block_store import SqliteBlockStore

NODE_FILE: Final = "node.json"
"""In BACALHAU_DIR while a node runs: where its API is."""
KEY_FILE: Final = "node.key"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """What the operator said."""

    computes: bool = True
    requests: bool = True
    transport: Libp2pSettings
    api_host: str = "127.0.0.1"
    api_port: int = 0
    api_names: tuple[str, ...] = ()
    """Further values of the Host header that the API answers to."""
    policy: SelectionPolicy
    room: MachineRoom
    """What jobs get, all together and one by one."""
    labels: Mapping[str, str]
    cluster: ClusterOptions | None = None
    """Where its executions are; None for this machine. Of a cluster, `room` is what it takes at most."""
    engine: str = "node"
    """JavaScript engine of its executions, one of `runtime.engine_host.HOSTS`."""
    level: Level | None = None
    """Of the jail around them; None: the best there is."""
    max_wall_clock_s: float | None = None
    """Seconds after which an execution is given up; None, or more than that: `node_parts.MAX_WALL_CLOCK_S`."""
    strict: bool = False
    """Run nothing outside of a whole jail."""
    objection_to_job: Callable[[Submission], str] = lambda _job: ""
    """Why a job is not accepted from whoever may submit; empty if it is."""
    until_eof: bool = False
    """End when stdin ends too: with whoever started it, however that ends."""
    spot_checks: float = 0.0
    """For each task of a job that goes by trust, on average: tasks whose answer is known, offered like any other."""
    containers: HostSettings | None = None
    """What runs in containers; None: nothing does."""
    objection_to_container: Callable[[ContainerPlan], str] = lambda _plan: ""
    """Which rule of the policy a container would break here; empty if none."""
    make_persona: Callable[[Identity], Persona] | None = None
    """A bad actor's, for tests of a network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningNode:
    """How a node that is ready can be reached."""

    peer: str
    addresses: tuple[str, ...]
    api: str
    """URL."""
    dir: str
    """Its BACALHAU_DIR."""
    pid: int


def run_node(services: Services, options: NodeOptions, ready: Callable[[RunningNode], None]) -> None:
    """Run a node until SIGINT or SIGTERM. ready: called once, when it can be used.

    Raises:
        UserError: another node is on this directory, or an address cannot be listened on.
        UnavailableError: the store or the datastore cannot be used, the runtime cannot be fetched, or the engine of
            its containers does not answer.
    """
    home = services.home
    home.create()
    with ExitStack() as stack:
        stack.enter_context(hold_directory(home.root))
        store = stack.enter_context(services.open_store())
        datastore = stack.enter_context(services.open_datastore())
        jobs = stack.enter_context(services.open_jobs())
        results = stack.enter_context(services.open_results())
        results.forget(before=time.time() - KEPT_S)
        before = Before(results=results, lineage=stack.enter_context(services.open_lineage()), nodes=Nodes.NETWORK)
        count_once(datastore, results, store)
        parts = _parts(services, options, store, datastore, before, _containers(services, options))
        parts = replace(parts, tell_span=stack.enter_context(open_tracing(os.environ, parts.identity.peer)))
        if options.cluster is not None:  # an end before there is a node
            stack.callback(parts.engine.stop)
        token = load_or_create_token(home.api_token_path)
        pages = read_page_files(lambda: found_modules(home.cache_dir))
        node_file = home.root / NODE_FILE

        async def main() -> None:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, single_errors():
                async with open_node(parts) as node, trio.open_nursery() as nursery:
                    metrics = NodeMetrics(measures=node.measures, levels=node.levels, store=store, engine=parts.engine)
                    app = make_app(
                        node,
                        store,
                        jobs,
                        token=token,
                        hosts=options.api_names,
                        pages=pages,
                        lineage=before.lineage,
                        metrics=metrics,
                    )
                    url = await nursery.start(partial(serve_api, app, options.api_host, options.api_port))
                    running = _describe(node, url, home.root)
                    write_whole(node_file, json.dumps(asdict(running)).encode())
                    stack.callback(node_file.unlink, missing_ok=True)
                    ready(running)
                    if options.until_eof:
                        nursery.start_soon(_until_eof, nursery.cancel_scope)
                    async for _ in signals:
                        nursery.cancel_scope.cancel()
                        break

        trio.run(main)


async def _until_eof(scope: trio.CancelScope) -> None:
    while await trio.to_thread.run_sync(os.read, 0, 4096, abandon_on_cancel=True):
        pass
    scope.cancel()


def _describe(node: Node, url: str, root: Path) -> RunningNode:
    status = node.status()
    return RunningNode(peer=status.peer, addresses=status.addresses, api=url, dir=str(root), pid=os.getpid())


def _parts(
    services: Services,
    options: NodeOptions,
    store: SqliteBlockStore,
    datastore: SqliteDatastore,
    before: Before,
    containers: ContainerHost | None,
) -> NodeParts:
    identity = key_store.load_or_create(services.home.keys_dir / KEY_FILE)
    engine, compute = _compute(services, options, store)
    if compute is not None and containers is not None:
        kind = EngineKind(engine=containers.name, arch=containers.arch)
        compute = replace(compute, engines=(*compute.engines, kind))

    def fitness(plan: AnyPlan, blocks: BlockStore) -> str:
        objection = objection_to_run(options.policy, plan)
        return objection or ("" if isinstance(plan, ContainerPlan) else misplacement(plan, blocks))

    def knows_runtime(runtime: CID) -> bool:
        # Workers of a cluster run Python functions alone.
        return services.knows_runtime(runtime) and (options.cluster is None or runtime != wasm_runtime_cid())

    return NodeParts(
        identity=identity,
        store=store,
        datastore=datastore,
        open_transport=partial(_open_transport, options.transport),
        compute=compute,
        requests=options.requests,
        engine=engine,
        objection_to_job=options.objection_to_job,
        max_wall_clock_s=min(options.max_wall_clock_s or MAX_WALL_CLOCK_S, MAX_WALL_CLOCK_S),
        make_selection=lambda: JobSelection(
            options.policy,
            store,
            knows_runtime=_forgiving(knows_runtime),
            objection_to_container=None if containers is None else containers.objection,
        ),
        fitness=fitness,
        make_job=lambda submission, session, *, problem: finished_job(
            submission, session, store, problem=problem, before=before
        ),
        containers=containers,
        make_container_job=lambda submission, outcome, *, problem: finished_container(
            submission, outcome, store, problem=problem
        ),
        make_shards_job=lambda submission, shards, settled, merged, *, problem: finished_shards(
            submission, shards, settled, merged, store, problem=problem, before=before
        ),
        find_known=lambda task, rule: find_known(task, rule, before.records(task), store),
        find_prior=lambda task, nodes: find_prior(
            task, before.records(task), store, usable=before.results.records(task, nodes=nodes)
        ),
        check_inputs=lambda job: checked_inputs(job, store, before).refuse_unless_verified(),
        free_disk=partial(_free_disk, services.home.root),
        spot_checks=options.spot_checks,
        sample_known=before.results.sample,
        records_of=partial(before.results.records, nodes=Nodes.NETWORK),
        persona=None if options.make_persona is None else options.make_persona(identity),
    )


def _containers(services: Services, options: NodeOptions) -> ContainerHost | None:
    """Return what runs containers, once its engine has answered; None if nothing does."""
    if options.containers is None or not options.computes:
        return None
    engine = services.make_containers(services.home)
    name, arch = engine.identify()
    return ContainerHost(
        engine=engine,
        settings=options.containers,
        name=name,
        arch=arch,
        policy_objection=options.objection_to_container,
    )


def _compute(
    services: Services, options: NodeOptions, store: SqliteBlockStore
) -> tuple[Engine, ComputeSettings | None]:
    """Return what executes, and how the node takes part with it; None if it does not."""
    runtime = services.make_runtime(store) if options.computes else None
    if runtime is not None and options.cluster is not None:
        elsewhere, changing = open_cluster(
            options.cluster,
            runtime,
            store,
            limit=options.room,
            engine=options.engine,
            strict=options.strict,
            level=options.level,
        )
        return elsewhere, _compute_settings(options, changing)
    engine = engine_for_all(
        services, options.engine, strict=options.strict, level=options.level, room=options.room.total
    )
    return engine, _compute_settings(options) if options.computes else None


def _compute_settings(options: NodeOptions, changing: ChangingRoom | None = None) -> ComputeSettings:
    room, host = options.room, find_host(options.engine)
    modules = () if options.cluster is not None else (EngineKind(engine=WASMTIME, arch=platform.machine()),)
    return ComputeSettings(
        total=demand_of(room.total) if changing is None else changing.total(),
        job_most=demand_of(room.job_most) if changing is None else changing.job_most(),
        gpus=tuple(gpu.uuid for gpu in room.gpus),
        gpu_note=room.gpu_note,
        engines=(EngineKind(engine=f"{ENGINE_NAME}-{host.name}", arch=host.arch), *modules),
        labels=options.labels,
        changing=changing,
    )


def _free_disk(directory: Path) -> int:
    try:
        return read_disk_bytes(directory).amount
    except OSError as error:
        raise UnavailableError(f"the free disk cannot be looked at: {error.strerror}", where=str(directory)) from error


def _open_transport(settings: Libp2pSettings, identity: Any, handler: Any, store: Any) -> Any:
    return open_libp2p(identity, handler, store, settings)


def _forgiving(knows: Callable[[CID], bool]) -> Callable[[CID], bool]:
    """A runtime that cannot be looked up is not known."""

    def ask(runtime: CID) -> bool:
        try:
            return knows(runtime)
        except BacalhauError as error:
            log.warning("%s", error)
            return False

    return ask
