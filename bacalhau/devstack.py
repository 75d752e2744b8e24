"""Several nodes on this machine as real processes: started, waited for, watched, and stopped together. On trio."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

import trio

from bacalhau.api_token import load_token
from bacalhau.devstack_plan import StackNode, StackPlan, environment_of, serve_arguments
from bacalhau.home import Home
from bacalhau.node_client import NodeClient
from bacalhau.shared_caches import share_caches
from bacalhau.stack_process import StackProcess, start_node
from runtime.capacity import Room
from storage.errors import BacalhauError, UnavailableError, UserError

READY_S: Final = 180.0
"""Until all nodes are ready: seconds, unless Pyodide has to be fetched first."""
LOOK_S: Final = 0.1
"""Between two questions to a node that is not ready yet."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stack_directory(chosen: Path | None) -> Iterator[Path]:
    """Give a directory for a stack: a temporary one that is removed at the end, or the chosen one, which is kept.

    Raises:
        UserError: it cannot be made.
    """
    try:
        if chosen is None:
            directory = Path(tempfile.mkdtemp(prefix="bacalhau-devstack-"))
        else:
            directory = chosen.expanduser().absolute()
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot be made: {reason}", where=str(error.filename), fix="choose another --dir") from error
    try:
        yield directory
    finally:
        if chosen is None:
            shutil.rmtree(directory, ignore_errors=True)  # links to shared caches are removed, and not followed


@dataclass(slots=True, kw_only=True)
class Devstack:
    """A stack; `run` is its life."""

    plan: StackPlan
    home: Home
    """Whose caches its nodes share."""
    share: Room
    """What each node may give to jobs."""
    environment: dict[str, str]
    announce: Callable[[dict[str, Any]], None]
    """Called once, when jobs can be submitted, with `describe`."""
    complain: Callable[[str], None]
    """Called with a line for people when a node ends that nobody stopped."""
    containers: tuple[str, ...] = ()
    """Arguments of each node that executes: whether it runs containers, and which."""
    processes: list[StackProcess] = field(default_factory=list)
    _is_ready: bool = False
    _is_ending: bool = False
    _failure: BacalhauError | None = None
    _scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    def run(self) -> None:
        """Run the stack until SIGINT, SIGTERM or SIGHUP.

        Raises:
            UnavailableError: a node did not start; the others are stopped.
        """
        trio.run(self._main)

    def describe(self) -> dict[str, Any]:
        """Return who is there, and how to reach them."""
        nodes = [
            {
                "name": one.node.name,
                "roles": list(one.node.roles),
                "bad_actor": one.node.bad_actor,
                "pid": one.process.pid,
                **one.facts,
                "log": str(one.log),
            }
            for one in self.processes
        ]
        return {"dir": str(self.plan.directory), "submit_to": nodes[0]["dir"], "api": nodes[0]["api"], "nodes": nodes}

    async def _main(self) -> None:
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            try:
                async with trio.open_nursery() as nursery:
                    self._scope = nursery.cancel_scope
                    nursery.start_soon(_cancel_at_signal, signals, nursery.cancel_scope)
                    await self._start(nursery)
                    self.announce(self.describe())
            finally:
                await self._stop()
        if self._failure is not None:
            raise self._failure

    async def _start(self, nursery: trio.Nursery) -> None:
        first, *others = self.plan.nodes
        with trio.move_on_after(READY_S) as limit:
            await self._start_one(first, (), nursery)
            peers = (self.processes[0].facts["addresses"][0],)
            async with trio.open_nursery() as starting:
                for node in others:
                    starting.start_soon(self._start_one, node, peers, nursery)
            self.processes.sort(key=lambda one: self.plan.nodes.index(one.node))
            for one in self.processes:
                if "requester" in one.node.roles:
                    await self._hears_of_all(one)
            self._is_ready = True
        if limit.cancelled_caught:
            fix = "start fewer --nodes"
            await self._fail(UnavailableError(f"was not ready in {READY_S:.0f} s", where="devstack", fix=fix))

    async def _start_one(self, node: StackNode, peers: tuple[str, ...], nursery: trio.Nursery) -> None:
        try:
            share_caches(self.home, Home(node.directory))
            process = await start_node(
                node,
                serve_arguments(node, self.share, peers=peers, containers=self.containers),
                environment_of(node, self.plan, self.environment),
                self.plan.directory / f"{node.name}.log",
            )
            self.processes.append(process)
            await process.become_ready()
        except BacalhauError as error:
            await self._fail(error)
        nursery.start_soon(self._watch, process)

    async def _fail(self, error: BacalhauError) -> NoReturn:
        """End the stack, and whoever calls this, with the first error of those that come at the same time."""
        self._failure = self._failure or error
        self._scope.cancel()
        await trio.sleep_forever()

    async def _hears_of_all(self, process: StackProcess) -> None:
        """Return when a requester has heard what every compute node has."""
        try:
            token = load_token(Home(process.node.directory).api_token_path)
            with NodeClient(process.facts["api"], token, is_elsewhere=True) as client:
                while True:
                    status = await trio.to_thread.run_sync(client.status, abandon_on_cancel=True)
                    if status["known_nodes"] >= self.plan.compute_nodes:
                        return
                    await trio.sleep(LOOK_S)
        except BacalhauError as error:
            await self._fail(error)

    async def _watch(self, process: StackProcess) -> None:
        await process.process.wait()
        if self._is_ending:
            return
        if not self._is_ready:
            await self._fail(process.not_started())
        lines = "".join(f"\n  {line}" for line in process.tail())
        self.complain(f"{process.node.name} {process.end_words()}; the others go on. Its log ends:{lines}")

    async def _stop(self) -> None:
        self._is_ending = True
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for process in self.processes:
                    nursery.start_soon(self._stop_one, process)

    async def _stop_one(self, process: StackProcess) -> None:
        if not await process.stop():
            self.complain(f"{process.node.name} did not end by itself and was killed")


async def _cancel_at_signal(signals: Any, scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return
