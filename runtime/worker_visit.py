"""The node's end of a conversation with a worker of its cluster that has come for an order."""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import suppress
from threading import Lock
from typing import Final

from runtime.channel_transport import WANT, Channel
from runtime.cluster import LostWorkerError
from runtime.engine import Execution, Plan, Progress, UndeterminedError
from runtime.execution_claim import BEGIN, DONE, FAILED, KNOWN, PROGRESS, THANKS, read_claim, read_made
from runtime.frames import Frame
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.dag_fetch import fetch_dag
from storage.errors import BacalhauError, PeerError, UnavailableError, UserError, VerificationError

SPARE_BYTES: Final = 64 << 20
"""Of an output beyond its limit: what names and links take."""
MAX_MADE_BYTES: Final = 3 << 30
"""Of one image or pack; images have at most 2 GiB of memory."""
MAX_KNOWN: Final = 10_000
log = logging.getLogger(__name__)


class MadeElsewhere:
    """What workers have made and others can do with (`cluster_caches_client`): its name, and its CID in the store."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._cids: OrderedDict[str, CID] = OrderedDict()

    def known(self, name: str, store: BlockStore) -> CID | None:
        """Return by which CID a thing is known, if it is in the store."""
        with self._lock:
            cid = self._cids.get(name)
        return cid if cid is not None and store.has(cid) else None

    def note(self, name: str, cid: CID) -> None:
        """Know a thing, all of which is in the store; the oldest is forgotten first."""
        with self._lock:
            self._cids[name] = cid
            if len(self._cids) > MAX_KNOWN:
                self._cids.popitem(last=False)


def converse(channel: Channel, plan: Plan, store: BlockStore, progress: Progress, made: MadeElsewhere) -> Execution:
    """Give a worker what it asks for until it is done, then fetch the output.

    Raises:
        LostWorkerError: the worker is gone, or does not give its output any more.
        UndeterminedError: it failed, or breaks the rules.
        VerificationError: it says that a block or wheel of the task is not what its CID says.
    """
    while True:
        frame = channel.hear()
        if frame.type == BEGIN:
            channel.name = f"worker {str(frame.header.get('worker'))[:255]}"
        elif frame.type == WANT:
            channel.answer(frame, store)
        elif frame.type == KNOWN:
            cid = made.known(str(frame.header.get("name")), store)
            channel.tell({"type": KNOWN, "cid": None if cid is None else cid_text(cid)})
        elif frame.type == PROGRESS:
            progress(str(frame.header.get("phrase"))[:255])
        elif frame.type == FAILED:
            raise _failure(frame, channel.name)
        elif frame.type == DONE:
            return _fetched(channel, frame, plan, store, made)
        else:
            raise UndeterminedError(f"{channel.name} sent a frame {frame.type[:32]!r}")


def _fetched(channel: Channel, done: Frame, plan: Plan, store: BlockStore, made: MadeElsewhere) -> Execution:
    try:
        execution, things = read_claim(done.header, plan.task), read_made(done.header)
        fetch_dag(store, execution.output, [channel], max_bytes=plan.input.limits.output + SPARE_BYTES)
    except UnavailableError as error:
        raise LostWorkerError(f"{channel.name} does not give its output: {error.problem}") from error
    except (UserError, PeerError, VerificationError) as error:
        raise UndeterminedError(f"{channel.name} gave no output: {error.problem}") from error
    _take(things, channel, store, made)
    with suppress(LostWorkerError):  # all that was wanted is here
        channel.tell({"type": THANKS})
    return execution


def _take(things: list[tuple[str, CID]], channel: Channel, store: BlockStore, made: MadeElsewhere) -> None:
    """Fetch what other workers can do with; the execution is done whether that comes or not."""
    for name, cid in things:
        before = made.known(name, store)
        if before not in (None, cid):
            log.warning("%s made another %s than a worker before it: %s", channel.name, name, cid_text(cid))
        if before is None:
            try:
                fetch_dag(store, cid, [channel], max_bytes=MAX_MADE_BYTES)
            except BacalhauError as error:
                log.info("%s did not give %s: %s", channel.name, name, error)
                return
            made.note(name, cid)


def _failure(frame: Frame, name: str) -> BacalhauError:
    problem = f"{name}: {str(frame.header.get('problem'))[:1024]}"
    return VerificationError(problem) if frame.header.get("kind") == "verification" else UndeterminedError(problem)
