"""Reads a resolver's answer (PEP 751) and picks the wheel of each package that runs in the guest.

Nothing here trusts the resolver's idea of the guest: markers are evaluated and wheel tags compared again.
Source: PEP 751; PEP 425 tags and PEP 783 (`pyemscripten`) platforms by `packaging.tags`.
"""

from __future__ import annotations

import itertools
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.markers import InvalidMarker, Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from runtime.distribution import Distribution
from runtime.requirements import guest_markers
from storage.errors import VerificationError


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedWheel:
    """A wheel that an index offers."""

    file_name: str
    url: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SolvedPackage:
    """A package of the solution with every wheel that could be had."""

    name: str
    version: str
    wheels: tuple[OfferedWheel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedWheel:
    """The one wheel that a lock names for a package, and where an index keeps it."""

    name: str
    version: str
    file_name: str
    sha256: str
    urls: tuple[str, ...]
    """Addresses at the index whose hash is the wanted one; empty if none is known."""
    distributed: bool
    """It is a file of the runtime's distribution."""


def parse_pylock(text: str, *, python: str) -> tuple[SolvedPackage, ...]:
    """Return the packages of a lock that apply to the guest, sorted by name.

    Raises:
        VerificationError: not a lock, or one that holds two versions of a package.
    """
    try:
        packages = tuple(_solved(node) for node in tomllib.loads(text).get("packages", ()) if _applies(node, python))
    except (ValueError, LookupError, TypeError, InvalidMarker) as error:
        raise VerificationError(f"uv's answer is not a lock ({error!r})", fix="report this as a bug") from error
    ordered = tuple(sorted(packages, key=lambda package: package.name))
    for left, right in itertools.pairwise(ordered):
        if left.name == right.name:
            raise VerificationError("uv gave two versions of one package", where=left.name, fix="report this as a bug")
    return ordered


def choose_wheel(package: SolvedPackage, distribution: Distribution) -> WantedWheel | None:
    """Return the wheel of a package that runs in the guest, or None if no index offers one.

    The distribution's file wins whenever it has this version: it was built for the runtime, and its hash is the same
    wherever the lock is made. Otherwise the most specific tag wins, as installers choose.
    """
    built = distribution.wheel_of(package.name, package.version)
    if built is not None:
        name, version, sha256 = built.file_name, built.version, built.sha256
    else:
        best = min(_ranked(package, distribution), default=None)
        if best is None:
            return None
        name, version, sha256 = best[1], package.version, best[2]
    urls = tuple(wheel.url for wheel in package.wheels if wheel.sha256 == sha256)
    return WantedWheel(
        name=package.name,
        version=version,
        file_name=name,
        sha256=sha256,
        urls=urls,
        distributed=built is not None,
    )


@lru_cache(maxsize=4)
def guest_tags(python: str, platform: str) -> dict[Tag, int]:
    """Return the wheel tags that the guest accepts, each with its rank; 0 is the best."""
    major, minor = map(int, python.split("."))
    tags = [
        *cpython_tags((major, minor), platforms=[platform]),
        *compatible_tags((major, minor), interpreter=f"cp{major}{minor}", platforms=[platform]),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}


def _ranked(package: SolvedPackage, distribution: Distribution) -> list[tuple[tuple[int, int], str, str]]:
    """Return (order, file name, sha256) of the wheels that run in the guest; the smallest is the best."""
    accepted = guest_tags(distribution.python, distribution.platform)
    found = []
    for wheel in package.wheels:
        try:
            _, version, build, tags = parse_wheel_filename(wheel.file_name)
        except (InvalidWheelFilename, InvalidVersion):
            continue
        ranks = [accepted[tag] for tag in tags if tag in accepted]
        if ranks and version == Version(package.version):
            found.append(((min(ranks), -build[0] if build else 0), wheel.file_name, wheel.sha256))
    return found


def _applies(node: dict[str, Any], python: str) -> bool:
    marker = node.get("marker")
    return marker is None or Marker(marker).evaluate(dict(guest_markers(python)))


def _solved(node: dict[str, Any]) -> SolvedPackage:
    wheels = tuple(
        OfferedWheel(file_name=_file_name(wheel), url=wheel["url"], sha256=wheel["hashes"]["sha256"].lower())
        for wheel in node.get("wheels", ())
        if wheel.get("url", "").startswith(("https://", "http://")) and "sha256" in wheel.get("hashes", {})
    )
    return SolvedPackage(name=canonicalize_name(node["name"]), version=str(Version(node["version"])), wheels=wheels)


def _file_name(wheel: dict[str, Any]) -> str:
    return str(wheel.get("name") or unquote(urlsplit(wheel["url"]).path.rsplit("/", 1)[-1]))
