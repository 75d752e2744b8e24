"""Answers a worker's questions about the task's inputs, from verified blocks.

Handles are small integers that only this object can make, so a worker reaches what it was handed and nothing else.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from runtime.engine import UndeterminedError
from runtime.frames import Frame
from storage.cid import CID
from storage.dag_tar import DagTar
from storage.errors import UserError
from storage.unixfs_read import Stat, UnixfsReader

MAX_READ_BYTES = 1 << 20

_Handle = CID | DagTar


class InputServer:
    """The trees and streams of one execution. Not thread-safe; make one for each worker."""

    def __init__(self, reader: UnixfsReader) -> None:
        self._reader = reader
        self._handles: list[_Handle] = []
        self._streams: dict[int, BinaryIO] = {}

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
            names = [name for name, _ in self._reader.entries(self._directory(question))]
            return Frame(header={"type": "names", "names": names})
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
        try:
            found = self._reader.resolve(self._directory(question), name)
        except UserError:
            return {"type": "entry", "kind": "absent"}
        stat = self._reader.stat(found)
        target = self._reader.read_link(found) if stat.kind == "symlink" else None
        return {"type": "entry", "kind": stat.kind, "size": stat.size, "handle": self._new(found), "target": target}

    def _read(self, question: Frame) -> bytes:
        handle = self._handle(question)
        position, length = _integer(question, "position"), _integer(question, "length")
        if not 0 <= position < 1 << 63 or not 0 <= length <= MAX_READ_BYTES:
            raise UndeterminedError("the worker asked for an impossible range")
        stream = self._stream(handle)
        stream.seek(position)
        return stream.read(length)

    def _stream(self, handle: int) -> BinaryIO:
        if handle not in self._streams:
            content = self._handles[handle]
            self._streams[handle] = (
                io.BufferedReader(content) if isinstance(content, DagTar) else self._reader.open(CID(content))
            )
        return self._streams[handle]


def _integer(question: Frame, key: str) -> int:
    value = question.header.get(key)
    if type(value) is not int:
        raise UndeterminedError(f"the worker sent {key} {value!r}")
    return value
