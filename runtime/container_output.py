"""Builds the output directory of a container: what it wrote, its exit code, and the archives of its output paths.

The archives come from the engine, and what is in them from the container: paths, links and sizes are checked like a
stranger's. What no output can hold (a device, a pipe, a socket) is an error and is not left out silently.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from typing import BinaryIO, Final, cast

from storage.blocks import BatchingBlockStore, BlockStore
from storage.cid import CID
from storage.errors import VerificationError
from storage.unixfs_import import Entry, Importer
from storage.unixfs_tree import TreeBuilder

MAX_ENTRIES: Final = 110_000
"""As of functions (`output_assembly`)."""
_END: Final = bytes(1024)
_HEADER_ROOM: Final = MAX_ENTRIES * 4096
"""Bytes of an archive beside its content: an entry with the longest name, and its padding."""


class OutputTooLargeError(VerificationError):
    """A container gave more than its limit."""


class ContainerOutput:
    """Collects one output."""

    def __init__(self, store: BlockStore, max_bytes: int) -> None:
        self._store = BatchingBlockStore(store)
        self._tree = TreeBuilder(Importer(self._store))
        self._entries = 0
        self._limit = max_bytes
        self._room = max_bytes

    def add_stream(self, name: str, content: BinaryIO, size: int) -> None:
        """Add what the program wrote; content: at its beginning, of `size` bytes.

        Raises:
            OutputTooLargeError: it is too much.
        """
        self._spend(size)
        self._tree.add_file(name, content)

    def add_archive(self, name: str, pieces: Iterable[bytes]) -> None:
        """Add a tar of a directory as `outputs/<name>`.

        Its first member is the directory, under whatever name (Docker: the last of its path, Podman: none), with which
        the names of all others begin.

        Raises:
            OutputTooLargeError: it is too much, or too many.
            VerificationError: it is malformed, or has something that no output can hold.
        """
        self._tree.add_directory(f"outputs/{name}")
        read = _Pieces(pieces, self._limit + _HEADER_ROOM)
        stream = cast("BinaryIO", read)
        files: dict[str, Entry] = {}
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                entries = iter(archive)
                root = next(entries, None)
                if root is None or not root.isdir():
                    raise VerificationError("is no directory", where=f"-o {name}")
                for member in entries:
                    self._take(name, member, member.name.removeprefix(root.name), archive, files)
        except (tarfile.TarError, EOFError, UnicodeError, ValueError, OverflowError) as error:
            raise VerificationError(f"the archive of an output is damaged: {error}", where=f"-o {name}") from error
        if not read.has_ended():
            raise VerificationError("the archive of an output breaks off", where=f"-o {name}")

    def _take(
        self, name: str, member: tarfile.TarInfo, below: str, archive: tarfile.TarFile, files: dict[str, Entry]
    ) -> None:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise OutputTooLargeError(f"gave more than {MAX_ENTRIES} files", where=f"-o {name}")
        if not below.startswith("/"):
            raise VerificationError("the archive of an output has something beside it", where=f"-o {name}")
        path = f"outputs/{name}{below}"
        if member.isdir():
            self._tree.add_directory(path)
        elif member.issym():
            self._spend(len(member.linkname.encode("utf-8", "surrogateescape")))
            self._tree.add_symlink(path, member.linkname)
        elif member.isreg():
            self._spend(member.size)
            content = archive.extractfile(member)
            files[member.name] = self._tree.add_file(path, cast("BinaryIO", content))
        elif member.islnk() and member.linkname in files:
            self._tree.add_entry(path, files[member.linkname])
        else:
            raise VerificationError("is neither a file, a directory nor a symlink", where=path)

    def _spend(self, count: int) -> None:
        self._room -= count
        if self._room < 0:
            raise OutputTooLargeError(f"gave more than {self._limit} bytes")

    def finish(self, exit_code: int) -> CID:
        """Add the rest, and return the directory's CID when all of it is in the store."""
        self._tree.add_file("result", b"")
        self._tree.add_file("exit_code", str(exit_code).encode("ascii"))
        cid = self._tree.finish().cid
        self._store.flush()
        return cid


class _Pieces:
    """Pieces as a readable stream that ends with an error when there are too many bytes."""

    def __init__(self, pieces: Iterable[bytes], most: int) -> None:
        self._pieces = iter(pieces)
        self._rest = b""
        self._room = most
        self._tail = b""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end."""
        parts: list[bytes] = []
        while size:
            if not self._rest:
                self._rest = next(self._pieces, b"")
                if not self._rest:
                    break
                self._room -= len(self._rest)
                if self._room < 0:
                    raise OutputTooLargeError("gave an archive that is larger than its content may be")
            part, self._rest = self._rest[:size], self._rest[size:]
            parts.append(part)
            size -= len(part)
        data = b"".join(parts)
        self._tail = (self._tail + data)[-len(_END) :]
        return data

    def has_ended(self) -> bool:
        """Read what is left, and tell whether all of it ends as an archive does: `tarfile` takes any end for one."""
        while self.read(1 << 20):
            pass
        return self._tail == _END
