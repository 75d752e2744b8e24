"""`bacalhau add`: content into the store, its CID out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import click

from bacalhau.cli.options import json_option, named_path, services_of
from bacalhau.exit_codes import ExitCode
from storage.blocks import BlockStore
from storage.cid import CID, cid_text

_STEP_BYTES: Final = 64 << 20
"""Progress is told this often: about once a second."""


@click.command("add", short_help="Put a file or directory into the store; print its CID.")
@click.argument("path", type=named_path)
@json_option
@click.pass_context
def command(ctx: click.Context, /, path: Path, as_json: bool) -> int:
    """Import a file or a directory with everything in it; the CID depends on the content alone."""
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json, print_text
    from storage.unixfs_import import Importer
    from storage.unixfs_read import UnixfsReader

    with services_of(ctx).open_store() as store, shown_progress() as display:
        entry = Importer(Counted(store, display.step)).path(path)
        kind = UnixfsReader(store).stat(entry.cid).kind
    if as_json:
        print_json({"cid": cid_text(entry.cid), "kind": kind, "size": entry.size})
    else:
        print_text(cid_text(entry.cid))
    return ExitCode.DONE


class Counted:
    """A store that tells how much went into it, when it is much."""

    def __init__(self, store: BlockStore, progress: Callable[[str], None]) -> None:
        self._store = store
        self._progress = progress
        self._bytes = 0
        self._told = 0

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block."""
        self.put_many([(cid, data)])

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks and count them."""
        kept = list(blocks)
        self._store.put_many(kept)
        self._bytes += sum(len(data) for _, data in kept)
        if self._bytes - self._told >= _STEP_BYTES:
            self._told = self._bytes
            self._progress(f"added {self._bytes >> 20} MiB")

    def get(self, cid: CID) -> bytes:
        """Return the block, checked."""
        return self._store.get(cid)

    def has(self, cid: CID) -> bool:
        """Tell whether the block is here."""
        return self._store.has(cid)
