"""Answers a worker's questions about the task's inputs, from verified blocks.

Handles are small integers that only this object can make, so a worker reaches what it was handed and nothing else.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import BinaryIO

from runtime.engine import UndeterminedError
from runtime.frames import Frame
from storage.cid import CID
from storage.dag_tar import DagTar
from storage.errors import UserError
from storage.unixfs_read import Stat, UnixfsReader

MAX_READ_BYTES = 1 << 20

MAX_STREAMS = 16
"""Files kept open: each holds a leaf of up to 2 MiB, and a task may read through any number of files."""

MAX_LISTED = 100_000
"""Names kept of the directory that was listed last, about 300 bytes each."""

_Handle = CID | DagTar


class InputServer:
    """The trees and streams of one execution. Not thread-safe; make one for each worker."""

    def __init__(self, reader: UnixfsReader) -> None:
        self._reader = reader
        self._handles: list[_Handle] = []
        self._files: OrderedDict[int, BinaryIO] = OrderedDict()
        self._tars: dict[int, BinaryIO] = {}
        self._listed: tuple[CID, dict[str, CID]] | None = None

    def hand_over(self, content: CID) -> tuple[int, Stat]:
        """Make a handle for a file or directory."""
        return self._new(content), self._reader.stat(content)

    def hand_over_tar(self, directory: CID) -> tuple[int, int]:
        """Make a handle for the tar stream of a directory; returns it with the stream's size in bytes."""
        tar = DagTar(self._reader, directory)
        return self._new(tar), tar.size

    def answer(self, question: Frame) -> Frame:
        """Answer a frame of type lookup, list or read.

        There is no answer for failure, and the execution ends with it: a missing or wrong block must never look like
        an I/O error that a function could catch.

        Raises:
            UnavailableError: a block is not here.
            VerificationError: a block is not what its CID says.
            UndeterminedError: the worker asked for what it was not handed.
        """
        if question.type == "lookup":
            return Frame(header=self._lookup(question))
        if question.type == "list":
            return Frame(header={"type": "names", "names": self._list(self._directory(question))})
        return Frame(header={"type": "bytes"}, payload=self._read(question))

    def _new(self, content: _Handle) -> int:
        self._handles.append(content)
        return len(self._handles) - 1

    def _handle(self, question: Frame) -> int:
        handle = _integer(question, "handle")
        if not 0 <= handle < len(self._handles):
            raise UndeterminedError("the worker asked for something it was not handed")
        return handle

    def _directory(self, question: Frame) -> CID:
        content = self._handles[self._handle(question)]
        if not isinstance(content, bytes):
            raise UndeterminedError("the worker took a file for a directory")
        return CID(content)

    def _lookup(self, question: Frame) -> dict[str, object]:
        name = question.header.get("name")
        if not isinstance(name, str) or "/" in name:
            raise UndeterminedError(f"the worker sent name {name!r}")
        found = self._find(self._directory(question), name)
        if found is None:
            return {"type": "entry", "kind": "absent"}
        stat = self._reader.stat(found)
        target = self._reader.read_link(found) if stat.kind == "symlink" else None
        return {"type": "entry", "kind": stat.kind, "size": stat.size, "handle": self._new(found), "target": target}

    def _list(self, directory: CID) -> list[str]:
        found = {name: link.cid for name, link in self._reader.entries(directory)}
        # Whoever lists a directory mostly looks at what is in it: in a sharded one, each name is a search otherwise.
        self._listed = (directory, found) if len(found) <= MAX_LISTED else None
        return list(found)

    def _find(self, directory: CID, name: str) -> CID | None:
        if self._listed is not None and self._listed[0] == directory:
            return self._listed[1].get(name)
        try:
            return self._reader.resolve(directory, name)
        except UserError:
            return None

    def _read(self, question: Frame) -> bytes:
        handle = self._handle(question)
        position, length = _integer(question, "position"), _integer(question, "length")
        if not 0 <= position < 1 << 63 or not 0 <= length <= MAX_READ_BYTES:
            raise UndeterminedError("the worker asked for an impossible range")
        stream = self._stream(handle)
        stream.seek(position)
        return stream.read(length)

    def _stream(self, handle: int) -> BinaryIO:
        content = self._handles[handle]
        if isinstance(content, DagTar):
            if handle not in self._tars:
                self._tars[handle] = io.BufferedReader(content)
            return self._tars[handle]
        if handle not in self._files:
            self._files[handle] = self._reader.open(content)
            if len(self._files) > MAX_STREAMS:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(handle)
        return self._files[handle]


def _integer(question: Frame, key: str) -> int:
    value = question.header.get(key)
    if type(value) is not int:
        raise UndeterminedError(f"the worker sent {key} {value!r}")
    return value
