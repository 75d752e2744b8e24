"""A devstack before it runs: which nodes, who of them is bad, where they live, and the flags that each is started with.

Pure: no clock, no processes; what the machine has is a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from network.node.back_room import VARIABLE as BACK_ROOM_VARIABLE
from network.node.bad_actors import PERSONAS
from runtime.capacity import Room
from runtime.quantity import cores_text
from storage.counting import counted
from storage.errors import UserError

MAX_NODES: Final = 50
"""Each is a process of some 100 MB, and a node keeps at most 64 connections with one IP address."""
LEAST_MEMORY_BYTES: Final = 3 << 29
"""Of a node: a function of 1 GiB, and its engine. It is a ceiling, and nothing is set aside."""
LEAST_DISK_BYTES: Final = 1 << 30
"""Of a node: what a function may write, four times over."""
REQUESTER: Final = "requester"
BACK_ROOM: Final = "back-room"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackNode:
    """One node of a stack."""

    name: str
    roles: tuple[str, ...]
    directory: Path
    """Its BACALHAU_DIR."""
    bad_actor: str | None = None
    """Name of its persona; None: it is honest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """All nodes of a stack, the one that the others are told of and that jobs are submitted to first."""

    directory: Path
    nodes: tuple[StackNode, ...]

    @property
    def compute_nodes(self) -> int:
        """Return how many nodes execute."""
        return sum("compute" in node.roles for node in self.nodes)


def plan_stack(directory: Path, *, nodes: int, bad_actors: Sequence[str] = (), hybrid: bool = False) -> StackPlan:
    """Return the nodes of a stack below `directory`.

    nodes: how many execute; the last of them are the bad actors. hybrid: each of them is a requester as well, and there
    is no other requester.

    Raises:
        UserError: too few or too many nodes, an unknown bad actor, or more bad actors than there is room for.
    """
    if not 1 <= nodes <= MAX_NODES:
        raise UserError(f"{nodes} is not 1 to {MAX_NODES}", where="--nodes", fix="give another number")
    unknown = next((name for name in bad_actors if name not in PERSONAS), None)
    if unknown is not None:
        fix = f"there are {', '.join(PERSONAS)}"
        raise UserError(f"{unknown!r} is no bad actor", where="--bad-actors", fix=fix)
    room = nodes - 1 if hybrid else nodes
    if len(bad_actors) > room:
        problem = f"{len(bad_actors)} are more than the {counted(room, 'node')} that may be bad"
        raise UserError(problem, where="--bad-actors", fix="give more --nodes")
    roles = ("compute", "requester") if hybrid else ("compute",)
    personas = (*(None for _ in range(nodes - len(bad_actors))), *bad_actors)
    computing = tuple(
        StackNode(name=f"node-{number}", roles=roles, directory=directory / f"node-{number}", bad_actor=persona)
        for number, persona in enumerate(personas, 1)
    )
    alone = StackNode(name=REQUESTER, roles=("requester",), directory=directory / REQUESTER)
    return StackPlan(directory=directory, nodes=computing if hybrid else (alone, *computing))


def share_of(machine: Room, nodes: int) -> Room:
    """Return what each of so many nodes may give to jobs: at least one core, and memory and disk for one function.

    None has GPUs: each would count the same ones.
    """
    return Room(
        cpu_milli=1000 * max(1, machine.cpu_milli // nodes // 1000),
        memory_bytes=max(machine.memory_bytes // nodes, LEAST_MEMORY_BYTES),
        disk_bytes=max(machine.disk_bytes // nodes, LEAST_DISK_BYTES),
    )


def serve_arguments(
    node: StackNode, share: Room, *, peers: Sequence[str] = (), containers: Sequence[str] = ()
) -> list[str]:
    """Return the arguments of `bacalhau` that start a node.

    peers: multiaddresses that it stays connected with; containers: further ones of a node that executes.
    """
    arguments = ["serve", "--json", "--until-eof"]
    for role in node.roles:
        arguments += ["--role", role]
    for peer in peers:
        arguments += ["--peer", peer]
    if "compute" in node.roles:
        arguments += ["--limit-total-cpu", cores_text(share.cpu_milli)]
        arguments += ["--limit-total-memory", str(share.memory_bytes), "--limit-total-disk", str(share.disk_bytes)]
        arguments += ["--limit-total-gpu", str(share.gpus), *containers]
    if node.bad_actor is not None:
        arguments += ["--bad-actor", node.bad_actor]
    return arguments


def environment_of(node: StackNode, plan: StackPlan, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a node, out of the one of the stack."""
    own = {"BACALHAU_API", "BACALHAU_API_TOKEN", BACK_ROOM_VARIABLE}
    kept = {name: value for name, value in environment.items() if name not in own}
    kept["BACALHAU_DIR"] = str(node.directory)
    if node.bad_actor is not None:
        kept[BACK_ROOM_VARIABLE] = str(plan.directory / BACK_ROOM)
    return kept
