"""What was handed over to a run, as files and directories that cannot be changed; nothing is copied unread."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from runtime.wasi_nodes import Directory, File, Inodes, Node, Symlink

INPUT_TIME_NS: Final = 315_532_800_000_000_000
"""1980-01-01T00:00:00Z: every file handed over carries it, in every profile."""
PIECE_BYTES: Final = 256 << 10
"""Asked for at a time, so that a guest which reads byte by byte asks rarely."""
_PIECES: Final = 16
"""Kept; those read last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file, directory or link that can be read."""

    kind: str
    """file, directory or symlink."""
    size: int
    handle: int
    """By which the provider knows it."""
    target: str | None = None
    """Of a link."""


class Provider(Protocol):
    """Answers questions about what was handed over; a failure of it ends the run, and is never an answer."""

    def lookup(self, handle: int, name: str) -> Entry | None:
        """Return what a directory holds under a name."""
        ...

    def names(self, handle: int) -> list[str]:
        """Return the names in a directory, by their UTF-8 bytes."""
        ...

    def read(self, handle: int, position: int, length: int) -> bytes:
        """Return at most `length` bytes, fewer only at the end of the file."""
        ...


class Inputs:
    """Makes nodes of what a provider has."""

    def __init__(self, provider: Provider, inodes: Inodes) -> None:
        self.provider = provider
        self.inodes = inodes
        self._pieces: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def node(self, entry: Entry) -> Node:
        """Return a new node."""
        if entry.kind == "directory":
            return InputDirectory(self, entry)
        if entry.kind == "file":
            return InputFile(self, entry)
        return Symlink(self.inodes.next(), INPUT_TIME_NS, (entry.target or "").encode())

    def piece(self, handle: int, number: int) -> bytes:
        """Return a piece of a file."""
        key = (handle, number)
        if key not in self._pieces:
            self._pieces[key] = self.provider.read(handle, number * PIECE_BYTES, PIECE_BYTES)
            if len(self._pieces) > _PIECES:
                self._pieces.popitem(last=False)
        self._pieces.move_to_end(key)
        return self._pieces[key]


class InputFile(File):
    """A file that was handed over."""

    is_writable = False

    def __init__(self, inputs: Inputs, entry: Entry) -> None:
        super().__init__(inputs.inodes.next(), INPUT_TIME_NS)
        self._inputs = inputs
        self._entry = entry

    @property
    def size(self) -> int:
        """Bytes."""
        return self._entry.size

    def read_into(self, position: int, target: memoryview) -> int:
        """Fill `target` from a position on; return how many bytes there were."""
        done = 0
        wanted = min(len(target), max(0, self.size - position))
        while done < wanted:
            number, offset = divmod(position + done, PIECE_BYTES)
            data = memoryview(self._inputs.piece(self._entry.handle, number))[offset : offset + wanted - done]
            if not data:
                raise RuntimeError("the provider gave less than there is")
            target[done : done + len(data)] = data
            done += len(data)
        return done


class InputDirectory(Directory):
    """A directory that was handed over. What was seen of it stays the same node."""

    is_writable = False

    def __init__(self, inputs: Inputs, entry: Entry) -> None:
        super().__init__(inputs.inodes.next(), INPUT_TIME_NS)
        self._inputs = inputs
        self._handle = entry.handle
        self._names: list[str] | None = None
        self._seen: dict[str, Node | None] = {}

    def get(self, name: str) -> Node | None:
        """Return what is there under a name, None if nothing is."""
        if name not in self._seen:
            entry = self._inputs.provider.lookup(self._handle, name)
            node = self._seen[name] = None if entry is None else self._inputs.node(entry)
            if isinstance(node, Directory):
                node.parent = self
        return self._seen[name]

    def names(self) -> list[str]:
        """Return the names, by their UTF-8 bytes."""
        if self._names is None:
            self._names = self._inputs.provider.names(self._handle)
        return self._names
