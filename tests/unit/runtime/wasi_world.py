"""A guest of a host of ours, played by a test: its memory, and calls with paths and buffers in it."""

from __future__ import annotations

import struct
from typing import Any

from runtime.wasi_abi import DIRENT, FILESTAT, IOVEC
from runtime.wasi_imports import Host
from runtime.wasi_inputs import Entry
from runtime.wasm_task import Mount, WasmTask
from runtime.wasm_world import World, make_world

MEMORY_BYTES = 1 << 17
ALL = (1 << 28) - 1
READ = (1 << 1) | (1 << 2) | (1 << 5) | (1 << 14) | (1 << 21)
WRITE = READ | (1 << 6) | (1 << 22)


class Tree:
    """A provider of inputs made of nested dicts; texts are links, bytes are files. Notes what it is asked."""

    def __init__(self, **roots: Any) -> None:
        self.nodes: list[Any] = list(roots.values())
        self.asked: list[tuple[str, Any]] = []
        self.drawn = 0

    def entry(self, handle: int) -> Entry:
        node = self.nodes[handle]
        if isinstance(node, str):
            return Entry(kind="symlink", size=len(node), handle=handle, target=node)
        kind = "directory" if isinstance(node, dict) else "file"
        return Entry(kind=kind, size=0 if isinstance(node, dict) else len(node), handle=handle)

    def lookup(self, handle: int, name: str) -> Entry | None:
        self.asked.append(("lookup", name))
        found = self.nodes[handle].get(name)
        if found is None:
            return None
        self.nodes.append(found)
        return self.entry(len(self.nodes) - 1)

    def names(self, handle: int) -> list[str]:
        self.asked.append(("list", handle))
        return sorted(self.nodes[handle], key=str.encode)

    def read(self, handle: int, position: int, length: int) -> bytes:
        self.asked.append(("read", (position, length)))
        return bytes(self.nodes[handle][position : position + length])

    def draw(self, count: int) -> bytes:
        self.drawn += 1
        return bytes((self.drawn + i) % 256 for i in range(count))


class Guest:
    """Calls by name. Results that the host writes lie from address 0 on, what the guest hands over from 4096 on."""

    def __init__(self, world: World, memory: bytearray) -> None:
        self.world = world
        self.host: Host = world.host
        self.memory = memory

    def call(self, name: str, *numbers: int) -> int:
        return self.host.call(name, *numbers)

    def put(self, data: bytes, at: int = 4096) -> tuple[int, int]:
        self.memory[at : at + len(data)] = data
        return at, len(data)

    def u32(self, at: int = 0) -> int:
        return int.from_bytes(self.memory[at : at + 4], "little")

    def u64(self, at: int = 0) -> int:
        return int.from_bytes(self.memory[at : at + 8], "little")

    def path(self, name: str, path: str | bytes, *after: int, before: tuple[int, ...] = (3,)) -> int:
        data = path.encode() if isinstance(path, str) else path
        return self.call(name, *before, *self.put(data), *after)

    def open(self, path: str, *, opening: int = 0, rights: int = READ, fd: int = 3, flags: int = 0) -> tuple[int, int]:
        """Return errno and descriptor; a directory is opened with all rights."""
        rights = ALL if opening & 2 else rights
        errno = self.path("path_open", path, opening, rights, ALL, flags, 0, before=(fd, 1))
        return errno, self.u32()

    def opened(self, path: str, **how: int) -> int:
        errno, descriptor = self.open(path, **how)
        assert errno == 0
        return descriptor

    def write(self, fd: int, *pieces: bytes) -> int:
        at = 8192
        for number, piece in enumerate(pieces):
            self.put(piece, at)
            self.put(IOVEC.pack(at, len(piece)), 4096 + 8 * number)
            at += len(piece)
        return self.call("fd_write", fd, 4096, len(pieces), 0)

    def read(self, fd: int, *lengths: int) -> bytes:
        at = 8192
        for number, length in enumerate(lengths):
            self.put(IOVEC.pack(at, length), 4096 + 8 * number)
            at += length
        assert self.call("fd_read", fd, 4096, len(lengths), 0) == 0
        return bytes(self.memory[8192 : 8192 + self.u32()])

    def stat(self, path: str, follow: int = 1) -> tuple[int, ...]:
        assert self.path("path_filestat_get", path, 0, before=(3, follow)) == 0
        return FILESTAT.unpack_from(self.memory)

    def list(self, fd: int, room: int = 4096) -> list[tuple[str, int, int]]:
        """Return name, inode and kind of all entries, with a buffer of so many bytes."""
        found, cookie = [], 0
        while True:
            assert self.call("fd_readdir", fd, 8192, room, cookie, 0) == 0
            used, at = self.u32(), 8192
            end = at + used
            while end - at >= DIRENT.size:
                after, inode, length, kind = DIRENT.unpack_from(self.memory, at)
                if end - at - DIRENT.size < length:
                    break
                name = self.memory[at + DIRENT.size : at + DIRENT.size + length].decode()
                found.append((name, inode, kind))
                cookie, at = after, at + DIRENT.size + length
            if used < room:
                return found


def make_guest(tree: Tree | None = None, **task: Any) -> Guest:
    """A guest whose inputs are mounted at /NAME for each root of the tree; `data` is on its standard input."""
    tree = tree or Tree()
    memory = bytearray(MEMORY_BYTES)
    mounts = task.pop("mounts", ())
    given = {
        "arguments": ("one", "zwei é"), "environment": ("A=1", "B=2"), "stdin": None, "mounts": mounts,
        "outputs": (("outputs", "/outputs"),), "epoch_s": 946_684_800, "fuel": None, "memory_bytes": 1 << 20,
        "output_bytes": 1 << 16,
    }  # fmt: skip
    return Guest(make_world(WasmTask(**{**given, **task}), tree, lambda: memoryview(memory)), memory)


def mounted(tree: Tree, *paths: str) -> tuple[Mount, ...]:
    """Mounts of the roots of a tree, in their order."""
    return tuple(Mount(path=path, entry=tree.entry(number)) for number, path in enumerate(paths))


def subscription(user_data: int, kind: int, body: bytes) -> bytes:
    return struct.pack("<QB7x", user_data, kind) + body.ljust(32, b"\0")
