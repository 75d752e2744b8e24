"""Try each layer of a jail in a throw-away child, and print how it went. Runs in a Python of its own.

Prints one line for each layer: its name, a tab, and nothing if it is in force here, else the reason. What a layer
promises is tried, not looked up: a kernel may have a feature and refuse it to this user, in this container.
"""

from __future__ import annotations

import os
import resource
import sys

from runtime import landlock_client
from runtime.jail_launcher import Options, enter_namespaces, leave_processes
from runtime.linux_client import NAMESPACES, PR_SET_NO_NEW_PRIVS, call, control, drop_capabilities, install_filter

TYPE_CHECKING = False  # as type checkers know it; importing typing takes longer than building the jail
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_SIGSYS: Final = 31
_OPEN_FILES: Final = 16
_AF_INET, _SOCK_STREAM = 2, 1


def main(arguments: list[str]) -> None:
    """Try all layers. The argument is the descriptor of a filter, as a worker has it."""
    descriptor = int(arguments[0])
    program = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    trials: dict[str, Callable[[], str]] = {name: _namespace(name) for name in NAMESPACES}
    trials |= {
        "no-new-privs": _no_new_privileges,
        "no-capabilities": _no_capabilities,
        "landlock": _landlock,
        "seccomp": lambda: _seccomp(program),
        "rlimits": _rlimits,
    }
    for name, trial in trials.items():
        sys.stdout.write(f"{name}\t{_in_child(trial)}\n")


def _in_child(trial: Callable[[], str]) -> str:
    """Return what the trial said in a process of its own, or how it failed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            verdict = trial()
        except OSError as error:
            verdict = error.strerror or str(error)
        os.write(writing, verdict.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        verdict = pipe.read().decode()
    status = os.waitpid(child, 0)[1]
    return verdict if status == 0 else f"the trial ended with status {status}"


def _namespace(name: str) -> Callable[[], str]:
    """A namespace alone, or below a user namespace where that is needed; the process must be in a new one."""

    def trial() -> str:
        before = "" if name in ("mountns", "pidns") else _identity(name)
        try:
            _enter(name)
        except PermissionError:
            _enter(f"userns,{name}")
        if name == "mountns":
            return "" if os.listdir("/") == [] else "the new root is not empty"  # noqa: PTH208
        if name == "pidns":
            return "" if _first_child_number() == 1 else "processes of the host are visible"
        return "" if _identity(name) != before else "the process is where it was"

    return trial


def _enter(layers: str) -> None:
    options = Options(["--layers", layers, "--"])
    enter_namespaces(options, leave_processes(options))


def _identity(name: str) -> str:
    return os.readlink(f"/proc/self/ns/{'user' if name == 'userns' else name.removesuffix('ns')}")  # noqa: PTH115  see the launcher: no imports


def _first_child_number() -> int:
    child = os.fork()
    if child == 0:
        os._exit(os.getpid() & 0x7F)
    return os.WEXITSTATUS(os.waitpid(child, 0)[1])


def _no_new_privileges() -> str:
    control(PR_SET_NO_NEW_PRIVS, 1)
    return "" if _status("NoNewPrivs") == "1" else "it is not set"


def _no_capabilities() -> str:
    drop_capabilities()
    left = [name for name in ("CapPrm", "CapEff", "CapAmb") if int(_status(name), 16)]
    return f"{' and '.join(left)} are not empty" if left else ""


def _status(field: str) -> str:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        return next(line.split()[1] for line in file if line.startswith(f"{field}:"))


def _landlock() -> str:
    control(PR_SET_NO_NEW_PRIVS, 1)
    landlock_client.restrict([])
    try:
        os.close(os.open("/", os.O_RDONLY))
    except PermissionError:
        return ""
    return "it does not hold"


def _seccomp(program: bytes) -> str:
    """A grandchild opens a socket under the filter, and must be gone."""
    child = os.fork()
    if child == 0:
        control(PR_SET_NO_NEW_PRIVS, 1)
        try:
            install_filter(program)
        except OSError:
            os._exit(2)
        call("socket", _AF_INET, _SOCK_STREAM, 0)
        os._exit(1)
    status = os.waitpid(child, 0)[1]
    return "" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == _SIGSYS else "the filter is refused or does not hold"


def _rlimits() -> str:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    try:
        for _ in range(_OPEN_FILES):
            os.dup(0)
    except OSError:
        return ""
    return "the limit of open files does not hold"
