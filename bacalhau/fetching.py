"""Fetches a DAG once, however many processes ask for it at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from bacalhau.home import Home
from storage.block_source import BlockSource
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.dag_fetch import Fetched, fetch_dag
from storage.errors import UnavailableError
from storage.file_lock import hold


def fetch_once(
    store: BlockStore, cid: CID, sources: Sequence[BlockSource], home: Home, step: Callable[[str], None]
) -> Fetched:
    """Fetch what is not here; a second process waits for the first, and finds it here then.

    Raises:
        UnavailableError, PeerError, VerificationError: as `fetch_dag` does.
    """
    path = home.store_path.parent / f".fetch-{cid_text(cid)}"
    with ExitStack() as held:
        try:
            held.enter_context(hold(path, lambda: step("another process fetches it: waiting")))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UnavailableError(f"cannot be made: {reason}", where=str(path), fix="check free space") from error
        return fetch_dag(store, cid, sources, step=step)
