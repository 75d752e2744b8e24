"""What a stack is made of, and which of two stacks is simpler: the vocabulary of the planner (docs/planner.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from runtime.jail import Level, is_strict


class Kind(StrEnum):
    """What is to be run; given with the request, never chosen."""

    PYTHON = "python"
    WASM = "wasm"
    DOCKER = "docker"


class Place(StrEnum):
    """Whose nodes run it; the simplest first."""

    NODES = "nodes"
    """Those that the node that runs here finds; nothing runs in this process."""
    EMBEDDED = "embedded"
    """Nodes of this process."""
    SERVING = "serving"
    """This node executes what others ask for."""


class EngineName(StrEnum):
    """What executes it; the simplest first."""

    PYODIDE_NODE = "pyodide-node"
    PYODIDE_BUN = "pyodide-bun"
    WASMTIME = "wasmtime"
    DOCKER = "docker"


class Isolation(StrEnum):
    """What stands between the code and the machine: the jails of `runtime.jail`, and what is not built yet.

    In the order of preference: the strongest jail, then what costs more to start, then nothing.
    """

    NAMESPACES = Level.NAMESPACES.value
    BUBBLEWRAP = Level.BUBBLEWRAP.value
    LANDLOCK = Level.LANDLOCK.value
    SECCOMP = Level.SECCOMP.value
    CONTAINER = "container"
    VM = "vm"
    """A virtual machine of the stack's own; whether this machine is one is `Machine`."""
    NONE = Level.NONE.value


class Machine(StrEnum):
    """What this machine is, as far as it tells."""

    VM = "vm"
    BARE = "bare"
    UNKNOWN = "unknown"


class Tier(StrEnum):
    """Whether a result can be verified."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"


TIER_OF: Final[Mapping[Kind, Tier]] = {
    Kind.PYTHON: Tier.VERIFIED,
    Kind.WASM: Tier.VERIFIED,
    Kind.DOCKER: Tier.UNVERIFIED,
}
ENGINES_OF: Final[Mapping[Kind, tuple[EngineName, ...]]] = {
    Kind.PYTHON: (EngineName.PYODIDE_NODE, EngineName.PYODIDE_BUN),
    Kind.WASM: (EngineName.WASMTIME,),
    Kind.DOCKER: (EngineName.DOCKER,),
}
PLACES_OF: Final[Mapping[Kind, tuple[Place, ...]]] = {
    Kind.PYTHON: (Place.NODES, Place.EMBEDDED),
    Kind.WASM: (Place.NODES, Place.EMBEDDED),
    Kind.DOCKER: (Place.EMBEDDED,),
}
"""Where the planner may put a run of each kind. Containers go to nodes where one runs: then there is nothing to choose,
and rules are held against that as it is (`bacalhau.container_stack`)."""
REACHES_OUT: Final = frozenset({Kind.DOCKER})
"""Kinds that can be given a GPU or a network."""

_IN_PROCESS: Final = tuple(one for one in Isolation if one is not Isolation.CONTAINER)
ISOLATIONS_OF: Final[Mapping[EngineName, tuple[Isolation, ...]]] = {
    EngineName.PYODIDE_NODE: _IN_PROCESS,
    EngineName.PYODIDE_BUN: _IN_PROCESS,
    EngineName.WASMTIME: _IN_PROCESS,
    EngineName.DOCKER: (Isolation.CONTAINER, Isolation.VM),
}
"""What an engine can be run in, in the order of preference."""

STRICT_ISOLATIONS: Final = tuple(Isolation(level.value) for level in Level if is_strict(level))
JAILS: Final = tuple(Isolation(level.value) for level in Level if level is not Level.NONE)

Number: TypeAlias = int | float
NUMBERS: Final = ("nodes", "confidence", "timeout", "memory")
"""Numbers of a stack; the timeout is in seconds, the memory in bytes."""
CHOICES: Final = ("tier", "engine", "isolation", "place", "machine", "diverse", "gpu", "networking")
"""What else a rule can speak of; `engine` and `isolation` of every part, all others of the stack as a whole."""
OF_PARTS: Final = frozenset({"engine", "isolation"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One engine, and what it runs in."""

    engine: EngineName
    isolation: Isolation | None
    """None: the best that there is when it starts, not looked at yet; only `plain` leaves it open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A low-level plan: what runs a job, where and within which limits."""

    kind: Kind
    place: Place
    parts: tuple[Part, ...]
    """In the order of `EngineName`; none where other nodes run it: what they use is theirs to choose."""
    diverse: bool = False
    """At least two engines, or nodes that differ."""
    gpu: bool = False
    networking: bool = False
    """The job may reach the network."""
    numbers: Mapping[str, Number]
    """By name, of NUMBERS; none where this node serves others, who say what they want with every job."""

    @property
    def tier(self) -> Tier:
        """Whether its result can be verified."""
        return TIER_OF[self.kind]


def engine_cost(engine: EngineName) -> int:
    """Return what an engine adds to a stack: fewer engines are simpler, then those that come first."""
    return (1 << len(EngineName)) + (1 << list(EngineName).index(engine))


def closeness(value: Number, wish: Number) -> tuple[Number, Number]:
    """Order numbers by their distance from what is wished, the smaller one first of two that are equally far."""
    return abs(value - wish), value


def simplicity(stack: Stack, wishes: Mapping[str, Number]) -> tuple[object, ...]:
    """Return a key that orders stacks of one kind, the simplest first; no two have the same.

    wishes: the numbers that are wished for. Assumes that every part's isolation is known.
    """
    ranks = {part.engine: list(Isolation).index(part.isolation) + 1 for part in stack.parts if part.isolation}
    return (
        list(Place).index(stack.place),
        sum(engine_cost(part.engine) for part in stack.parts),
        *(ranks.get(engine, 0) for engine in EngineName),
        stack.diverse,
        stack.gpu,
        stack.networking,
        *(closeness(stack.numbers[name], wish) for name, wish in wishes.items()),
    )
