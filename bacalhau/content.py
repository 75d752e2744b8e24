"""`bacalhau.add`: content into the store, its CID out, as `bacalhau add` does."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import BinaryIO

from bacalhau.services import default_services
from storage.cid import cid_text
from storage.errors import UserError


def add(content: str | Path | bytes | bytearray | memoryview | BinaryIO, *, pin: bool = True) -> str:
    """Put a file, a directory with everything in it, bytes or an open binary file into the store; return the CID.

    The CID depends on the content alone (profile `unixfs-v1-2025`). pin: keep it when garbage is collected.

    Examples:
        >>> bacalhau.add(b"hello\\n")
        'bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am'

    Raises:
        UserError: there is nothing at the path, or it holds what cannot be content.
        UnavailableError: the disk refuses.
    """
    from bacalhau.store_room import check_room
    from runtime.contents import check_not_around
    from storage.sqlite_pins import Pin
    from storage.sqlite_pins import pin as pin_in
    from storage.unixfs_import import Importer
    from storage.unixfs_profile import V1_2025

    with default_services().open_store() as store:
        importer = Importer(store)
        if isinstance(content, bytes | bytearray | memoryview):
            entry = importer.bytes(bytes(content))
        elif isinstance(content, str | os.PathLike):
            path = Path(content)
            check_not_around(path.resolve(), str(path), store.path)
            check_room(store, path, V1_2025)
            entry = importer.path(path)
        elif isinstance(getattr(content, "read", lambda _size: "")(0), bytes):
            entry = importer.file(content)
        else:
            fix = "give a path, bytes, or a file that is open for reading bytes"
            raise UserError(f"a {type(content).__name__} is no content", where="bacalhau.add", fix=fix)
        text = cid_text(entry.cid)
        if pin:
            pin_in(store, Pin(name=text, cid=entry.cid, profile=V1_2025.name, created_at=time.time()))
    return text
