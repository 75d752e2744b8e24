"""The directory of images: what is in it, what has to go, what killed processes left there.

    <name>/            an image, whole
    <name>.lock        held by whoever makes that image
    .partial-<name>/   being made; its maker holds the lock, so without a holder it is left over
    .trash-<name>-…/   being removed: renamed first, so that no directory with a name is ever in pieces

`name` is that of the image's key.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.image_entry import MEMORY, last_used_ns, read_manifest
from storage import file_lock
from storage.cid import CID
from storage.errors import VerificationError

_NAME: Final = re.compile(r"[0-9a-f]{64}")
_PARTIAL: Final = ".partial-"
_TRASH: Final = ".trash-"
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedImage:
    """An image on the disk, as a listing shows it: not checked."""

    name: str
    """Of its key."""
    cid: CID | None
    """None: it was harmed; it will be made again when it is needed."""
    size_bytes: int
    last_used_ns: int
    """Since 1970."""


def lock_path(directory: Path, name: str) -> Path:
    """Return the lock file of whoever makes an image."""
    return directory / f"{name}{_LOCK}"


def partial_path(directory: Path, name: str) -> Path:
    """Return where an image is made."""
    return directory / f"{_PARTIAL}{name}"


def list_images(directory: Path) -> list[CachedImage]:
    """Return the images of a directory, the least recently used first; none if there is no directory."""
    names = [name for name in _names_in(directory) if _NAME.fullmatch(name)]
    return sorted((_describe(directory, name) for name in names), key=lambda image: (image.last_used_ns, image.name))


def discard(directory: Path, name: str) -> None:
    """Remove an image, whoever reads it: what is open stays readable.

    Raises:
        OSError: it cannot be moved.
    """
    trash = directory / f"{_TRASH}{name}-{secrets.token_hex(8)}"
    with contextlib.suppress(FileNotFoundError):
        (directory / name).rename(trash)
    _destroy(trash)


def discard_if_closed(directory: Path, name: str) -> bool:
    """Remove an image unless somebody has it open, in whichever process; return whether it is gone.

    Raises:
        OSError: it cannot be moved.
    """
    path = directory / name / MEMORY
    try:
        memory = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        discard(directory, name)
        return True
    with memory:
        try:
            closed = file_lock.try_exclusive(memory.fileno())
        except OSError:  # over NFS it would have to be open for writing: readers keep what they have open anyway
            closed = True
        # If it is elsewhere another process was faster, and what has the name now may be new.
        if not closed or not file_lock.is_at(path, memory.fileno()):
            return False
        discard(directory, name)
        return True


def evict(directory: Path, max_bytes: int) -> None:
    """Remove images until the rest has at most `max_bytes`, as far as they are closed and can be removed."""
    images = list_images(directory)
    total = sum(image.size_bytes for image in images if image.size_bytes <= max_bytes)
    for image in eviction_order(images, max_bytes):
        if image.size_bytes > max_bytes or total > max_bytes:
            with contextlib.suppress(OSError):
                gone = discard_if_closed(directory, image.name)
                total -= image.size_bytes if gone and image.size_bytes <= max_bytes else 0


def eviction_order(images: Sequence[CachedImage], max_bytes: int) -> list[CachedImage]:
    """Return images in the order in which they go: those that fit in no case, then the least recently used."""
    return sorted(images, key=lambda image: (image.size_bytes <= max_bytes, image.last_used_ns, image.name))


def sweep(directory: Path) -> None:
    """Remove what killed processes left; what cannot be removed stays."""
    for name in _names_in(directory):
        if name.startswith(_TRASH):
            _destroy(directory / name)
        # Not for lock files alone: their makers may be about to lock them, and would be told to wait for nobody.
        elif name.startswith(_PARTIAL) and _NAME.fullmatch(key := name.removeprefix(_PARTIAL)):
            _sweep_partial(directory, key)


def _destroy(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):  # something else than a directory
        path.unlink()


def _sweep_partial(directory: Path, name: str) -> None:
    with contextlib.suppress(OSError), file_lock.hold_if_free(lock_path(directory, name)) as free:
        if free:
            shutil.rmtree(partial_path(directory, name), ignore_errors=True)


def _names_in(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - names are all that is wanted
    except (FileNotFoundError, NotADirectoryError):
        return []


def _describe(directory: Path, name: str) -> CachedImage:
    place = directory / name
    cid = None
    with contextlib.suppress(OSError, VerificationError):
        cid = read_manifest(place).cid
    sizes = 0
    with contextlib.suppress(OSError):
        sizes = sum(path.stat().st_size for path in place.iterdir())
    return CachedImage(name=name, cid=cid, size_bytes=sizes, last_used_ns=last_used_ns(place))
