"""One image as a directory: written once, checked whenever it is used.

    memory      the linear memory
    pages       sha-256 of each of its pages of 4 KiB, one after the other
    state.json  canonical JSON
    manifest    DAG-CBOR (`ImageManifest`): the image's node, and digests of the other files

Nothing is synchronised to the disk: what a loss of power tears is found by the checks, and can be made again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, TypeAlias

from runtime.image_model import (
    MAX_STATE_BYTES,
    Image,
    ImageKey,
    ImageManifest,
    decode_state,
    encode_state,
    memory_problem,
)
from runtime.image_pages import BLOCK_BYTES, HASH_BYTES, STATE_PAGE_BYTES, hash_parts
from storage import dag_cbor, file_lock
from storage.blocks import ForgetfulBlockStore
from storage.cid import CID
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_import import Importer

MEMORY: Final = "memory"
PAGES: Final = "pages"
STATE: Final = "state.json"
MANIFEST: Final = "manifest"

_HARMED: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.ELOOP})

Stamp: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, size in bytes, times of the last change of content and of anything, in nanoseconds."""
CheckedFiles: TypeAlias = dict[str, tuple[Stamp, str]]
"""Memory files that this process has hashed: key name -> how the file was, and the digest of its pages."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenImage:
    """An image, checked but for its memory. The caller closes it; as long as it is open it is not evicted."""

    cid: CID
    image: Image
    state: Mapping[str, Any]
    state_text: bytes
    """The state as it is written."""
    memory: BinaryIO
    """At position 0; its descriptor can be handed to a worker, which then holds the image too."""
    memory_bytes: int
    page_hashes: bytes
    """sha-256 of each page of 4 KiB, one after the other."""
    check: Callable[[], None]
    """Hash the memory, unless this process has; raises VerificationError if it was harmed. Until then trust nothing."""

    def close(self) -> None:
        """Let it go."""
        self.memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()


def finish_entry(place: Path, key: ImageKey, state: Mapping[str, Any], checked: CheckedFiles) -> CID:
    """Complete a directory that holds a memory, and return the image's CID.

    Raises:
        ValueError: the memory is not made of pages, or the state is not JSON or too large.
        OSError: it cannot be written.
    """
    data = encode_state(state)
    with (place / MEMORY).open("rb") as memory:
        size = os.fstat(memory.fileno()).st_size
        if problem := memory_problem(size):
            raise ValueError(problem)
        hashes = hash_parts(memory.fileno(), size, STATE_PAGE_BYTES)
        importer = Importer(ForgetfulBlockStore())
        image = Image(
            runtime=key.runtime,
            lock=key.lock,
            preload=key.modules,
            state=importer.bytes(data).cid,
            memory=importer.file(memory).cid,
        )
        manifest = ImageManifest(
            cid=image.cid,
            image=image,
            memory_bytes=size,
            blocks_sha256=_digest_of_blocks(memory, size),
            pages_sha256=hashlib.sha256(hashes).hexdigest(),
            state_sha256=hashlib.sha256(data).hexdigest(),
        )
        _write(place / PAGES, hashes)
        _write(place / STATE, data)
        _write(place / MANIFEST, dag_cbor.encode(manifest.to_node()))
        os.fchmod(memory.fileno(), 0o444)
        checked[key.name] = _stamp(memory), manifest.blocks_sha256
    return image.cid


def open_entry(place: Path, name: str, checked: CheckedFiles) -> OpenImage | None:
    """Open the image at `place`, or return None if there is none.

    name: of its key. checked: `OpenImage.check` skips a memory that is as it was when this process last hashed it.

    Raises:
        VerificationError: it was harmed.
        UnavailableError: it cannot be read.
    """
    try:
        memory = (place / MEMORY).open("rb")
    except OSError as error:
        if not os.path.lexists(place):
            return None
        raise _unreadable(place, error) from error
    try:
        file_lock.share(memory)
        # Between opening and locking it may have been evicted; then its other files are gone, or those of a newer one.
        opened = _read_entry(place, name, memory, checked) if file_lock.is_at(place / MEMORY, memory.fileno()) else None
    except OSError as error:
        memory.close()
        raise _unreadable(place, error) from error
    except BaseException:
        memory.close()
        raise
    if opened is None:
        memory.close()
    return opened


def read_manifest(place: Path) -> ImageManifest:
    """Read what an entry says about itself.

    Raises:
        VerificationError: it was harmed.
        OSError: it cannot be read.
    """
    return ImageManifest.from_node(dag_cbor.decode(_read(place / MANIFEST, dag_cbor.MAX_NODE_BYTES)))


def mark_used(place: Path, now_ns: int) -> None:
    """Record when an entry was last used, in nanoseconds since 1970; without effect where nothing can be written."""
    with contextlib.suppress(OSError):
        os.utime(place / MANIFEST, ns=(now_ns, now_ns))


def last_used_ns(place: Path) -> int:
    """Return what `mark_used` recorded, 0 if nothing is known."""
    try:
        return (place / MANIFEST).stat().st_mtime_ns
    except OSError:
        return 0


def _read_entry(place: Path, name: str, memory: BinaryIO, checked: CheckedFiles) -> OpenImage:
    manifest = read_manifest(place)
    image = manifest.image
    _demand(image.cid == manifest.cid and image.key_name == name, place / MANIFEST)
    data = _read(place / STATE, MAX_STATE_BYTES)
    _demand(hashlib.sha256(data).hexdigest() == manifest.state_sha256, place / STATE)
    stamp = _stamp(memory)
    _demand(stamp[2] == manifest.memory_bytes and not memory_problem(stamp[2]), place / MEMORY)
    hashes = _read(place / PAGES, manifest.memory_bytes // STATE_PAGE_BYTES * HASH_BYTES)
    _demand(hashlib.sha256(hashes).hexdigest() == manifest.pages_sha256, place / PAGES)

    def check() -> None:
        if checked.get(name) != (stamp, manifest.blocks_sha256):
            _demand(_digest_of_blocks(memory, manifest.memory_bytes) == manifest.blocks_sha256, place / MEMORY)
            checked[name] = stamp, manifest.blocks_sha256

    return OpenImage(
        cid=manifest.cid,
        image=image,
        state=decode_state(data),
        state_text=data,
        memory=memory,
        memory_bytes=manifest.memory_bytes,
        page_hashes=hashes,
        check=check,
    )


def _digest_of_blocks(memory: BinaryIO, size: int) -> str:
    return hashlib.sha256(hash_parts(memory.fileno(), size, BLOCK_BYTES)).hexdigest()


def _demand(holds: bool, path: Path) -> None:
    if not holds:
        raise VerificationError("file of an image was changed", where=os.fspath(path))


def _stamp(file: BinaryIO) -> Stamp:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path, limit: int) -> bytes:
    """Return a file of at most `limit` bytes, or one byte more of a larger one."""
    with path.open("rb") as file:
        return file.read(limit + 1)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o444)


def _unreadable(place: Path, error: OSError) -> VerificationError | UnavailableError:
    if error.errno in _HARMED:
        return VerificationError("file of an image is missing or cannot be read", where=os.fspath(place))
    reason = (error.strerror or str(error)).lower()
    return UnavailableError(f"cannot be read: {reason}", where=os.fspath(place), fix=f"remove {place} and run again")
