"""Build a jail around one program, watch it, end as it ends. Runs in a Python of its own.

    python -I -S -c '…' ROOT --watch FD --layers a,b [--bind FROM:TO]… [--rlimit NAME=N]… … -- PROGRAM ARGUMENT…

Started once for each worker, so it imports almost nothing, parses by hand, and needs no data classes. It opens nothing
that it was not told of, and fails closed: whatever cannot be done ends it with status 125 and one line on standard
error, and the program never runs. `jail_transport` writes its command line.

Two processes. The watcher stays outside of the program's namespaces, keeps no descriptor but the pipe it watches and no
privilege, and kills the program when nobody is left at the pipe's other end. The program is process 1 of its
namespace, and builds the rest of its jail itself: what its file system shows of /proc is about itself.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import struct

from runtime import landlock_client
from runtime.linux_client import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    NAMESPACES,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    call,
    control,
    drop_capabilities,
    execute_descriptor,
    install_filter,
)
from runtime.private_root_client import enter_private_root

TYPE_CHECKING = False  # as type checkers know it; importing typing takes longer than building the jail
if TYPE_CHECKING:
    from typing import Final, NoReturn

FAILED: Final = 125
"""Exit status when the jail could not be built."""
NOBODY: Final = 65534
"""User and group inside; outside too, if an administrator starts workers."""
_SIGKILL, _SIGPIPE, _SIGXFSZ = 9, 13, 25


class Options:
    """What the command line says."""

    __slots__ = ("binds", "environment", "layers", "program", "rlimits", "words")

    def __init__(self, arguments: list[str]) -> None:
        end = arguments.index("--")
        self.program = arguments[end + 1 :]
        self.binds: list[tuple[str, str]] = []
        self.environment: list[str] = []
        self.rlimits: list[tuple[str, int]] = []
        self.words: dict[str, str] = {}
        for key, value in zip(arguments[0:end:2], arguments[1:end:2], strict=True):
            self._take(key, value)
        self.layers = frozenset(self.words.get("--layers", "").split(","))

    def _take(self, key: str, value: str) -> None:
        if key == "--bind":
            source, _, target = value.rpartition(":")
            self.binds.append((source, target))
        elif key == "--env":
            self.environment.append(value)
        elif key == "--rlimit":
            name, _, limit = value.partition("=")
            self.rlimits.append((name, int(limit)))
        else:
            self.words[key] = value

    def number(self, key: str) -> int | None:
        """Return the value of an option that is a number, None if it is absent."""
        return int(self.words[key]) if key in self.words else None


def main(arguments: list[str]) -> NoReturn:
    """Do what the command line says, and end as the program does."""
    try:
        options = Options(arguments)
        _join_cgroup(options.words.get("--cgroup"))
        flags = leave_processes(options)
        hearing, telling = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(hearing)
            _become_program(options, flags, telling)
        os.close(telling)
        os.read(hearing, 1)  # until then the child may be an administrator's, whom nobody can kill
        if flags & CLONE_NEWUSER and "--drop-user" in options.words:
            become_nobody()
        _watch(child, options.number("--watch"))
    except (OSError, ValueError, KeyError) as error:
        fail(error)


def fail(error: Exception) -> NoReturn:
    """End with the reason on standard error."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    place = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    os.write(2, f"jail error: {reason}{place}\n".encode())
    os._exit(FAILED)


def _join_cgroup(directory: str | None) -> None:
    if directory is not None:
        descriptor = os.open(f"{directory}/cgroup.procs", os.O_WRONLY)
        os.write(descriptor, b"0")
        os.close(descriptor)


def leave_processes(options: Options) -> int:
    """Leave the host's process namespace, which takes effect for children; return the flags of those that are left.

    Whoever is no administrator needs a user namespace to be allowed it, and has that behind them too.
    """
    flags = sum(NAMESPACES[name] for name in options.layers if name in NAMESPACES)
    if not flags & CLONE_NEWPID or _may_unshare(CLONE_NEWPID):
        return flags & ~CLONE_NEWPID
    if not flags & CLONE_NEWUSER:
        raise PermissionError(errno.EPERM, "a process namespace is not allowed")
    process = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
    _enter_user_namespace(CLONE_NEWUSER | CLONE_NEWPID, process)
    os.close(process)
    return flags & ~(CLONE_NEWUSER | CLONE_NEWPID)


def enter_namespaces(options: Options, flags: int) -> None:
    """Leave the host's other namespaces and its file system.

    An administrator makes the root first, as the paths may be open to nobody else, and then becomes nobody. Anyone else
    makes a user namespace first and is allowed the rest in there.
    """
    process = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY) if flags & CLONE_NEWUSER else -1
    if flags & CLONE_NEWNS and _may_unshare(CLONE_NEWNS):
        enter_private_root(options.binds)
        flags &= ~CLONE_NEWNS
        if flags & CLONE_NEWUSER and "--drop-user" in options.words:
            become_nobody()
    if flags & CLONE_NEWUSER:
        _enter_user_namespace(flags, process)
    elif flags:
        call("unshare", flags)
    if flags & CLONE_NEWNS:
        enter_private_root(options.binds)
    if flags & CLONE_NEWUTS:
        call("sethostname", b"localhost", 9)
    if process >= 0:
        os.close(process)


def _may_unshare(flag: int) -> bool:
    try:
        call("unshare", flag)
    except OSError:
        return False
    return True


def become_nobody() -> None:
    """Give up the administrator's user and groups."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    control(PR_SET_DUMPABLE, 1)  # or the files of /proc/self, and the maps among them, belong to the administrator


def _enter_user_namespace(flags: int, process: int) -> None:
    """Unshare, and map nobody to the user that this is."""
    user, group = os.geteuid(), os.getegid()
    call("unshare", flags)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{NOBODY} {user} 1"), ("gid_map", f"{NOBODY} {group} 1")):
        descriptor = os.open(name, os.O_WRONLY, dir_fd=process)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def _become_program(options: Options, flags: int, telling: int) -> NoReturn:
    """Build the jail, take on everything that binds one process, and execute. In the child.

    telling: a pipe to the watcher, who is told when this process ends with them; if they are gone, it ends here.
    """
    try:
        enter_namespaces(options, flags)
        control(PR_SET_PDEATHSIG, _SIGKILL)
        os.write(telling, b"!")
        for ignored in (_SIGPIPE, _SIGXFSZ):  # by Python; it would be inherited
            call("signal", ignored, 0)
        if "bubblewrap" in options.layers:
            _limit(options.rlimits)
            environment = dict(word.split("=", 1) for word in options.environment)
            os.execve(options.program[0], options.program, environment)  # noqa: S606
        bind_self(options)
    except (OSError, ValueError, KeyError) as error:
        fail(error)
    raise AssertionError("an execution returned")


def bind_self(options: Options) -> None:
    """Give up privileges, files, resources and system calls, in this order, and execute the program."""
    drop_capabilities()
    control(PR_SET_NO_NEW_PRIVS, 1)
    if "landlock" in options.layers:
        inside = "mountns" in options.layers
        readable = [target if inside else source for source, target in options.binds]
        landlock_client.restrict(readable, ["/"] if inside and "--list-root" in options.words else [])
    program = os.open(options.program[0], os.O_PATH | os.O_CLOEXEC)
    descriptor = options.number("--exec-descriptor")
    if descriptor is not None:
        program = _lift(program, descriptor)
    _limit(options.rlimits)
    if "seccomp" in options.layers:
        program_of_filter = _read(int(options.words["--seccomp"]))
        install_filter(for_process(program_of_filter, int(options.words["--own-process"]), os.getpid()))
    execute_descriptor(program, options.program, options.environment)


def for_process(program: bytes, placeholder: int, number: int) -> bytes:
    """Return a filter in which a constant has become the number of a process."""
    instructions = struct.iter_unpack("=HBBI", program)
    return b"".join(
        struct.pack("=HBBI", *head, number if constant == placeholder else constant) for *head, constant in instructions
    )


def _lift(program: int, descriptor: int) -> int:
    """Move an open file to a number that will be above the limit, where nothing else can ever come to lie."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft <= descriptor:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lifted = os.dup2(program, descriptor, inheritable=False)
    os.close(program)
    return lifted


def _limit(limits: list[tuple[str, int]]) -> None:
    for name, limit in limits:
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(number, (value, value))


def _read(descriptor: int) -> bytes:
    """Read a file from its beginning, and close it: the program is not to inherit it."""
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    os.close(descriptor)
    return content


def _watch(child: int, watched: int | None) -> NoReturn:
    """Wait for the child, and kill it if the watched pipe loses its other end."""
    handle = os.pidfd_open(child)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if watched is not None:
        poll.register(watched, 0)
    keep = sorted({handle} | ({watched} if watched is not None else set()))
    for low, high in zip([3, *[number + 1 for number in keep]], [*keep, 1 << 16], strict=True):
        os.closerange(low, high)
    drop_capabilities()
    control(PR_SET_NO_NEW_PRIVS, 1)
    if handle not in dict(poll.poll()):
        os.kill(child, _SIGKILL)
    _end_like(os.waitpid(child, 0)[1])


def _end_like(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        number = os.WTERMSIG(status)
        if number != _SIGKILL:
            call("signal", number, 0)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))
