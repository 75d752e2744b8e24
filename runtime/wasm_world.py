"""Everything around one run but the engine: clock, randomness, files, streams, made anew of its task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.wasi_clock import Clock, Entropy
from runtime.wasi_descriptors import Descriptors
from runtime.wasi_imports import Host, make_host
from runtime.wasi_inputs import Inputs, Provider
from runtime.wasi_memory import GuestMemory
from runtime.wasi_nodes import File, Inodes, Node, Space
from runtime.wasi_tree import Tree
from runtime.wasm_collect import Collected, collect
from runtime.wasm_profile import PROGRAM_NAME
from runtime.wasm_streams import OutputMeter, Stream
from runtime.wasm_task import WasmTask


class Parent(Provider, Protocol):
    """Whom a run can ask."""

    def draw(self, count: int) -> bytes:
        """Return the next random bytes of the task."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a guest finds, and what it leaves."""

    host: Host
    meter: OutputMeter
    stdout: Stream
    stderr: Stream
    outputs: Sequence[tuple[str, Node]]

    def collected(self) -> list[Collected]:
        """Return what is in the output directories.

        Raises:
            OutputExceededError: more than may be put out.
        """
        return collect(self.outputs, self.meter)


def make_world(task: WasmTask, parent: Parent, look: Callable[[], memoryview]) -> World:
    """Make the world of a task. look: returns the guest's memory as it is now."""
    clock, inodes = Clock(task.epoch_s), Inodes()
    space = Space(task.memory_bytes)
    tree = Tree(clock, space, inodes)
    inputs = Inputs(parent, inodes)
    for mount in task.mounts:
        tree.mount(mount.path, inputs.node(mount.entry))
    outputs = []
    for name, path in task.outputs:
        directory = tree.make_directory()
        tree.mount(path, directory)
        outputs.append((name, directory))
    meter = OutputMeter(task.output_bytes)
    stdout, stderr = Stream(meter), Stream(meter)
    stdin = None if task.stdin is None else inputs.node(task.stdin)
    descriptors = Descriptors(stdin if isinstance(stdin, File) else tree.make_file(), stdout.write, stderr.write)
    descriptors.add_root(tree.root)
    host = make_host(
        memory=GuestMemory(look),
        descriptors=descriptors,
        tree=tree,
        clock=clock,
        entropy=Entropy(parent.draw),
        arguments=(PROGRAM_NAME, *task.arguments),
        environment=task.environment,
    )
    return World(host=host, meter=meter, stdout=stdout, stderr=stderr, outputs=outputs)
