"""The flags of `serve` and `devstack` that let others run containers here. Without the first of them nobody does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from storage.errors import UserError

if TYPE_CHECKING:
    from runtime.container_host import HostSettings

DOCKER: Final = "--docker"
PULL: Final = "--docker-pull"
NETWORK: Final = "--docker-network"

_OPTIONS: Final = (
    click.option(DOCKER, "docker", is_flag=True,
                 help="Run containers for others, under the Docker or Podman of this machine: nobody verifies those."),
    click.option(PULL, "docker_pull", is_flag=True,
                 help="Pull images that are not here, by the digest that a job names."),
    click.option(NETWORK, "docker_network", is_flag=True,
                 help="Take containers that want a network: they reach whatever this machine does."),
)  # fmt: skip


def container_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command that takes `**flags`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_containers(flags: Mapping[str, Any]) -> HostSettings | None:
    """Return what the flags say; None: nobody runs containers here.

    Raises:
        UserError: one says how, and none says that.
    """
    from runtime.container_host import HostSettings

    if flags["docker"]:
        if flags.get("roles") and "compute" not in flags["roles"]:
            fix = "leave --role out, or say --role compute too"
            raise UserError("is for a node that executes", where=DOCKER, fix=fix)
        return HostSettings(pulls=flags["docker_pull"], networks=flags["docker_network"])
    for flag, is_given in ((PULL, flags["docker_pull"]), (NETWORK, flags["docker_network"])):
        if is_given:
            raise UserError(f"means nothing without {DOCKER}", where=flag, fix=f"add {DOCKER}")
    return None


def container_arguments(flags: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the same flags as arguments of another node."""
    said = ((DOCKER, flags["docker"]), (PULL, flags["docker_pull"]), (NETWORK, flags["docker_network"]))
    return tuple(flag for flag, is_given in said if is_given)
