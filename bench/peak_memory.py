"""Peak memory of a process and of its descendants, from Linux's own high-water marks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_EVERY_S = 0.02
"""The kernel keeps the marks; they only have to be read before the process ends."""


@dataclass(slots=True)
class Peaks:
    """The highest marks seen, in bytes."""

    own: int = 0
    """Of the watched process."""
    descendant: int = 0
    """Of the largest of its descendants."""
    stop: threading.Event = field(default_factory=threading.Event)

    def look(self, pid: int) -> None:
        """Read the marks once more."""
        self.own = max(self.own, high_water_mark(pid))
        self.descendant = max([self.descendant, *map(high_water_mark, descendants(pid))])


@contextmanager
def watch(pid: int) -> Iterator[Peaks]:
    """Watch a process until the block ends."""
    peaks = Peaks()

    def keep_looking() -> None:
        while not peaks.stop.wait(_EVERY_S):
            peaks.look(pid)

    thread = threading.Thread(target=keep_looking)
    thread.start()
    try:
        yield peaks
    finally:
        peaks.stop.set()
        thread.join()


def high_water_mark(pid: int) -> int:
    """Return VmHWM in bytes, 0 of a process that is gone."""
    try:
        return mark_in((Path("/proc") / str(pid) / "status").read_text())
    except OSError:
        return 0


def mark_in(status: str) -> int:
    """Read VmHWM out of /proc/PID/status; a process that has ended already has none."""
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * 1024


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for children in (Path("/proc") / str(waiting.pop()) / "task").glob("*/children"):
            try:
                pids = [int(child) for child in children.read_text().split()]
            except OSError:
                continue
            found += pids
            waiting += pids
    return found
