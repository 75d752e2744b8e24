"""A prepared runtime and a store for each test process, and a way to run a function once in the real Node."""

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from runtime.engine import Execution, Plan
from runtime.prepare import prepare
from runtime.pyodide_engine import PyodideEngine
from runtime.request import Request
from storage.blocks import BlockStore
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_read import UnixfsReader
from tests.integration.docker_world import engine_of_tests

WALL_CLOCK_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """What one execution left, read back from the store."""

    plan: Plan
    execution: Execution
    reader: UnixfsReader

    @property
    def exit_code(self) -> int:
        return self.execution.exit_code

    @property
    def state_digest(self) -> str:
        return self.execution.state_digest

    def bytes(self, path: str) -> bytes:
        return self.reader.read_bytes(self.reader.resolve(self.execution.output, path), 1 << 28)

    @property
    def result(self) -> str:
        return self.bytes("result").decode()

    @property
    def stdout(self) -> str:
        return self.bytes("stdout").decode()

    @property
    def stderr(self) -> str:
        return self.bytes("stderr").decode()

    def names(self, path: str) -> list[str]:
        return [name for name, _ in self.reader.entries(self.reader.resolve(self.execution.output, path))]


def assert_same_machine(there: Outcome, here: Outcome) -> None:
    """Two executions of a task left the same: what they said first, for a failure that can be read."""
    assert there.stderr == here.stderr
    assert there.exit_code == here.exit_code
    assert there.execution.output == here.execution.output
    assert there.execution.fuel == here.execution.fuel
    assert there.state_digest == here.state_digest


class House:
    """A store, an engine and the folders they keep; files of functions go to a folder that one test owns.

    A context manager: its workers end with it.
    """

    def __init__(self, store: BlockStore, home: Path, scratch: Path, caches: Path | None = None) -> None:
        self.store = store
        self.home = home
        self.scratch = scratch
        caches = caches or home / "cache"
        self.engine = PyodideEngine(runtimes_dir=home / "runtimes", wheels_dir=caches / "wheels")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.stop()

    def write(self, source: str | dict[str, str | bytes]) -> Path:
        """Write a function directory, named by its content, and return it."""
        files = {"function.py": source} if isinstance(source, str) else source
        folder = self.scratch / hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:12]
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    def plan(self, source: str | dict[str, str | bytes] | None = None, **request) -> Plan:
        """Prepare a request; `data` may be bytes."""
        if source is not None:
            request["function"] = self.write(source)
        if isinstance(request.get("data"), bytes):
            path = self.scratch / f"data-{hashlib.sha256(request['data']).hexdigest()[:12]}"
            path.write_bytes(request["data"])
            request["data"] = str(path)
        request.setdefault("timeout_s", WALL_CLOCK_S)
        return prepare(Request(**request), store=self.store, cache_dir=self.home / "cache", engine=self.engine)

    def execute(self, plan: Plan, store: BlockStore | None = None) -> Outcome:
        """Run a plan once."""
        store = self.store if store is None else store
        return Outcome(plan, self.engine.execute(plan, store), UnixfsReader(store))

    def run(self, source: str | dict[str, str | bytes] | None = None, **request) -> Outcome:
        """Prepare and run once."""
        return self.execute(self.plan(source, **request))

    def replaced(self, **fields) -> "House":
        """Return a house that differs in some fields."""
        house = House(self.store, self.home, self.scratch)
        house.__dict__.update(fields)
        if "home" in fields:
            house.engine = dataclasses.replace(house.engine, runtimes_dir=house.home / "runtimes")
        return house


@pytest.fixture(scope="session")
def caches(tmp_path_factory):
    """Where all processes of this run keep images and compiled modules: both are named by all that they depend on."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "caches"


@pytest.fixture(scope="session")
def stack_home(tmp_path_factory):
    """BACALHAU_DIR of whoever starts a devstack; what its nodes share is made before, so that none of them waits."""
    from tests.integration.stack_world import HELLO, run

    home = tmp_path_factory.mktemp("stack_home")
    run(home, "-c", HELLO, "--local", "--concurrency", 1, "--confidence", 1)
    return home


@pytest.fixture(scope="session")
def session_home(tmp_path_factory):
    """The home of this test process: the runtime is laid out once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def session_store(session_home):
    with SqliteBlockStore(session_home / "blocks.sqlite") as store:
        yield store


@pytest.fixture
def house(session_store, session_home, tmp_path, caches):
    with House(session_store, session_home, tmp_path, caches) as house:
        yield house


@pytest.fixture(scope="session")
def containers():
    """An engine of containers, which DOCKER_HOST names."""
    with engine_of_tests():
        yield
