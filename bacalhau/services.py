"""How commands reach engines, stores and the planner: one value, so that tests hand in others.

Imports nothing heavy by itself: `bacalhau --help` must not load Pyodide's planner.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bacalhau.home import Home, find_home

if TYPE_CHECKING:
    from network.job_store import JobStore
    from runtime.engine import Engine, Plan, Progress
    from runtime.request import Request
    from storage.blocks import BlockStore
    from storage.sqlite_block_store import SqliteBlockStore

    Prepare = Callable[[Request, BlockStore, Engine, Progress], Plan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a command works with."""

    home: Home
    engine: Engine
    prepare: Prepare
    """Turns a request into a plan; see `runtime.prepare.prepare`."""

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


def default_services() -> Services:
    """Return the services of this environment: Pyodide in Node, and the home that BACALHAU_DIR names."""
    from runtime.prepare import prepare
    from runtime.pyodide_engine import PyodideEngine

    home = find_home(os.environ)

    def plan(request: Request, store: BlockStore, engine: Engine, progress: Progress) -> Plan:
        return prepare(request, store=store, cache_dir=home.cache_dir, engine=engine, progress=progress)

    engine = PyodideEngine(runtimes_dir=home.runtimes_dir, wheels_dir=home.wheels_dir)
    return Services(home=home, engine=engine, prepare=plan)
