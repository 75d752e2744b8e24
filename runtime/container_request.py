"""What the user asked for of a container, as typed. Nothing here has been looked at yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtime.request import Request

DEFAULT_CPU: Final = "1"
DEFAULT_NETWORK: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRequest:
    """One call of `run docker`; every text is as the user wrote it."""

    image: str
    command: tuple[str, ...] = ()
    """Empty: the image's own."""
    entrypoint: str | None = None
    """None: the image's own; empty: none, so that the command is the program."""
    workdir: str | None = None
    user: str | None = None
    """None: whom the image names unless that is root, else nobody."""
    network: str = DEFAULT_NETWORK
    writable_root: bool = False
    cpu: str = DEFAULT_CPU
    """Cores."""
    gpus: int = 0
    content: Request
    """Of it: data, volumes, outputs, environment, memory, time and where content comes from."""
