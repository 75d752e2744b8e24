"""A cluster of Dask: workers that are there already, scheduled by their own scheduler (docs/cluster.md).

This and `dask_worker_client`, the other end, are the only files that use `distributed`. What runs on workers is sent by
name: they need this package, in the same release. A worker that was looked at and is fit gets a resource of ours, which
orders ask for; so Dask places them on fit workers alone, and counts the memory of all nodes that use the cluster.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any, Final

from distributed import Client, Future, Security
from distributed.comm.addressing import get_address_host
from distributed.utils import get_ip

from runtime.cluster import Ended, Order, WorkerRoom
from runtime.cluster_release import Facts, difference, release_here
from runtime.dask_worker_client import admit, run_order
from runtime.engine import UndeterminedError
from storage import dag_cbor
from storage.cid import cid_text
from storage.errors import UnavailableError, UserError
from verifier.model import Runtime

LOOK_S: Final = 10.0
"""Between two looks at the workers, if none comes or goes: Dask tells of those at once."""
CONNECT_S: Final = 15.0
log = logging.getLogger(__name__)


class DaskCluster:
    """The workers of a Dask scheduler; a `Cluster`."""

    def __init__(
        self, client: Client, runtime: Runtime, *, engine: str = "node", reopen: Callable[[], Client] | None = None
    ) -> None:
        """Look at the workers for the first time.

        client: synchronous, stays open meanwhile. runtime: of this release. reopen: connects anew when the client has
        given its scheduler up; with it, the client belongs to this and is closed with it.

        Raises:
            UnavailableError: there are workers, and none of them is fit.
        """
        self._client = client
        self._reopen = reopen
        self._is_away = False
        self._address = str(client.scheduler_info(n_workers=0)["address"])
        self._manifest = dag_cbor.encode(runtime.to_node())
        self._release = release_here(runtime, engine)
        self._lock = Lock()
        self._workers: tuple[WorkerRoom, ...] = ()
        self._unfit: dict[str, str] = {}
        self._watchers: list[Callable[[], None]] = []
        self._is_closed = False
        self._look_now = Event()
        client.subscribe_topic("all", self._heard)
        self._look()
        if self._unfit and not self._workers:
            fix = "install the same release of bacalhau on the workers"
            raise UnavailableError(next(iter(self._unfit.values())), where=self.address, fix=fix)
        self._follower = Thread(target=self._follow, name="dask-workers", daemon=True)
        self._follower.start()

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return self._address

    @property
    def security(self) -> Security:
        """Certificates of this node as a client, from Dask's own configuration or from whoever made the client."""
        security: Security = self._client.security
        return security

    def workers(self) -> tuple[WorkerRoom, ...]:
        """Return the fit workers; see `Cluster.workers`."""
        with self._lock:
            return self._workers

    def watch(self, tell: Callable[[], None]) -> None:
        """Tell of changes; see `Cluster.watch`."""
        with self._lock:
            self._watchers.append(tell)

    def submit(self, order: Order, memory_bytes: int, ended: Callable[[Ended], None]) -> Callable[[], None]:
        """Submit a task; see `Cluster.submit`."""
        key = f"bacalhau-{cid_text(order.task)[-12:]}-{os.urandom(8).hex()}"
        resources = {self._release.resource: memory_bytes}
        try:
            future = self._client.submit(run_order, order, key=key, resources=resources, pure=False)
        except Exception as error:  # whatever Dask raises: the order is not with it
            raise UndeterminedError(f"the cluster takes nothing: {error}", where=self.address) from error
        handed = _Handed(future, ended)
        future.add_done_callback(handed.done)
        return handed.take_back

    def close(self) -> None:
        """Leave the cluster; see `Cluster.close`."""
        self._is_closed = True
        self._look_now.set()
        self._follower.join()
        if self._reopen is not None:
            self._client.close(timeout=CONNECT_S)
        else:
            self._client.unsubscribe_topic("all")

    def _heard(self, event: tuple[float, Any]) -> None:
        """Hear of something on the scheduler; called in Dask's loop."""
        said = event[1]
        if isinstance(said, dict) and said.get("action") in ("add-worker", "remove-worker"):
            with self._lock:
                self._unfit.pop(str(said.get("worker")), None)
            self._look_now.set()

    def _follow(self) -> None:
        while not self._is_closed:
            self._look_now.wait(LOOK_S)
            self._look_now.clear()
            if not self._is_closed:
                self._look()

    def _look(self) -> None:
        try:
            found = self._found()
            strangers = [name for name, info in found.items() if self._is_stranger(name, info)]
            asked = self._ask(strangers) if strangers else {}
            self._is_away = False
        except Exception as error:  # noqa: BLE001  the scheduler is away, in one of many ways
            if not self._is_away:
                log.warning("%s: nothing is executed, the scheduler is away: %s", self.address, error)
            self._is_away = True
            found, asked = {}, {}
        rooms = [
            *(self._room(name, info) for name, info in found.items() if self._release.resource in info["resources"]),
            *(self._judged(name, facts) for name, facts in asked.items()),
        ]
        workers = tuple(sorted((room for room in rooms if room is not None), key=lambda room: room.name))
        with self._lock:
            changed, self._workers = workers != self._workers, workers
            watchers = [*self._watchers] if changed else []
        for tell in watchers:
            tell()

    def _found(self) -> dict[str, dict[str, Any]]:
        """Return how the scheduler describes its workers.

        Raises:
            Exception: of many kinds, when it cannot be asked.
        """
        if self._client.status == "closed" and self._reopen is not None:
            self._client = self._reopen()
        if self._client.status != "running":
            raise UnavailableError("connecting again", where=self.address)
        if self._is_away:  # it may be another one, that nobody has asked to tell
            self._client.subscribe_topic("all", self._heard)
        # Client.scheduler_info gives what it knew when it cannot ask.
        identity = self._client.scheduler.identity  # type: ignore[union-attr]
        found: dict[str, Any] = self._client.sync(identity, n_workers=-1, callback_timeout=CONNECT_S)
        return dict(found["workers"])

    def _is_stranger(self, name: str, info: dict[str, Any]) -> bool:
        with self._lock:
            return self._release.resource not in info["resources"] and name not in self._unfit

    def _ask(self, names: list[str]) -> dict[str, Any]:
        answers: dict[str, Any] = self._client.run(
            admit, self._manifest, self._release, workers=names, on_error="return"
        )
        return answers

    def _room(self, name: str, info: dict[str, Any]) -> WorkerRoom | None:
        memory = int(info["resources"][self._release.resource])
        return WorkerRoom(name=name, slots=int(info["nthreads"]), memory_bytes=memory)

    def _judged(self, name: str, facts: object) -> WorkerRoom | None:
        if isinstance(facts, Facts) and facts.release == self._release:
            return WorkerRoom(name=name, slots=facts.slots, memory_bytes=facts.memory_bytes)
        reason = f"worker {name} is not used: {difference(facts, self._release)}"
        log.warning("%s", reason)
        if not isinstance(facts, OSError):  # else it is going, or will be asked again
            with self._lock:
                self._unfit[name] = reason
        return None


class _Handed:
    """An order that is with Dask."""

    def __init__(self, future: Future[str], ended: Callable[[Ended], None]) -> None:
        self._future = future
        self._ended = ended
        self._lock = Lock()
        self._is_over = False

    def done(self, future: Future[str]) -> None:
        """Tell how it ended; called by a thread of Dask's, which may be told so itself by `take_back`."""
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
        self._ended(_outcome(future))

    def take_back(self) -> None:
        """Cancel it, if it is not over."""
        with self._lock:
            self._is_over = True
        with suppress(Exception):  # the client is closed, or the scheduler is gone: then Dask has let go of it
            self._future.cancel(asynchronous=False)


def _outcome(future: Future[str]) -> Ended:
    try:
        return Ended(problem=future.result(timeout=CONNECT_S))
    except Exception as error:  # noqa: BLE001  Dask's, or whatever went wrong on a worker
        return Ended(problem=f"the cluster does not execute it: {error}" if str(error) else type(error).__name__)


def connect(address: str, runtime: Runtime, *, engine: str = "node") -> DaskCluster:
    """Connect to a scheduler, as `tcp://HOST:PORT` or `tls://…`, with the certificates of Dask's configuration.

    Raises:
        UserError: that is no address, or it wants TLS and there are no certificates.
        UnavailableError: nobody answers there, or no worker is fit.
    """
    where = f"--workers {address}"
    _check_address(address, where)

    def open_client() -> Client:
        return Client(address, timeout=CONNECT_S, set_as_default=False, name="bacalhau")

    try:
        client = open_client()
    except (OSError, RuntimeError) as error:
        fix = "start it with `dask scheduler`, or check the address"
        raise UnavailableError(f"no Dask scheduler answers: {error}", where=where, fix=fix) from error
    try:
        return DaskCluster(client, runtime, engine=engine, reopen=open_client)
    except BaseException:
        client.close(timeout=CONNECT_S)
        raise


def _check_address(address: str, where: str) -> None:
    """Refuse what no client can be made with: one that is half made says so for half a minute.

    Raises:
        UserError: as `connect`.
    """
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    if scheme not in ("tcp", "tls") or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UserError(
            "is no address of a Dask scheduler", where=where, fix="write tcp://HOST:PORT or tls://HOST:PORT"
        )
    if scheme == "tls" and Security().get_connection_args("client")["ssl_context"] is None:
        fix = "name them in Dask's configuration: distributed.comm.tls.ca-file, client.cert and client.key"
        raise UserError("there are no certificates for TLS", where=where, fix=fix)


def door_context(cluster: DaskCluster) -> ssl.SSLContext | None:
    """Return how a door for this cluster speaks TLS, with certificates of both ends; None if the cluster does not."""
    if not cluster.address.startswith("tls://"):
        return None
    context: ssl.SSLContext = cluster.security.get_listen_args("client")["ssl_context"]
    return context


def address_towards(cluster: DaskCluster) -> str:
    """Return the address of this machine on the way to the scheduler: workers reach it too, as a rule."""
    return str(get_ip(get_address_host(cluster.address)))
