"""WASI preview 1 as numbers and bytes: error numbers, rights, flags, and how its structures lie in memory. Pure.

Source: https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md and `witx` beside it.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import Final


class Errno(IntEnum):
    """Error numbers that our host answers with."""

    SUCCESS = 0
    BADF = 8
    BUSY = 10
    EXIST = 20
    FAULT = 21
    FBIG = 22
    ILSEQ = 25
    INVAL = 28
    ISDIR = 31
    LOOP = 32
    MFILE = 33
    NAMETOOLONG = 37
    NOENT = 44
    NOSPC = 51
    NOSYS = 52
    NOTDIR = 54
    NOTEMPTY = 55
    NOTSOCK = 57
    NOTSUP = 58
    PERM = 63
    ROFS = 69
    SPIPE = 70
    NOTCAPABLE = 76


class WasiError(Exception):
    """What a call of the guest is answered with."""

    def __init__(self, errno: Errno) -> None:
        super().__init__(errno.name)
        self.errno = errno


class FileType(IntEnum):
    """Kinds of files."""

    UNKNOWN = 0
    """Standard output and error: neither a terminal nor a file, as a pipe."""
    DIRECTORY = 3
    REGULAR = 4
    SYMLINK = 7


class Right(IntFlag):
    """What may be done with a descriptor."""

    DATASYNC = 1 << 0
    READ = 1 << 1
    SEEK = 1 << 2
    SET_FLAGS = 1 << 3
    SYNC = 1 << 4
    TELL = 1 << 5
    WRITE = 1 << 6
    ADVISE = 1 << 7
    ALLOCATE = 1 << 8
    CREATE_DIRECTORY = 1 << 9
    CREATE_FILE = 1 << 10
    LINK_SOURCE = 1 << 11
    LINK_TARGET = 1 << 12
    OPEN = 1 << 13
    READDIR = 1 << 14
    READLINK = 1 << 15
    RENAME_SOURCE = 1 << 16
    RENAME_TARGET = 1 << 17
    PATH_STAT = 1 << 18
    PATH_SET_SIZE = 1 << 19
    PATH_SET_TIMES = 1 << 20
    STAT = 1 << 21
    SET_SIZE = 1 << 22
    SET_TIMES = 1 << 23
    SYMLINK = 1 << 24
    REMOVE_DIRECTORY = 1 << 25
    UNLINK_FILE = 1 << 26
    POLL = 1 << 27


NO_RIGHTS: Final = Right(0)
_BOTH: Final = Right.DATASYNC | Right.SYNC | Right.SET_FLAGS | Right.ADVISE | Right.STAT | Right.SET_TIMES | Right.POLL
READ_RIGHTS: Final = _BOTH | Right.READ | Right.SEEK | Right.TELL
"""Of a file that is open for reading."""
FILE_RIGHTS: Final = READ_RIGHTS | Right.WRITE | Right.ALLOCATE | Right.SET_SIZE
DIRECTORY_RIGHTS: Final = (
    Right((Right.SYMLINK << 1) - Right.CREATE_DIRECTORY)
    | Right.REMOVE_DIRECTORY
    | Right.UNLINK_FILE
    | Right.DATASYNC
    | Right.SYNC
    | Right.SET_FLAGS
) & ~Right.SET_SIZE  # fmt: skip
ALL_RIGHTS: Final = FILE_RIGHTS | DIRECTORY_RIGHTS
"""What is inherited from the root."""
STREAM_RIGHTS: Final = Right.WRITE | Right.STAT | Right.POLL | Right.SET_FLAGS | Right.SYNC | Right.DATASYNC
"""Of standard output and error."""


class FdFlag(IntFlag):
    """How an open file is written."""

    APPEND = 1
    DSYNC = 2
    NONBLOCK = 4
    RSYNC = 8
    SYNC = 16


class OpenFlag(IntFlag):
    """How a path is opened."""

    CREATE = 1
    DIRECTORY = 2
    EXCLUSIVE = 4
    TRUNCATE = 8


class TimeFlag(IntFlag):
    """Which times of a file are set, and whether to the present."""

    ACCESS = 1
    ACCESS_NOW = 2
    CHANGE = 4
    CHANGE_NOW = 8


NO_FLAGS: Final = FdFlag(0)
FOLLOW: Final = 1
"""Lookup flag: the last name of a path is followed if it is a link."""
SEEK_SET, SEEK_CUR, SEEK_END = 0, 1, 2
REALTIME, MONOTONIC, PROCESS_CPU, THREAD_CPU = 0, 1, 2, 3
EVENT_CLOCK, EVENT_READ, EVENT_WRITE = 0, 1, 2
ABSOLUTE_TIME: Final = 1

IOVEC: Final = struct.Struct("<II")
PRESTAT: Final = struct.Struct("<B3xI")
"""Tag 0, a directory; length of its name."""
FDSTAT: Final = struct.Struct("<BxH4xQQ")
"""Kind, flags, rights, inherited rights."""
FILESTAT: Final = struct.Struct("<QQB7xQQQQQ")
"""Device, inode, kind, links, size, times of access, of the content, of the inode."""
DIRENT: Final = struct.Struct("<QQIB3x")
"""Cookie of the next entry, inode, length of the name that follows, kind."""
SUBSCRIPTION_BYTES: Final = 48
SUBSCRIPTION: Final = struct.Struct("<QB7x")
SUBSCRIBED_CLOCK: Final = struct.Struct("<I4xQQH")
"""At 16: clock, time, precision, flags."""
SUBSCRIBED_FD: Final = struct.Struct("<I")
EVENT: Final = struct.Struct("<QHB5xQH6x")
"""User data, error, kind, bytes at hand, flags."""
U32: Final = struct.Struct("<I")
U64: Final = struct.Struct("<Q")
