"""Landlock: a process gives up, for good, all files but some, TCP, and signals to the outside.

Needs no privilege but no-new-privs, and works inside and outside of namespaces. Files that are open stay open. Imported
by the launcher of a jail: as few imports as possible.

Source: https://docs.kernel.org/userspace-api/landlock.html.
"""

from __future__ import annotations

import ctypes
import os
import struct

from runtime.linux_client import system_call

TYPE_CHECKING = False  # as type checkers know it; importing typing takes longer than building the jail
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of the calls, the same on all architectures."""
_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1

_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_FILE_RIGHTS_BY_VERSION: Final = ((1, 0x1FFF), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
"""First version with these rights: the first thirteen, REFER, TRUNCATE, IOCTL_DEV."""
_ALL_TCP: Final = 0b11
"""BIND and CONNECT, from version 4."""
_ALL_SCOPES: Final = 0b11
"""Abstract Unix sockets and signals, from version 6."""


def version() -> int:
    """Return the version of Landlock that the kernel offers.

    Raises:
        OSError: it is not built in, switched off, or refused.
    """
    return system_call(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)


def restrict(readable: Iterable[str], listed: Iterable[str] = ()) -> None:
    """Leave this process nothing of the file system but reading and executing these files and directories.

    listed: directories whose names can be listed, and those of all directories below.

    Raises:
        OSError: the kernel refuses, or a path is not there.
    """
    offered = version()
    rights = sum(bits for first, bits in _FILE_RIGHTS_BY_VERSION if offered >= first)
    attributes = struct.pack("=QQQ", rights, _ALL_TCP, _ALL_SCOPES)[: _size(offered)]
    ruleset = system_call(_CREATE_RULESET, ctypes.create_string_buffer(attributes, len(attributes)), len(attributes), 0)
    for path in readable:
        _allow(ruleset, path, _READ_FILE | (_READ_DIR if os.path.isdir(path) else _EXECUTE))  # noqa: PTH112
    for path in listed:
        _allow(ruleset, path, _READ_DIR)
    system_call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _size(offered: int) -> int:
    """Bytes of the attributes that this version understands."""
    if offered >= 6:
        return 24
    return 16 if offered >= 4 else 8


def _allow(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = struct.pack("=Qi", rights, descriptor)
    system_call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0)
    os.close(descriptor)
