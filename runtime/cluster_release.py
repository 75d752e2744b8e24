"""What a node and the workers of its cluster must have in common, and what a worker says that it has."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from runtime.engine_host import find_host
from runtime.prepared_runtime import runtime_of_this_release
from storage.cid import cid_text
from verifier.model import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a node and its workers must have in common."""

    version: str
    runtime: str
    """CID, as text."""
    engine: str
    """JavaScript engine, one of `engine_host.HOSTS`."""
    arch: str
    """As receipts name it: the node has promised it when it bid."""

    @property
    def resource(self) -> str:
        """Name of the resource of fit workers: bytes of memory for executions."""
        return f"bacalhau-memory {self.version} {self.runtime[-12:]} {self.engine}-{self.arch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a worker says of itself."""

    release: Release
    slots: int
    memory_bytes: int


def release_here(manifest: Runtime, engine: str) -> Release:
    """Return what this installation is. manifest: of a node's runtime; engine: name of the JavaScript engine.

    Raises:
        UnavailableError: there is no such engine here.
    """
    runtime, arch = cid_text(runtime_of_this_release(manifest)), find_host(engine).arch
    return Release(version=version("bacalhau"), runtime=runtime, engine=engine, arch=arch)


def difference(facts: object, wanted: Release) -> str:
    """Return what keeps a worker from taking orders. facts: what it answered, perhaps an exception."""
    if not isinstance(facts, Facts):
        return f"it cannot say what it has ({facts})"
    for name in ("version", "runtime", "engine", "arch"):
        theirs, ours = getattr(facts.release, name), getattr(wanted, name)
        if theirs != ours:
            return f"it has {name} {theirs}, and this node {ours}"
    return "it is not fit"
