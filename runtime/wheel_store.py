"""Wheels on this machine: which CID a sha256 has here, and the files that workers are handed.

The block store holds the bytes. Beside it lie two caches that may be deleted at any time: the ledger, which remembers
under which CID a wheel was imported, and the wheel files, which a worker can only read as whole files by descriptor.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO, Final, cast

from runtime.wheel_index import DEFLATED, STORED, WheelMember, index_wheel
from runtime.wheel_sources import sha256_of
from storage.blocks import BlockStore
from storage.cid import CID, cid_text, parse_cid
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_read import UnixfsReader
from verifier.model import Wheel

__all__ = ["DEFLATED", "STORED", "WheelCache", "WheelLedger", "WheelMember", "index_wheel", "write_whole"]

_PIECE_BYTES: Final = 1 << 20


class WheelLedger:
    """sha256 of a wheel -> CID of the same bytes in the store, one small file each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def recall(self, sha256: str, store: BlockStore) -> CID | None:
        """Return the CID of a wheel that is whole and unharmed in the store, or None.

        Reads every block: a damaged or missing one means that the wheel has to be fetched again.
        """
        try:
            cid = parse_cid((self._directory / sha256).read_text("ascii").strip())
            with UnixfsReader(store).open(cid) as file:
                return cid if sha256_of(file) == sha256 else None
        except (OSError, ValueError, UserError, UnavailableError, VerificationError):
            return None

    def remember(self, sha256: str, cid: CID) -> None:
        """Keep the CID of a wheel."""
        write_whole(self._directory / sha256, cid_text(cid).encode("ascii"))


class WheelCache:
    """Wheel files named by their sha256, made from the store when they are first needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self, wheel: Wheel, store: BlockStore) -> BinaryIO:
        """Open a wheel's file at position 0; its descriptor can be handed to a worker. The caller closes it.

        The whole file is hashed each time, through the descriptor that is returned. A file that was harmed on the disk
        is made anew from the store.

        Raises:
            UnavailableError: blocks of the wheel are not in the store.
            VerificationError: the blocks are not the wheel that the lock names.
        """
        path = self._path(wheel)
        file = _open_if_whole(path, wheel.sha256)
        if file is None:
            self._materialise(wheel, store, path)
            file = _open_if_whole(path, wheel.sha256)
        if file is None:
            raise UnavailableError("the file was harmed while it was written", where=str(path), fix="check the disk")
        return file

    def find(self, wheel: Wheel) -> BinaryIO | None:
        """Open a wheel's file unchecked; None if it is not here."""
        try:
            return self._path(wheel).open("rb")
        except FileNotFoundError:
            return None

    def _path(self, wheel: Wheel) -> Path:
        return self._directory / f"{wheel.sha256}.whl"

    def _materialise(self, wheel: Wheel, store: BlockStore, path: Path) -> None:
        """Write the file beside its place, check it, then move it there: complete or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        try:
            with os.fdopen(handle, "w+b") as file, UnixfsReader(store).open(wheel.wheel) as blocks:
                shutil.copyfileobj(blocks, file, _PIECE_BYTES)
                actual = sha256_of(cast("BinaryIO", file))
            if actual != wheel.sha256:
                raise VerificationError(
                    f"its CID holds other bytes than its lock names: sha256 {actual}, not {wheel.sha256}",
                    where=f"{wheel.file_name} ({cid_text(wheel.wheel)})",
                    fix="do not use this lock",
                )
            Path(name).chmod(0o444)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that others see all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _open_if_whole(path: Path, sha256: str) -> BinaryIO | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    try:
        whole = sha256_of(file) == sha256
        file.seek(0)
    except BaseException:
        file.close()
        raise
    if not whole:
        file.close()
        return None
    return file
