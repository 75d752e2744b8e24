"""Builds the output directory y from what a worker sends: `result`, `stdout`, `stderr`, `exit_code`, `outputs/…`.

Trusts no path: `TreeBuilder` refuses what is unsafe or there twice. Every output has the five entries, also when the
function failed before it made them, so that two nodes that saw the same thing make the same directory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from runtime.frames import Frame
from storage.blocks import BatchingBlockStore, BlockStore
from storage.cid import CID
from storage.errors import VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_tree import TreeBuilder

_STREAMS = ("result", "stdout", "stderr")
_MAX_ENTRIES = 110_000
"""More than the worker's own bound (js_host/collect.mjs), which decides; this one only guards the host."""
FRAME_TYPES = frozenset({"file", "directory", "symlink"})
"""Frames that begin an entry of the output."""


class OutputAssembly:
    """Collects one output."""

    def __init__(self, store: BlockStore, max_bytes: int) -> None:
        self._store = BatchingBlockStore(store)
        self._tree = TreeBuilder(Importer(self._store))
        self._seen: set[str] = set()
        self._entries = 0
        self._room = max_bytes

    def take(self, frame: Frame, following: Iterator[Frame]) -> None:
        """Take one entry; for a file the pieces follow, up to a frame of type end.

        Raises:
            VerificationError: the path is unsafe, outside the layout or there twice; too many entries or bytes.
        """
        path = _text(frame, "path")
        self._entries += 1
        if self._entries > _MAX_ENTRIES:
            raise VerificationError("the worker sent too many entries")
        if path not in _STREAMS and not path.startswith("outputs/"):
            raise VerificationError("the worker sent an entry outside the output layout", where=repr(path[:80]))
        if frame.type == "file":
            self._tree.add_file(path, _Pieces(following, self._spend))
            self._seen.add(path)
        elif path in _STREAMS:
            raise VerificationError("the worker sent a stream that is no file", where=path)
        elif frame.type == "directory":
            self._tree.add_directory(path)
        else:
            target = _text(frame, "target")
            self._spend(len(target.encode("utf-8", "surrogatepass")))
            self._tree.add_symlink(path, target)

    def _spend(self, count: int) -> None:
        self._room -= count
        if self._room < 0:
            raise VerificationError("the worker sent more than the task's output limit")

    def finish(self, exit_code: int) -> CID:
        """Add what is missing, and return the directory's CID when all of it is in the store."""
        for path in _STREAMS:
            if path not in self._seen:
                self._tree.add_file(path, b"")
        self._tree.add_file("exit_code", str(exit_code).encode("ascii"))
        cid = self._tree.finish().cid
        self._store.flush()
        return cid


def _text(frame: Frame, key: str) -> str:
    value = frame.header.get(key)
    if not isinstance(value, str):
        raise VerificationError(f"the worker sent {frame.type!r} without a {key}")
    return value


class _Pieces:
    """The pieces of one file as a readable stream."""

    def __init__(self, frames: Iterator[Frame], spend: Callable[[int], None]) -> None:
        self._frames = frames
        self._spend = spend
        self._rest = b""
        self._ended = False

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, empty at the end of the file."""
        while not self._rest and not self._ended:
            frame = next(self._frames)
            if frame.type == "end":
                self._ended = True
            elif frame.type == "piece":
                self._spend(len(frame.payload))
                self._rest = frame.payload
            else:
                raise VerificationError(f"the worker sent {frame.type!r} in the middle of a file")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data
