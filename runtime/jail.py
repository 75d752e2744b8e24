"""The jail around a worker, as values: its layers, its levels, its limits, and the choice of a level.

Decides, and touches nothing: `jail_probe_client` finds out what this machine offers, `jail_transport` builds the jail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from storage.errors import UnavailableError


class Level(Enum):
    """A way to build a jail; in the order in which they are tried."""

    NAMESPACES = "namespaces"
    """By hand, with everything on top: one launch, nothing to install, nothing can be executed a second time."""
    BUBBLEWRAP = "bubblewrap"
    """Where the system lets that program make namespaces and nobody else."""
    LANDLOCK = "landlock+seccomp"
    """In containers and on machines that refuse namespaces."""
    SECCOMP = "seccomp"
    NONE = "none"


_NAMESPACES: Final = ("userns", "mountns", "pidns", "netns", "ipcns", "utsns")
_BINDING: Final = ("no-new-privs", "no-capabilities", "seccomp", "rlimits")

NEEDS: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.NAMESPACES: (*_NAMESPACES, *_BINDING),
    Level.BUBBLEWRAP: ("bubblewrap", "no-new-privs", "seccomp", "rlimits"),
    Level.LANDLOCK: (*_BINDING, "landlock"),
    Level.SECCOMP: _BINDING,
    Level.NONE: (),
}
"""Layers without which a level is not built."""

_GIVES: Final[Mapping[Level, tuple[str, ...]]] = {
    **NEEDS,
    Level.BUBBLEWRAP: (*_NAMESPACES, *_BINDING),
}
_MAY_ADD: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.NAMESPACES: ("cgroupns", "landlock", "cgroup"),
    Level.BUBBLEWRAP: ("cgroupns", "cgroup"),
    Level.LANDLOCK: ("cgroup",),
    Level.SECCOMP: ("cgroup",),
    Level.NONE: (),
}
"""Layers that are added where they are available."""

STRICT: Final = (*_NAMESPACES, *_BINDING)
"""Layers that `require_strict` demands. A cgroup is not among them: RLIMIT_DATA bounds memory where there is none."""

_ADVICE: Final[Mapping[str, str]] = {
    "seccomp": "use Linux on x86-64 or aarch64 with CONFIG_SECCOMP_FILTER",
    "rlimits": "use Linux",
}
_NAMESPACE_ADVICE: Final = (
    "allow unprivileged user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone,"
    " kernel.apparmor_restrict_unprivileged_userns; in a container: its seccomp profile), or install bubblewrap"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of protection on this machine."""

    name: str
    """Short, as it stands in receipts: userns, netns, seccomp …"""
    available: bool
    """It was tried, and held."""
    in_force: bool = False
    """Workers of this process get it."""
    detail: str = ""
    """Why it is not available; empty if it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JailReport:
    """What protects workers of this process."""

    level: Level
    layers: tuple[Layer, ...]
    refused: tuple[str, ...] = ()
    """Better levels whose layers are available but which did not start the engine, with the reason."""

    @property
    def in_force(self) -> tuple[str, ...]:
        """Names of the layers in force, for receipts."""
        return tuple(layer.name for layer in self.layers if layer.in_force)


@dataclass(frozen=True, slots=True, kw_only=True)
class JailLimits:
    """Bounds that the operating system keeps for one worker. All coarse: what is counted exactly is counted inside."""

    memory_bytes: int
    """Memory that can be written to, without the main stack."""
    reserved_bytes: int = 0
    """More of it, never used: only where what is reserved counts like what is used."""
    stack_bytes: int = 1 << 30
    """Main thread's stack."""
    cpu_s: int
    """Processor seconds of all threads together."""
    file_bytes: int = 1 << 20
    """Size to which a worker may grow the one file it can write: its standard error."""
    open_files: int = 256
    threads: int = 64
    """Kept where there is a user namespace, which counts its own."""


def levels(layers: tuple[Layer, ...]) -> tuple[Level, ...]:
    """Return the levels that these layers allow, best first; the last is NONE."""
    available = {layer.name for layer in layers if layer.available}
    return tuple(level for level in Level if available.issuperset(NEEDS[level]))


def is_strict(level: Level) -> bool:
    """Tell whether a jail of this level has every layer of the strict set."""
    return set(_GIVES[level]).issuperset(STRICT)


def layers_of(level: Level, layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """Return the names of the layers that a jail of this level has, in the order of `layers`."""
    optional = set(_MAY_ADD[level])
    return tuple(
        layer.name for layer in layers if layer.name in _GIVES[level] or (layer.available and layer.name in optional)
    )


def at_level(layers: tuple[Layer, ...], level: Level, refused: tuple[str, ...] = ()) -> JailReport:
    """Return the report of a jail of this level.

    Raises:
        UnavailableError: layers that the level needs are not available.
    """
    missing = [name for name in NEEDS[level] if name not in {layer.name for layer in layers if layer.available}]
    if missing:
        raise UnavailableError(f"the jail {level.value} needs {', '.join(missing)}", where="sandbox")
    names = layers_of(level, layers)
    marked = tuple(replace(layer, in_force=layer.name in names) for layer in layers)
    return JailReport(level=level, layers=marked, refused=refused)


def require_strict(report: JailReport) -> None:
    """Refuse a machine on which a layer of the strict set is missing.

    Raises:
        UnavailableError: names the missing layers, why they are missing and how to get them.
    """
    in_force = set(report.in_force)
    missing = [layer for layer in report.layers if layer.name in STRICT and layer.name not in in_force]
    absent = [name for name in STRICT if name not in {layer.name for layer in report.layers}]
    if not missing and not absent:
        return
    reasons = [f"{layer.name} ({layer.detail or 'not part of this level'})" for layer in missing] + absent
    advice = dict.fromkeys(_ADVICE.get(layer.name, _NAMESPACE_ADVICE) for layer in missing)
    raise UnavailableError(
        f"the strict jail lacks {', '.join(reasons)}; the level here is {report.level.value}",
        where="sandbox",
        fix="; ".join(advice) or "use Linux",
    )
