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
REGISTRY: Final = "--docker-registry"
NETWORK: Final = "--docker-network"

_OPTIONS: Final = (
    click.option(DOCKER, "docker", is_flag=True,
                 help="Run containers for others, under the Docker or Podman of this machine: nobody verifies those."),
    click.option(PULL, "docker_pull", is_flag=True,
                 help="Pull images that are not here, by the digest that a job names."),
    click.option(REGISTRY, "docker_registries", metavar="HOST", multiple=True,
                 help="Pull from this registry wherever it is; from others only if they are of the internet."),
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
        if flags["docker_registries"] and not flags["docker_pull"]:
            raise UserError(f"means nothing without {PULL}", where=REGISTRY, fix=f"add {PULL}")
        return HostSettings(
            pulls=flags["docker_pull"],
            networks=flags["docker_network"],
            registries=frozenset(map(_host, flags["docker_registries"])),
        )
    for flag, is_given in (
        (PULL, flags["docker_pull"]),
        (REGISTRY, bool(flags["docker_registries"])),
        (NETWORK, flags["docker_network"]),
    ):
        if is_given:
            raise UserError(f"means nothing without {DOCKER}", where=flag, fix=f"add {DOCKER}")
    return None


def container_arguments(flags: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the same flags as arguments of another node."""
    said = ((DOCKER, flags["docker"]), (PULL, flags["docker_pull"]), (NETWORK, flags["docker_network"]))
    registries = (f"{REGISTRY}={host}" for host in flags["docker_registries"])
    return (*(flag for flag, is_given in said if is_given), *registries)


def _host(text: str) -> str:
    """Return the host of a registry, of which the port does not matter."""
    from runtime.image_reference import registry_of

    found = registry_of(f"{text}/image")
    if found is None:
        fix = "write it as in the names of its images, such as registry.example.com"
        raise UserError("is not the host of a registry", where=f"{REGISTRY} {text}", fix=fix)
    return found[0]
