"""What a worker process is made of. Imports nothing that a bare Python lacks: it tries jails, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.jail_transport import Bind


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a worker process is: a program, what it is made of, and how it is started."""

    name: str
    """As `jail_transport.open_cell` knows it."""
    binary: Path
    directory: Path
    """The one directory that it may read."""
    arguments: Callable[[str], Sequence[str]]
    """Behind the binary, by where the directory is inside; the descriptors to hear and to tell come last."""
    environment: Mapping[str, str]
    also: tuple[Bind, ...] = ()
    """What else it is made of."""
    emulator: tuple[str, ...] = ()
