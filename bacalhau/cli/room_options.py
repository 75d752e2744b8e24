"""The flags that say what jobs get of this machine: `--limit-total-*` for all together, `--limit-job-*` for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from bacalhau.cli.options import named_text

if TYPE_CHECKING:
    from runtime.machine_room import RoomFlags

_KINDS: Final = (
    ("cpu", "CORES", "Cores", "2, or 500m", "those of this process, or its group's quota"),
    ("memory", "SIZE", "Memory", "512Mb, or 4Gb", "three quarters of what is free, or of its group's limit"),
    ("disk", "SIZE", "Disk", "100Gb", "half of what is free"),
    ("gpu", "NUMBER", "GPUs", "1", "all that nvidia-smi tells of"),
)


def room_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command that takes `**flags`."""
    for kind, unit, what, _, _ in reversed(_KINDS):
        job_help = f"{what} for one job at most.  [default: as much as for all]"
        command = click.option(f"--limit-job-{kind}", metavar=unit, type=named_text, help=job_help)(command)
    for kind, unit, what, example, default in reversed(_KINDS):
        total_help = f"{what} for all jobs together: {example}.  [default: {default}]"
        command = click.option(f"--limit-total-{kind}", metavar=unit, type=named_text, help=total_help)(command)
    return command


def room_flags(flags: Mapping[str, Any]) -> RoomFlags:
    """Return what the flags of a command with `room_options` say."""
    from runtime.machine_room import RoomFlags

    said = {f"{scope}_{kind}": flags[f"limit_{scope}_{kind}"] for scope in ("total", "job") for kind, *_ in _KINDS}
    return RoomFlags(**said)
