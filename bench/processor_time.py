"""Seconds of processor time that other processes have taken, from Linux's /proc.

On a machine that does other things as well this is what tells how much work something was.
"""

from __future__ import annotations

import os
from pathlib import Path

from bench.peak_memory import descendants

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def own_s(pid: int) -> float:
    """Return what all threads of a process have taken so far; 0 of one that is gone."""
    return _times(pid)[0]


def below_s(pid: int) -> float:
    """Return what the descendants of a process have taken: those that run, and those that it has waited for."""
    return _times(pid)[1] + sum(sum(_times(one)) for one in descendants(pid))


def _times(pid: int) -> tuple[float, float]:
    """Return a process's own seconds, and those of its children that have ended and were waited for."""
    try:
        stat = (Path("/proc") / str(pid) / "stat").read_text()
    except OSError:
        return 0.0, 0.0
    return times_in(stat)


def times_in(stat: str) -> tuple[float, float]:
    """Read own and children's seconds out of /proc/PID/stat. The name, which holds anything, ends at the last `)`."""
    fields = stat[stat.rindex(")") + 2 :].split()
    # Fields 14 to 17 of proc(5): utime, stime, cutime, cstime; the third is the first one here.
    user, system, children_user, children_system = (int(text) / _TICKS_PER_S for text in fields[11:15])
    return user + system, children_user + children_system
