"""Jails for workers: the command that starts a worker in one, and what has to be kept and removed around it.

A cell is for one worker. At every level the program is a JavaScript engine, the runtime lies at `Cell.runtime`,
handed-over descriptors keep their numbers, and the process that the command starts ends as the engine ends. That
process is to lead a process group: killing the group leaves nothing.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from runtime import cgroup_client
from runtime.jail import JailLimits, Level
from runtime.seccomp_policy import OWN_PROCESS, worker_filter
from runtime.shared_libraries_client import shared_libraries
from storage.errors import UnavailableError

_PACKAGES: Final = Path(__file__).parent.parent
"""Where the package `runtime` lies; comes last on the path of the launcher's Python."""
_RUNTIME_INSIDE: Final = "/runtime"
_OWN_MAPS: Final = "/proc/self/maps"
_NEEDS_OWN_MAPS: Final = frozenset({"bun"})
"""Engines that ask the C library where the main stack is; it reads this file."""
_NEEDS_ROOT_LISTED: Final = frozenset({"bun"})
"""Engines that look for their settings in all directories above their program, and end if they cannot."""
_BUBBLEWRAP: Final = (
    *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
    *("--uid", "65534", "--gid", "65534", "--hostname", "localhost", "--chdir", "/"),
    *("--die-with-parent", "--as-pid-1", "--cap-drop", "ALL"),
)
_SPARE_DESCRIPTORS: Final = 64
"""Room for those that an engine opens itself, about 25."""

Bind = tuple[str, str]
"""Path on the host, path inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A jail that is ready for one program. Close it when the program has ended."""

    prefix: tuple[str, ...]
    engine: tuple[str, ...]
    """The engine's path inside, and flags that it needs there."""
    runtime: str
    """Path of the runtime's directory inside; the host's own where there is no private file system."""
    descriptors: tuple[int, ...] = ()
    """To be inherited by the command, besides the worker's own."""
    release: Callable[[], None] = lambda: None

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command that runs the engine with these arguments in the jail."""
        return [*self.prefix, *self.engine, *arguments]

    def close(self) -> None:
        """Remove what was made for this cell, and what is left in it."""
        self.release()


def open_cell(
    level: Level,
    layers: Collection[str],
    *,
    binary: Path,
    runtime_dir: Path,
    limits: JailLimits,
    watch: int,
    engine: str = "node",
    handed: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    emulator: Sequence[str] = (),
    also: Sequence[Bind] = (),
) -> Cell:
    """Prepare a jail for an engine.

    layers: names, as `jail.layers_of` gives them.
    engine: one of `engine_host.HOSTS`, or `python_host.PYTHON`: which rules its binary needs.
    runtime_dir: the one directory that the worker may read.
    also: what else its program is made of; where there is no private file system, it stays where it is.
    watch: reading end of a pipe that this process writes to, inherited under its number; when no writer is left, the
        worker is killed. handed: the numbers of all other inherited descriptors.
    environment: of the worker; nothing if it is not given, except at the level NONE, where it is that of the command.
    emulator: what stands before the binary in the command; at the level NONE only.

    Raises:
        UnavailableError: this cannot be built around this binary, or not here.
    """
    binary, directory = binary.resolve(), runtime_dir.resolve()
    if level is Level.NONE:
        return Cell(prefix=(*_shell(limits), *emulator), engine=(os.fspath(binary),), runtime=os.fspath(directory))
    is_private = level not in (Level.LANDLOCK, Level.SECCOMP)
    inside = (f"/{engine}", _RUNTIME_INSIDE) if is_private else (os.fspath(binary), os.fspath(directory))
    binds = [(os.fspath(binary), inside[0]), (os.fspath(directory), inside[1]), *_library_binds(binary, is_private)]
    placed = {target for _, target in binds}  # what is there is read-only already
    binds += [(source, target if is_private else source) for source, target in also if target not in placed]
    binds += [(_OWN_MAPS, _OWN_MAPS)] if engine in _NEEDS_OWN_MAPS else []
    open_files = _open_files(limits, (watch, *handed))
    with ExitStack() as undo:
        program = undo.enter_context(_level_filter(level, engine, open_files))
        group = _group(limits) if "cgroup" in layers else None
        if group:
            undo.callback(cgroup_client.end_group, group)
        words = [*launcher_command("runtime.jail_launcher"), "--watch", str(watch)]
        words += _rlimits(limits, open_files, counts_threads="userns" in layers)
        words += [word for name, value in (environment or {}).items() for word in ("--env", f"{name}={value}")]
        words += ["--cgroup", os.fspath(group)] if group else []
        if level is Level.BUBBLEWRAP:
            words += ["--layers", "bubblewrap", "--", *_bubblewrap(binds, program.fileno())]
        else:
            words += _by_hand(layers, binds, program.fileno(), open_files)
            words += ["--list-root", "yes", "--"] if engine in _NEEDS_ROOT_LISTED else ["--"]
        # A configuration that is there and cannot be read is an error to OpenSSL; one that is not there is none.
        flags = () if is_private or engine != "node" else (f"--openssl-config={inside[1]}/none",)
        return Cell(
            prefix=tuple(words),
            engine=(inside[0], *flags),
            runtime=inside[1],
            descriptors=(program.fileno(),),
            release=undo.pop_all().close,
        )


def _library_binds(binary: Path, is_private: bool) -> list[Bind]:
    """Libraries lie inside where the linker looks for them, and that may be a link outside."""
    paths = shared_libraries(binary)
    return [(os.path.realpath(path), path if is_private else os.path.realpath(path)) for path in paths]


def launcher_command(module: str) -> list[str]:
    """Return the command that runs `main` of a module of this package in a bare Python: no site, no environment."""
    program = f"import sys; sys.path.append(sys.argv[1]); from {module} import main; main(sys.argv[2:])"
    return [sys.executable, "-I", "-S", "-c", program, os.fspath(_PACKAGES)]


def filter_file(exec_descriptor: int | None, engine: str = "node", process: int = OWN_PROCESS) -> IO[bytes]:
    """Return an open, anonymous file with the seccomp filter of this machine.

    Raises:
        UnavailableError: this architecture has no table of system calls.
    """
    try:
        program = worker_filter(platform.machine(), exec_descriptor=exec_descriptor, engine=engine, process=process)
    except KeyError as error:
        raise UnavailableError(f"no system call filter for {error.args[0]}") from error
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed by Cell.close
    file.write(program)
    file.flush()
    file.seek(0)  # bubblewrap reads from where it stands
    return file


def _level_filter(level: Level, engine: str, open_files: int) -> IO[bytes]:
    """The launcher fills in the number of the process; bubblewrap does not, and makes it process 1."""
    if level is Level.BUBBLEWRAP:
        return filter_file(None, engine, process=1)
    return filter_file(open_files, engine)


def bubblewrap_program() -> str | None:
    """Return the path of bubblewrap, None if it is not installed."""
    return shutil.which("bwrap")


def _shell(limits: JailLimits) -> tuple[str, ...]:
    """A shell sets the limits, since Python may not run code between fork and exec."""
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack_bytes = limits.stack_bytes if hard == resource.RLIM_INFINITY else min(limits.stack_bytes, hard)
    return ("/bin/sh", "-c", f'ulimit -s {stack_bytes // 1024}; ulimit -t {limits.cpu_s}; exec "$@"', "sh")


def _by_hand(layers: Collection[str], binds: list[Bind], filter_descriptor: int, exec_descriptor: int) -> list[str]:
    words = [
        "--layers",
        ",".join(layers),
        "--seccomp",
        str(filter_descriptor),
        "--own-process",
        str(OWN_PROCESS),
        "--exec-descriptor",
        str(exec_descriptor),
    ]
    if all(_is_open_to_all(Path(source)) for source, _ in binds):
        words += ["--drop-user", "yes"]
    for source, target in binds:
        words += ["--bind", f"{source}:{target}"]
    return words


def _is_open_to_all(path: Path) -> bool:
    """Tell whether a user who owns nothing could read it; an administrator's worker keeps its user where not.

    What is not there is left to the launcher to report.
    """
    return path.exists() and all(
        entry.stat().st_mode & 0o004 for entry in ([path, *path.iterdir()] if path.is_dir() else [path])
    )


def _bubblewrap(binds: list[Bind], filter_descriptor: int) -> list[str]:
    program = bubblewrap_program()
    if program is None:
        raise UnavailableError("bubblewrap is not installed", fix="install the package bubblewrap")
    mounts = [word for source, target in binds for word in ("--ro-bind", source, target)]
    return [program, *_BUBBLEWRAP, *mounts, "--remount-ro", "/", "--seccomp", str(filter_descriptor), "--"]


def _open_files(limits: JailLimits, handed: Sequence[int]) -> int:
    """Return the limit of open files: above every handed number, as duplicates come to lie there."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = max(limits.open_files, max(handed) + _SPARE_DESCRIPTORS)
    # The number equal to the limit is used for the program's own file, once.
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - 1)


def _rlimits(limits: JailLimits, open_files: int, *, counts_threads: bool) -> list[str]:
    values = {
        "CORE": 0,
        "STACK": limits.stack_bytes,
        "DATA": limits.memory_bytes + limits.reserved_bytes,
        "CPU": limits.cpu_s,
        "FSIZE": limits.file_bytes,
        "NOFILE": open_files,
        "MEMLOCK": 0,
        "MSGQUEUE": 0,
    }
    if counts_threads:
        values["NPROC"] = limits.threads
    return [word for name, value in values.items() for word in ("--rlimit", f"{name}={value}")]


def _group(limits: JailLimits) -> Path:
    try:
        parent = cgroup_client.find_parent()
        return cgroup_client.make_group(parent, memory_bytes=limits.memory_bytes, threads=limits.threads)
    except OSError as error:
        raise UnavailableError(f"no control group: {error.strerror}", where=os.fspath(error.filename or "")) from error
