"""What a worker of a cluster does with an order: dials the node, executes here, and gives the output when asked.

Blocks that are not here are asked for when the execution reads them, and are checked and kept; so are the runtime and
the wheels. What is kept lies below one folder of the worker's, and may be deleted at any time.
"""

from __future__ import annotations

import atexit
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final

from runtime.channel_transport import WANT, Channel
from runtime.cluster import LostWorkerError, Order
from runtime.cluster_caches_client import WorkerCaches
from runtime.door_transport import dial
from runtime.engine import Engine
from runtime.engine_host import find_host
from runtime.execution_claim import BEGIN, FAILED, KNOWN, PROGRESS, claim_of
from runtime.plan import plan_of_task
from runtime.pool_capacity import PoolCapacity
from runtime.pyodide_engine import PyodideEngine
from runtime.stop_signal import StopSignal
from runtime.worker_pool import WorkerPool
from storage.blocks import BlockStore
from storage.cid import CID, parse_cid
from storage.errors import BacalhauError, VerificationError
from storage.sourced_block_store import SourcedBlockStore
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_collection import collect

MAX_KEPT_BYTES: Final = 10 << 30
"""Of blocks: above it, what no execution is using goes."""
IDLE_S: Final = 60.0
"""How long a process waits for the next task of its function, as at a node."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlace:
    """Where a worker executes."""

    root: Path
    engine: Engine
    caches: WorkerCaches | None = None
    """What other workers may have made of it; None: everything is made here."""
    max_kept_bytes: int = MAX_KEPT_BYTES

    @property
    def store_path(self) -> Path:
        """Of the blocks that executions here have in common."""
        return self.root / "store" / "blocks.sqlite"


def make_place(root: Path, order: Order, capacity: PoolCapacity) -> WorkerPlace:
    """Return a place below a folder for orders like this one."""
    host = find_host(order.engine)
    runtimes_dir, wheels_dir, images_dir = root / "runtimes", root / "wheels", root / "images"
    engine = PyodideEngine(
        runtimes_dir=runtimes_dir,
        wheels_dir=wheels_dir,
        images_dir=images_dir,
        checkpoints_dir=root / "checkpoints",
        host=host,
        strict=order.strict,
        level=order.level,
        pool=WorkerPool(capacity=capacity, idle_timeout_s=IDLE_S),
    )
    caches = WorkerCaches(
        runtimes_dir=runtimes_dir,
        wheels_dir=wheels_dir,
        images_dir=images_dir / f"{host.name}-{host.version}-{host.arch}",
    )
    return WorkerPlace(root=root, engine=engine, caches=caches)


_places: dict[object, WorkerPlace] = {}
_places_lock = Lock()


def place_once(key: object, make: Callable[[], WorkerPlace]) -> WorkerPlace:
    """Return the place of a key, made when it is first asked for; its engine ends with this process."""
    with _places_lock:
        place = _places.get(key)
        if place is None:
            place = _places[key] = make()
            atexit.register(place.engine.stop)
        return place


def execute_order(order: Order, place: WorkerPlace, context: ssl.SSLContext | None, *, name: str) -> str:
    """Execute an order and return "", or why it cannot be executed here or anywhere.

    context: for TLS to the node; name: of this worker, for what people read. What an execution gave or why it failed is
    told to the node. Returns when the node has all of it, or has hung up: then what runs here is ended.
    """
    try:
        connection = dial(order.contact, order.ticket, context)
    except BacalhauError as error:
        return f"worker {name}: {error}"
    channel = Channel(connection, "the node")
    try:
        place.store_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with SqliteBlockStore(place.store_path) as store:
            channel.tell({"type": BEGIN, "worker": name})
            _execute(order, place, store, channel)
        _tidy(place)
    except LostWorkerError as error:
        log.info("%s", error)
    except BacalhauError as error:
        return f"worker {name}: {error}"
    except OSError as error:
        return f"worker {name}: {error}"
    finally:
        channel.close()
    return ""


def _execute(order: Order, place: WorkerPlace, store: SqliteBlockStore, channel: Channel) -> None:
    stop = StopSignal()
    try:
        with channel.watched(stop.set):
            sourced = SourcedBlockStore(store, lambda: [channel])
            plan = plan_of_task(order.task, sourced, order.wall_clock_s)
            plan = replace(plan, submitter=order.submitter, checkpoints_of=order.checkpoints_of)
            node, caches = order.contact, place.caches
            unknown = caches.bring(node, plan, sourced, partial(_known, channel)) if caches else ()
            execution = place.engine.execute(plan, sourced, _teller(channel), stop)
            made = caches.give(node, plan, unknown, store) if caches else []
    except BacalhauError as error:
        kind = "verification" if isinstance(error, VerificationError) else "undetermined"
        channel.tell({"type": FAILED, "kind": kind, "problem": str(error)[:1024]})
        return
    channel.tell(claim_of(execution, made))
    _give(channel, store)


def _known(channel: Channel, name: str) -> CID | None:
    """Ask the node by which CID it knows what other workers have made."""
    answer = channel.ask({"type": KNOWN, "name": name})
    text = answer.header.get("cid") if answer.type == KNOWN else None
    return parse_cid(text) if isinstance(text, str) else None


def _give(channel: Channel, store: BlockStore) -> None:
    """Give blocks until the node has what it wants."""
    while (frame := channel.hear()).type == WANT:
        channel.answer(frame, store)


def _teller(channel: Channel) -> Callable[[str], None]:
    def tell(phrase: str) -> None:
        try:
            channel.tell({"type": PROGRESS, "phrase": phrase})
        except LostWorkerError:
            return  # the one who watches ends the execution

    return tell


def _tidy(place: WorkerPlace) -> None:
    """Make room for others' blocks when there are many here; what is in use stays."""
    with SqliteBlockStore(place.store_path) as store:
        if store.usage().bytes > place.max_kept_bytes:
            collect(store, tuple, lambda phrase: log.debug("%s", phrase))
