"""Write UnixFS content to the file system: all of it or nothing, and nothing outside the target."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePath
from typing import Final

from storage.cid import CID, cid_text
from storage.errors import UnavailableError, UserError, VerificationError
from storage.new_file import check_name
from storage.unixfs_members import Member, members
from storage.unixfs_read import UnixfsReader

_COPY_BYTES: Final = 1 << 20


def export(reader: UnixfsReader, cid: CID, target: Path, *, max_bytes: int | None = None) -> None:
    """Write the file or directory tree `cid` as `target`, which must not exist; its parent must.

    It is written beside the target and renamed into place, so an error leaves nothing behind. Modes and times are the
    system's defaults.

    Raises:
        UserError: the target is there already, or its parent is not.
        VerificationError: unsafe names, symlinks that lead out of the tree (a symlink alone always does), two names
            that this file system takes for one, more than `max_bytes` in all files, or a block that is not what it
            should be.
        UnavailableError: a block is not here, or the disk refuses.
    """
    check_target(target)
    if reader.stat(cid).kind == "symlink":
        raise VerificationError("a symlink alone leads out of what is written", where=cid_text(cid))
    try:
        with tempfile.TemporaryDirectory(prefix=".bacalhau-export-", dir=target.parent) as folder:
            content = Path(folder) / "content"
            _Writer(reader, content, max_bytes).write(cid)
            check_target(target)
            content.rename(target)
    except OSError as error:
        raise UnavailableError(
            f"cannot write: {error.strerror or error}", where=str(target), fix="check free space and permissions"
        ) from error


class _Writer:
    """Writes one tree below `root`, counting bytes."""

    def __init__(self, reader: UnixfsReader, root: Path, max_bytes: int | None) -> None:
        self._reader = reader
        self._root = root
        self._max_bytes = max_bytes
        self._bytes = 0

    def write(self, cid: CID) -> None:
        if self._reader.stat(cid).kind == "file":
            self._file(cid, self._root)
            return
        self._root.mkdir()
        for member in members(self._reader, cid):
            try:
                self._member(member)
            except FileExistsError as error:
                raise VerificationError("two names are one on this file system", where=repr(member.path)) from error

    def _member(self, member: Member) -> None:
        path = self._root / _local(member.path)
        if member.kind == "directory":
            path.mkdir()
        elif member.kind == "symlink":
            path.symlink_to(_inside(member.path, self._reader.read_link(member.cid)))
        else:
            self._file(member.cid, path)

    def _file(self, cid: CID, path: Path) -> None:
        with self._reader.open(cid) as source, path.open("xb") as out:
            while chunk := source.read(_COPY_BYTES):
                self._bytes += len(chunk)
                if self._max_bytes is not None and self._bytes > self._max_bytes:
                    raise VerificationError(f"content has more than {self._max_bytes} bytes", where=cid_text(cid))
                out.write(chunk)


def check_target(target: Path) -> None:
    """Refuse a target that is there, whose parent is not, or whose name is too long.

    Raises:
        UserError: as said.
    """
    check_name(target)
    if os.path.lexists(target):
        raise UserError("is there already", where=str(target), fix="name a path that does not exist")
    if not target.parent.is_dir():
        raise UserError("its folder does not exist", where=str(target), fix=f"make {target.parent} first")


def _local(path: str) -> PurePath:
    """Return a member's path for this system, refusing names that mean more than a name here (Windows: 'C:')."""
    names = path.split("/")
    if any(PurePath(name).name != name for name in names):
        raise VerificationError("unsafe name on this system", where=repr(path))
    return PurePath(*names)


def _inside(path: str, target: str) -> str:
    """Return a symlink's target if it stays in the tree.

    '..' is allowed at the beginning only and not above the root: the link's own directories are real, so counting them
    is exact, and from there every step goes down, through links that obey the same rule.
    """
    parts = target.split("/")
    ups = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    down = [part for part in parts[ups:] if part not in ("", ".")]
    absolute = not target or target.startswith("/") or PurePath(target).is_absolute() or PurePath(target).drive
    if absolute or ups > path.count("/") or ".." in down or "\0" in target:
        raise VerificationError(f"symlink leads out of the tree: {target!r}", where=repr(path))
    return target
