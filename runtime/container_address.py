"""Where an engine may be reached: what the environment says, else the sockets where Docker and Podman listen. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

VARIABLE: Final = "DOCKER_HOST"
DOCKER_SOCKET: Final = "/var/run/docker.sock"
PODMAN_SOCKET: Final = "/run/podman/podman.sock"


def socket_paths(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return where sockets may be, in the order in which they are tried: Docker's before Podman's, root's first."""
    own = environment.get("XDG_RUNTIME_DIR", "")
    of_user = (f"{own}/docker.sock", f"{own}/podman/podman.sock") if own.startswith("/") else ()
    return (DOCKER_SOCKET, *of_user[:1], PODMAN_SOCKET, *of_user[1:])


def find_address(environment: Mapping[str, str], is_socket: Callable[[str], bool]) -> str | None:
    """Return the address of an engine as `DOCKER_HOST` writes it; None if there is none.

    is_socket: tells whether a path is a socket. What DOCKER_HOST says is taken as it is, also if nothing listens there.
    """
    said = environment.get(VARIABLE, "").strip()
    if said:
        return said
    return next((f"unix://{path}" for path in socket_paths(environment) if is_socket(path)), None)
