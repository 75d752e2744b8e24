"""Houses whose runtimes lack layers; made once for each process and set of layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import js_host
from runtime.jail import JailReport, Level
from runtime.jail_probe_client import probe
from runtime.node_client import find_node
from runtime.pyodide_engine import PyodideEngine
from storage.blocks import BlockStore
from tests.adversary.escapes.weakened import FLAGS, PIECES, weak_host, weaken
from tests.integration.conftest import House, caches, session_home, session_store

__all__ = ["caches", "session_home", "session_store"]


@pytest.fixture(scope="session")
def engine(session_home: Path, caches: Path) -> Iterator[PyodideEngine]:
    """The engine of this test process; houses with other jails and hosts share its pool and what it knows."""
    engine = PyodideEngine(runtimes_dir=session_home / "runtimes", wheels_dir=caches / "wheels")
    yield engine
    engine.stop()


@pytest.fixture
def house(session_store: BlockStore, session_home: Path, tmp_path: Path, engine: PyodideEngine) -> House:
    house = House(session_store, session_home, tmp_path)
    house.engine = engine
    return house


@pytest.fixture(scope="session")
def report() -> JailReport:
    return probe(find_node().binary)


class WeakHouse(House):
    """A house whose plans name a weakened runtime."""

    host_dir: Path

    @contextmanager
    def _weakened(self) -> Iterator[None]:
        npm = js_host.npm_manifest_dir()  # lies beside the real one
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(js_host, "HOST_DIR", self.host_dir)
            patch.setattr(js_host, "npm_manifest_dir", lambda: npm)
            yield

    def plan(self, source=None, **request):
        with self._weakened():
            return super().plan(source, **request)


class Foundry:
    """Makes houses without the named layers; `level` is the jail, the best there is if none is named."""

    def __init__(self, house: House, copies: Path) -> None:
        self._house = house
        self._copies = copies

    def __call__(self, *without: str, level: Level | None = None) -> House:
        pieces = sorted(layer for layer in without if layer in PIECES)
        flags = sorted(layer for layer in without if layer in FLAGS)
        assert {*pieces, *flags} == {*without}
        engine = dataclasses.replace(self._house.engine, level=level)
        if flags:
            engine = dataclasses.replace(engine, host=weak_host(engine.host, flags))
        weak = WeakHouse(self._house.store, self._house.home, self._house.scratch)
        weak.engine = engine
        weak.host_dir = self._copies / ("+".join(pieces) or "whole")
        if not weak.host_dir.is_dir():
            weaken(js_host.HOST_DIR, weak.host_dir, pieces)
        return weak


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("copies")


@pytest.fixture
def without(house: House, copies: Path) -> Foundry:
    return Foundry(house, copies)
