"""`bacalhau add`: content into the store, its CID out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import click

from bacalhau.cli.options import json_option, named_path, named_text, services_of
from bacalhau.exit_codes import ExitCode
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.counting import counted

PROFILE_NAMES: Final = ("unixfs-v1-2025", "unixfs-v0-2015", "legacy")
"""As `storage.unixfs_profile.profile_named` knows them; the first is the default."""
_STEP_BYTES: Final = 64 << 20
"""Progress is told this often: about once a second."""
_STEP_BLOCKS: Final = 20_000
"""The same for small files."""


@click.command("add", short_help="Put a file or directory into the store; print its CID.")
@click.argument("path", type=named_path)
@click.option("--profile", type=click.Choice(PROFILE_NAMES), default=PROFILE_NAMES[0], help="How files are cut.")
@click.option("--name", type=named_text, help="Name of the pin; default: the CID.")
@click.option("--pin/--no-pin", default=True, help="Keep it when garbage is collected.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, path: Path, profile: str, name: str | None, pin: bool, as_json: bool) -> int:
    """Import a file or a directory with everything in it, and pin it.

    The CID depends on the content and the profile alone.
    """
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json, print_text
    from bacalhau.store_room import check_room
    from runtime.contents import check_not_around
    from storage.sqlite_pins import Pin
    from storage.sqlite_pins import pin as pin_in
    from storage.unixfs_import import Importer
    from storage.unixfs_profile import profile_named
    from storage.unixfs_read import UnixfsReader

    rules = profile_named(profile)
    if name is not None and not pin:
        raise click.UsageError("--name is the name of a pin", ctx)
    with services_of(ctx).open_store() as store, shown_progress() as display:
        check_not_around(path.resolve(), str(path), store.path)
        check_room(store, path, rules)
        entry = Importer(Counted(store, display.step), rules).path(path)
        kind = UnixfsReader(store).stat(entry.cid).kind
        pinned = (name or cid_text(entry.cid)) if pin else None
        if pinned is not None:
            pin_in(store, Pin(name=pinned, cid=entry.cid, profile=rules.name, created_at=time.time()))
    if as_json:
        cid = cid_text(entry.cid)
        print_json({"cid": cid, "kind": kind, "size": entry.size, "profile": rules.name, "pin": pinned})
    else:
        print_text(cid_text(entry.cid))
    return ExitCode.DONE


class Counted:
    """A store that tells how much went into it, when it is much."""

    def __init__(self, store: BlockStore, progress: Callable[[str], None]) -> None:
        self._store = store
        self._progress = progress
        self._bytes = 0
        self._blocks = 0
        self._told = (0, 0)

    def put(self, cid: CID, data: bytes) -> None:
        """Keep one block."""
        self.put_many([(cid, data)])

    def put_many(self, blocks: Iterable[tuple[CID, bytes]]) -> None:
        """Keep many blocks and count them."""
        kept = list(blocks)
        self._store.put_many(kept)
        self._bytes += sum(len(data) for _, data in kept)
        self._blocks += len(kept)
        if self._bytes - self._told[0] >= _STEP_BYTES or self._blocks - self._told[1] >= _STEP_BLOCKS:
            self._told = (self._bytes, self._blocks)
            self._progress(f"added {self._bytes >> 20} MiB in {counted(self._blocks, 'block')}")

    def get(self, cid: CID) -> bytes:
        """Return the block, checked."""
        return self._store.get(cid)

    def has(self, cid: CID) -> bool:
        """Tell whether the block is here."""
        return self._store.has(cid)
