"""The calls of the Linux kernel that Python's library has no name for, by way of the C library.

Imported by the launcher of a jail, where every millisecond counts for each worker: ctypes, os and nothing else.
Numbers that have names in the kernel's headers carry these names here.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False  # as type checkers know it; importing typing takes longer than building the jail
if TYPE_CHECKING:
    from typing import Any, Final

    Argument = int | bytes | None | Any

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

NAMESPACES: Final = {
    "userns": CLONE_NEWUSER,
    "mountns": CLONE_NEWNS,
    "pidns": CLONE_NEWPID,
    "netns": CLONE_NEWNET,
    "ipcns": CLONE_NEWIPC,
    "utsns": CLONE_NEWUTS,
    "cgroupns": CLONE_NEWCGROUP,
}
"""By the name of their layer."""

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_SECCOMP: Final = 22
PR_CAPBSET_DROP: Final = 24
PR_SET_SECUREBITS: Final = 28
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_SECCOMP_MODE_FILTER: Final = 2
_SECUREBITS: Final = 0x2F
"""NOROOT and NO_SETUID_FIXUP, both locked, and KEEP_CAPS locked off: user 0 is a user like any other."""
_CAPABILITY_VERSION_3: Final = 0x20080522
_LAST_CAPABILITY: Final = 63
_BYTES_PER_INSTRUCTION: Final = 8
_AT_EMPTY_PATH: Final = 0x1000

_NUMBERS: Final = {
    "x86_64": {"pivot_root": 155, "execveat": 322},
    "aarch64": {"pivot_root": 41, "execveat": 281},
}
"""Calls without a wrapper in every C library."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(name: str, *arguments: Argument) -> int:
    """Call a function of the C library.

    Raises:
        OSError: it failed; the message begins with its name.
    """
    return _checked(name, getattr(_libc, name)(*map(_word, arguments)))


def system_call(name: str | int, *arguments: Argument) -> int:
    """Call the kernel by number, or by a name of `_NUMBERS`.

    Raises:
        OSError: it failed, or the machine is not one whose numbers are known (ENOSYS).
    """
    number = name if isinstance(name, int) else _NUMBERS.get(os.uname().machine, {}).get(name, -1)
    return _checked(str(name), _libc.syscall(*map(_word, (number, *arguments))))


def _word(argument: Argument) -> Any:
    """Integers fill a register: a bare one would be passed as 32 bits."""
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def control(option: int, *arguments: int) -> None:
    """Call prctl; arguments that are not given are 0, as most options demand."""
    call("prctl", option, *arguments, *[0] * (4 - len(arguments)))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount. kind: file system, None for binds, moves and changes.

    Raises:
        OSError: with the target as its file name.
    """
    try:
        call("mount", source.encode(), target.encode(), kind.encode() if kind else None, flags, options.encode())
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} at {target}") from error


def drop_capabilities() -> None:
    """Give up all capabilities of this process, for good: its bounding set too, where it may say so."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            control(PR_CAPBSET_DROP, capability)
        except OSError:  # there are no more of them, or this process had none to begin with
            break
    try:  # noqa: SIM105  contextlib is slow to import
        control(PR_SET_SECUREBITS, _SECUREBITS)
    except PermissionError:  # needs CAP_SETPCAP: who has not got it cannot gain anything by being user 0 either
        pass
    control(PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())


def install_filter(program: bytes) -> None:
    """Install a seccomp filter on this thread, the only one. Needs no-new-privs, and never comes off."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    head = Program(len(program) // _BYTES_PER_INSTRUCTION, program)
    call("prctl", PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(head), 0, 0)


def execute_descriptor(descriptor: int, arguments: list[str], environment: list[str]) -> None:
    """Become the program that is open, with this environment (NAME=VALUE); only returns by raising OSError."""
    system_call("execveat", descriptor, b"", _texts(arguments), _texts(environment), _AT_EMPTY_PATH)


def _texts(words: list[str]) -> Any:
    return (ctypes.c_char_p * (len(words) + 1))(*[os.fsencode(word) for word in words], None)
