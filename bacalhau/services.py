"""How commands reach engines, stores and the planner: one value, so that tests hand in others.

Imports nothing heavy by itself: `bacalhau cat` must not wait for Pyodide's planner to load.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Protocol

from bacalhau.home import Home, find_home

if TYPE_CHECKING:
    from network.graph_store import GraphStore
    from network.job_store import JobStore
    from network.lineage_store import LineageStore
    from network.node.sqlite_datastore import SqliteDatastore
    from network.result_store import ResultStore
    from runtime.capacity import Room
    from runtime.container_engine import ContainerEngine
    from runtime.contents import Note
    from runtime.downloads import Report
    from runtime.engine import Engine, Plan, Progress
    from runtime.jail import Level
    from runtime.planner.facts import MachineFacts
    from runtime.request import Request
    from storage.blocks import BlockStore
    from storage.cid import CID
    from storage.sqlite_block_store import SqliteBlockStore


class Prepare(Protocol):
    """Turns a request into a plan: `runtime.prepare.prepare`, or a test's stand-in."""

    def __call__(
        self,
        request: Request,
        *,
        store: SqliteBlockStore,
        engine: Engine,
        progress: Progress,
        report: Report,
        note: Note,
    ) -> Plan:
        """Return the plan.

        Raises:
            UserError, UnavailableError, VerificationError: it cannot be made.
        """
        ...


class MakeEngine(Protocol):
    """Makes an engine that executes tasks here: Python functions, or modules if it is called `wasmtime`."""

    def __call__(
        self,
        host: str = "node",
        *,
        strict: bool = False,
        level: Level | None = None,
        room: Room | None = None,
        beside: Engine | None = None,
    ) -> Engine:
        """Return an engine on a JavaScript engine of that name.

        strict: it refuses to run outside of a whole jail. room: what its executions get together, None for what this
        machine has. beside: an engine with which it shares that, and which it is stopped with.
        level: of the jail, and of no other; None: the best there is.

        Raises:
            UserError: the name is unknown.
            UnavailableError: it is not installed.
        """
        ...


def _find_facts() -> MachineFacts:
    from runtime.machine_facts_client import find_facts

    return find_facts()


def _make_containers(home: Home) -> ContainerEngine:
    from bacalhau.container_room import make_containers

    return make_containers(home)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a command works with."""

    home: Home
    make_engine: MakeEngine
    prepare: Prepare
    knows_runtime: Callable[[CID], bool]
    """Tells whether a stranger's task may start this runtime: it is this release's own, or ran here before."""

    make_runtime: Callable[[BlockStore], CID]
    """Puts this release's runtime into a store, fetching what it is made of if need be."""

    find_facts: Callable[[], MachineFacts] = _find_facts
    """Finds out what this machine has to run things with."""

    make_containers: Callable[[Home], ContainerEngine] = _make_containers
    """Makes the engine of the unverified tier; asks nobody yet."""

    def open_store(self) -> SqliteBlockStore:
        """Open the block store of this home, made on first use; the caller closes it."""
        from storage.sqlite_block_store import SqliteBlockStore

        self.home.create()
        return SqliteBlockStore(self.home.store_path)

    def open_jobs(self) -> JobStore:
        """Open the jobs of this home, made on first use; the caller closes them."""
        from network.job_store import JobStore

        self.home.create()
        return JobStore(self.home.datastore_path)

    def open_datastore(self) -> SqliteDatastore:
        """Open what a node of this home remembers, in the same file as the jobs; the caller closes it."""
        from network.node.sqlite_datastore import SqliteDatastore

        self.home.create()
        return SqliteDatastore(self.home.datastore_path)

    def open_results(self) -> ResultStore:
        """Open what was verified in this home, in the same file as the jobs; the caller closes it."""
        from network.result_store import ResultStore

        self.home.create()
        return ResultStore(self.home.datastore_path)

    def open_lineage(self) -> LineageStore:
        """Open what records of this home come of, in the same file as the jobs; the caller closes it."""
        from network.lineage_store import LineageStore

        self.home.create()
        return LineageStore(self.home.datastore_path)

    def open_published(self) -> GraphStore:
        """Open the logs of what was published or merged here, in the same file as the jobs; the caller closes them."""
        from network.graph_store import GraphStore

        self.home.create()
        return GraphStore(self.home.datastore_path)


def default_services() -> Services:
    """Return the services of this environment: Pyodide in Node, and the home that BACALHAU_DIR names."""
    home = find_home(os.environ)

    def make_engine(
        host: str = "node",
        *,
        strict: bool = False,
        level: Level | None = None,
        room: Room | None = None,
        beside: Engine | None = None,
    ) -> Engine:
        if host == "wasmtime":
            from runtime.wasm_engine import WasmEngine, make_module_pool

            return WasmEngine(compiled_dir=home.modules_dir, strict=strict, level=level, pool=make_module_pool(room))
        from runtime.engine_host import find_host
        from runtime.pyodide_engine import PyodideEngine, make_pool

        return PyodideEngine(
            runtimes_dir=home.runtimes_dir,
            wheels_dir=home.wheels_dir,
            images_dir=home.images_dir,
            checkpoints_dir=home.checkpoints_dir,
            host=find_host(host),
            strict=strict,
            level=level,
            pool=beside.pool if isinstance(beside, PyodideEngine) else make_pool(room),
        )

    def plan(
        request: Request, *, store: SqliteBlockStore, engine: Engine, progress: Progress, report: Report, note: Note
    ) -> Plan:
        from storage.sqlite_pins import hold

        if request.module is not None:
            from runtime.wasm_prepare import prepare_wasm

            return prepare_wasm(
                request,
                store=store,
                cache_dir=home.cache_dir,
                progress=progress,
                report=report,
                note=note,
                hold=partial(hold, store),
            )
        from runtime.prepare import prepare

        return prepare(
            request,
            store=store,
            cache_dir=home.cache_dir,
            engine=engine,
            progress=progress,
            report=report,
            note=note,
            hold=partial(hold, store),
        )

    def make_runtime(store: BlockStore) -> CID:
        from runtime.npm_client import pyodide_package
        from runtime.prepared_runtime import make_runtime

        return make_runtime(pyodide_package(home.cache_dir), store)

    @cache
    def own_runtime() -> CID:
        """It takes a while: whoever is asked about many runtimes of strangers makes it once."""
        from storage.blocks import ForgetfulBlockStore

        return make_runtime(ForgetfulBlockStore())

    def knows_runtime(cid: CID) -> bool:
        from runtime.wasm_release import wasm_runtime_cid
        from storage.cid import cid_text

        if cid == wasm_runtime_cid():
            return True
        return (home.runtimes_dir / cid_text(cid)).is_dir() or cid == own_runtime()

    return Services(
        home=home, make_engine=make_engine, prepare=plan, knows_runtime=knows_runtime, make_runtime=make_runtime
    )
