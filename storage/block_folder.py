"""Blocks as files in a folder, for whoever copies, syncs or serves folders: a file for each block, and a list of roots.

    PATH/roots            CIDs as text, one a line, the newest last
    PATH/blocks/xy/CID    one block; xy: the last two characters of the CID

What is there already is not written again, so a folder grows by what is new. Reading trusts nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.car import MAX_SECTION_BYTES
from storage.cid import CID, cid_text, parse_cid, verify_block
from storage.errors import UnavailableError, UserError, VerificationError
from storage.new_file import check_name

MAX_ROOTS_BYTES: Final = 1 << 20
"""About 16,000 roots."""
_ROOTS: Final = "roots"
_BLOCKS: Final = "blocks"


def write_block_folder(path: Path, root: CID, blocks: Iterable[tuple[CID, bytes]]) -> None:
    """Add a root and its blocks to a folder, made if there is none. The root is listed when all of them are there.

    Raises:
        UserError: its parent is not there, or it is something else than such a folder.
        UnavailableError: the disk refuses.
        VerificationError: the list of roots there is not one.
    """
    check_folder(path)
    with _disk(path):
        (path / _BLOCKS).mkdir(parents=True, exist_ok=True)
        for cid, data in blocks:
            place = path / _BLOCKS / cid_text(cid)[-2:] / cid_text(cid)
            if not place.is_file():
                place.parent.mkdir(exist_ok=True)
                _write(place, data)
        roots = [one for one in _read_roots(path) if one != root] if (path / _ROOTS).is_file() else []
        text = "".join(f"{cid_text(one)}\n" for one in [*roots, root])
        _write(path / _ROOTS, text.encode())


def check_folder(path: Path) -> None:
    """Check that blocks can be added to a folder, or one can be made there.

    Raises:
        UserError: its parent is not there, its name is too long, or it is something else than such a folder.
    """
    check_name(path)
    if not path.parent.is_dir():
        raise UserError("its folder does not exist", where=str(path), fix=f"make {path.parent} first")
    # One whose first writing was cut off has blocks, and no roots yet.
    if path.exists() and not (path.is_dir() and {entry.name for entry in path.iterdir()} <= {_ROOTS, _BLOCKS}):
        raise UserError("is no folder of blocks, and not empty", where=str(path), fix="name another one")


def read_block_folder(path: Path) -> tuple[tuple[CID, ...], Iterator[tuple[CID, bytes]]]:
    """Return the roots of a folder, and its blocks, checked, in the order of their names.

    Raises:
        UserError: it is no such folder.
        UnavailableError: it cannot be read (here or from the blocks).
        VerificationError: a block is not what its name says, or too large (here or from the blocks).
    """
    if not (path / _ROOTS).is_file():
        raise UserError("is no folder of blocks", where=str(path), fix="name one that `publish --to dir:` made")
    with _disk(path):
        return tuple(_read_roots(path)), _blocks(path)


def _blocks(path: Path) -> Iterator[tuple[CID, bytes]]:
    with _disk(path):
        for place in sorted((path / _BLOCKS).glob("*/*")):
            try:
                cid = parse_cid(place.name)
            except UserError:  # what a sync has left there
                continue
            if place.is_symlink() or not place.is_file() or place.stat().st_size > MAX_SECTION_BYTES:
                raise VerificationError("is no block", where=str(place))
            data = place.read_bytes()
            verify_block(cid, data)
            yield cid, data


def _read_roots(path: Path) -> list[CID]:
    place = path / _ROOTS
    if place.stat().st_size > MAX_ROOTS_BYTES:
        raise VerificationError("is larger than 1 MiB", where=str(place))
    try:
        return [parse_cid(line) for line in place.read_text("utf-8").split()]
    except (UnicodeDecodeError, UserError) as error:
        raise VerificationError("is no list of CIDs", where=str(place)) from error


def _write(place: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=place.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnavailableError(
            f"cannot be read or written: {reason}", where=str(path), fix="check free space"
        ) from error
