"""Images on this machine: opened and checked, made once for all who need them, fetched from others, evicted.

May be deleted at any time. One image of a key is made at a time, by one process; the others wait for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from runtime.engine import Progress, silent
from runtime.image_entry import MEMORY, CheckedFiles, OpenImage, finish_entry, mark_used, open_entry
from runtime.image_model import ImageKey
from runtime.image_shelf import (
    CachedImage,
    discard,
    discard_if_closed,
    evict,
    list_images,
    lock_path,
    partial_path,
    sweep,
)
from runtime.image_transfer import copy_memory, load_image, read_state, store_image
from runtime.prepared_runtime import unwritable
from storage import file_lock
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, VerificationError

Make = Callable[[BinaryIO], Mapping[str, Any]]
"""Writes a memory to the file it is given, or through its descriptor, and returns the state."""

DEFAULT_MAX_BYTES: Final = 4 << 30
"""Some twenty images with packages."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class ImageCache:
    """Images below one directory, by key. For several threads and processes at once."""

    def __init__(self, directory: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._checked: CheckedFiles = {}

    def open(self, key: ImageKey) -> OpenImage | None:
        """Return the image of a key, or None if it is not here or was harmed. Writes nothing but the time of use.

        Raises:
            UnavailableError: it cannot be read.
        """
        return self._open_if_whole(key.name)

    def open_or_make(self, key: ImageKey, make: Make, progress: Progress = silent, *, checks: bool = True) -> OpenImage:
        """Return the image of a key, made if it is not here; while another process makes it, wait for that.

        checks: without, whether an image that is here is whole is left to the caller (`OpenImage.check`). With it one
        that was harmed is replaced.

        What `make` raises goes to the caller, and nothing is left behind.

        Raises:
            UnavailableError: there is no room for it, or the directory cannot be written.
            ValueError: what `make` wrote is not made of pages of 64 KiB, or its state is not JSON.
        """
        if not checks:
            with contextlib.suppress(VerificationError):
                opened = self._open(key.name)
                if opened is not None:
                    return opened
        return self._obtain(key, make, progress)

    def fetch(self, key: ImageKey, cid: CID, source: BlockStore, progress: Progress = silent) -> OpenImage:
        """Return the image of a key, read out of a store if it is not here, in place of making it.

        What is read is what `cid` says, and says that it was made from `key`; whether it was is for the caller to know.

        Raises:
            UnavailableError: a block is not in the store; there is no room, or the directory cannot be written.
            VerificationError: something is not what its CID says, or another image of the key is here.
        """

        def make(memory: BinaryIO) -> Mapping[str, Any]:
            progress("fetching the image")
            image = load_image(key, cid, source)
            state = read_state(image, source)
            copy_memory(image, source, memory)
            return state

        opened = self._obtain(key, make, progress, expected=cid)
        if opened.cid != cid:
            opened.close()
            problem = f"is not the image that this machine has for the same key, {cid_text(opened.cid)}"
            raise VerificationError(problem, where=cid_text(cid), fix="make it on another machine, and compare")
        return opened

    def export(self, key_or_cid: ImageKey | CID, store: BlockStore) -> CID:
        """Put all blocks of an image that is here into a store, to serve it to others, and return its CID.

        Raises:
            UnavailableError: it is not here.
            VerificationError: it was changed meanwhile.
        """
        opened = self._open_if_whole(self._name_of(key_or_cid))
        if opened is None:
            raise _not_here(key_or_cid)
        with opened:
            return store_image(opened, store)

    def entries(self) -> list[CachedImage]:
        """Return what is here, the least recently used first, without checking it."""
        return list_images(self._directory)

    def remove(self, name: str) -> bool:
        """Remove the image of the key with this name, unless it is open somewhere; return whether it is gone.

        Raises:
            UnavailableError: the directory cannot be written.
        """
        if name not in {image.name for image in self.entries()}:
            return True
        with _writing(self._directory):
            return discard_if_closed(self._directory, name)

    def _name_of(self, key_or_cid: ImageKey | CID) -> str:
        if isinstance(key_or_cid, ImageKey):
            return key_or_cid.name
        name = next((image.name for image in self.entries() if image.cid == key_or_cid), None)
        if name is None:
            raise _not_here(key_or_cid)
        return name

    def _open_if_whole(self, name: str, place: Path | None = None) -> OpenImage | None:
        try:
            return self._open_whole(name, place)
        except VerificationError:
            return None

    def _open_whole(self, name: str, place: Path | None = None) -> OpenImage | None:
        opened = self._open(name, place)
        if opened is not None:
            try:
                opened.check()
            except BaseException:
                opened.close()
                raise
        return opened

    def _open(self, name: str, place: Path | None = None) -> OpenImage | None:
        place = place or self._directory / name
        opened = open_entry(place, name, self._checked)
        if opened is not None:
            mark_used(place, time.time_ns())
        return opened

    def _obtain(self, key: ImageKey, make: Make, progress: Progress, *, expected: CID | None = None) -> OpenImage:
        opened = self._open_if_whole(key.name)
        if opened is not None:
            return opened
        with self._alone(key.name, progress):
            opened = self._open_or_discard(key.name, progress) or self._put(key, make, expected)
        evict(self._directory, self._max_bytes)
        return opened

    @contextmanager
    def _alone(self, name: str, progress: Progress) -> Iterator[None]:
        """Be the only one that makes, replaces or repairs this image."""
        with contextlib.ExitStack() as stack:
            with _writing(self._directory):
                self._directory.mkdir(parents=True, exist_ok=True)
                path = lock_path(self._directory, name)
                stack.enter_context(
                    file_lock.hold(path, lambda: progress("waiting for another process that makes this image"))
                )
            yield

    def _open_or_discard(self, name: str, progress: Progress) -> OpenImage | None:
        try:
            return self._open_whole(name)
        except VerificationError:
            progress("an image on the disk was harmed: replacing it")
        with _writing(self._directory):
            discard(self._directory, name)
        return None

    def _put(self, key: ImageKey, make: Make, expected: CID | None) -> OpenImage:
        """Make an image beside its place and move it there: complete or not at all. Only inside `_alone`."""
        with _writing(self._directory):
            sweep(self._directory)
        place = partial_path(self._directory, key.name)
        try:
            state = self._make_memory(place, make)
            with _writing(self._directory):
                cid = finish_entry(place, key, state, self._checked)
                if expected is not None and cid != expected:
                    raise VerificationError(
                        f"gives another image than it says: {cid_text(cid)}", where=cid_text(expected)
                    )
                return self._publish(place, key.name)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _make_memory(self, place: Path, make: Make) -> Mapping[str, Any]:
        with _writing(self._directory):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            memory = (place / MEMORY).open("x+b")
        try:
            state = make(memory)
            memory.flush()
        except OSError as error:
            if error.errno in _FULL:
                raise unwritable(self._directory, error) from error
            raise
        finally:
            with contextlib.suppress(OSError):  # of bytes that an error has left behind
                memory.close()
        return state

    def _publish(self, place: Path, name: str) -> OpenImage:
        # Opened before it has its name: nobody can evict it in between.
        opened = self._open_if_whole(name, place)
        if opened is None:
            raise UnavailableError("was harmed while it was written", where=os.fspath(place), fix="check the disk")
        try:
            place.rename(self._directory / name)
        except BaseException:
            opened.close()
            raise
        return opened


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(directory, error) from error


def _not_here(key_or_cid: ImageKey | CID) -> UnavailableError:
    where = key_or_cid.name if isinstance(key_or_cid, ImageKey) else cid_text(key_or_cid)
    return UnavailableError("image is not in this cache", where=where, fix="make or fetch it first")
