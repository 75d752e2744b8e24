"""Control groups, version 2: a group of its own for each worker, where this user may make one.

A systemd user session delegates such a place, and so does a service with `Delegate=yes`. Nothing is made anywhere else.
"""

from __future__ import annotations

import os
import secrets
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from storage.errors import UnavailableError

_MEMBERSHIP: Final = Path("/proc/self/cgroup")
_MOUNTS: Final = Path("/proc/self/mounts")
_NEEDED: Final = {"memory", "pids"}
_PATIENCE_MS: Final = 5000
_EVENTS_BYTES: Final = 4096
PREFIX: Final = "bacalhau-worker-"


def find_parent() -> Path:
    """Return the directory in which groups for workers can be made.

    Raises:
        UnavailableError: there is none; says why.
    """
    mounted = mount_point(_MOUNTS.read_text("utf-8", "replace"))
    group = own_group(_MEMBERSHIP.read_text("ascii"), mounted)
    reasons = []
    # A group with processes cannot hand controllers down, so the place is most often beside this process's own.
    for place in (group,) if group == mounted else (group.parent, group):
        missing = _NEEDED - set(_words(place / "cgroup.subtree_control"))
        if missing:
            reasons.append(f"{place} does not hand down {' and '.join(sorted(missing))}")
        elif not os.access(place, os.W_OK) or not os.access(place / "cgroup.procs", os.W_OK):
            reasons.append(f"{place} is not delegated to this user")
        else:
            return place
    raise UnavailableError("; ".join(reasons))


def mount_point(mounts: str) -> Path:
    """Return where version 2 is mounted, from the text of /proc/self/mounts.

    Raises:
        UnavailableError: nowhere.
    """
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[2] == "cgroup2":
            return Path(fields[1])
    raise UnavailableError("control groups version 2 are not mounted")


def own_group(membership: str, mounted: Path) -> Path:
    """Return the directory of this process's group, from the text of /proc/self/cgroup.

    Raises:
        UnavailableError: it is in none.
    """
    for line in membership.splitlines():
        if line.startswith("0::/"):
            return mounted / line.removeprefix("0::/").rstrip("/")
    raise UnavailableError("this process is in no group of version 2")


def make_group(parent: Path, *, memory_bytes: int, threads: int) -> Path:
    """Make a group with a memory ceiling, no swap and a bound on threads, and return it.

    Raises:
        OSError: not allowed, or no such parent.
    """
    group = parent / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    group.mkdir()
    try:
        for name, value in _settings(memory_bytes, threads):
            if (group / name).exists() or name == "memory.max":
                (group / name).write_text(value, "ascii")
    except OSError:
        group.rmdir()
        raise
    return group


def _settings(memory_bytes: int, threads: int) -> Iterator[tuple[str, str]]:
    yield "memory.max", str(memory_bytes)
    yield "memory.swap.max", "0"  # absent without swap accounting
    yield "memory.oom.group", "1"
    yield "pids.max", str(threads)


def end_group(group: Path) -> None:
    """Kill what is left in a group, wait until it is gone, and remove the group.

    A group that cannot be removed is left: it is empty, and goes with the next start of the system.
    """
    try:
        if (group / "cgroup.kill").exists():
            (group / "cgroup.kill").write_text("1", "ascii")
            _wait_until_empty(group / "cgroup.events")
        group.rmdir()
    except OSError:
        return


def _wait_until_empty(events: Path) -> None:
    """Processes that were killed still have to exit; the kernel tells when the last one has."""
    with events.open("rb", buffering=0) as file:
        changed = select.poll()
        changed.register(file, select.POLLPRI)
        while b"populated 1" in file.read(_EVENTS_BYTES) and changed.poll(_PATIENCE_MS):
            file.seek(0)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text("ascii").split()
    except OSError:
        return []
