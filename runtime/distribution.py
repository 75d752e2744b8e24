"""The Pyodide distribution: the packages that were built together with the runtime, and the platform they run on.

A typed view of `pyodide-lock.json` as the npm package `pyodide` carries it. What it says is part of the runtime, so it
is the same on every machine. Source: pyodide/pyodide-lock, `pyodide_lock.spec`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from storage.errors import UnavailableError, VerificationError


class Kind(StrEnum):
    """What a file of the distribution is."""

    WHEEL = "wheel"
    SHARED_LIBRARY = "shared-library"
    """A zip of C libraries for other packages to link with; nothing that Python imports."""
    TESTS = "tests"
    """A tar of another package's tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionPackage:
    """One file of the distribution."""

    name: str
    """Normalised as PEP 503 says."""
    version: str
    """Normalised as PEP 440 says."""
    file_name: str
    sha256: str
    """Of the whole file, lower-case hex."""
    depends: tuple[str, ...]
    """Normalised names, sorted."""
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Everything that was built together with one runtime."""

    python: str
    """Feature version of the guest's Python, such as `3.14`."""
    platform: str
    """Wheel platform tag, such as `pyemscripten_2026_0_wasm32`."""
    digest: str
    """sha256 of the lock file, hex: names this distribution in caches."""
    packages: Mapping[str, DistributionPackage]
    """By normalised name."""

    def wheels(self) -> tuple[DistributionPackage, ...]:
        """Return the packages that can be installed, sorted by name."""
        return tuple(p for _, p in sorted(self.packages.items()) if p.kind is Kind.WHEEL)

    def wheel_of(self, name: str, version: str) -> DistributionPackage | None:
        """Return the package if the distribution has exactly this version of it."""
        package = self.packages.get(name)
        same = package is not None and package.kind is Kind.WHEEL and Version(package.version) == Version(version)
        return package if same else None


def read_distribution(path: Path) -> Distribution:
    """Read a `pyodide-lock.json`.

    Raises:
        UnavailableError: there is no such file.
        VerificationError: it is not a distribution lock.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnavailableError(
            "the distribution lock cannot be read", where=str(path), fix="run `make demo`"
        ) from error
    return parse_distribution(data, where=str(path))


def parse_distribution(data: bytes, *, where: str = "pyodide-lock.json") -> Distribution:
    """Read the bytes of a `pyodide-lock.json`.

    Raises:
        VerificationError: it is not a distribution lock.
    """
    try:
        node = json.loads(data)
        info = node["info"]
        packages = {p.name: p for p in map(_package, node["packages"].values())}
        return Distribution(
            python=".".join(info["python"].split(".")[:2]),
            platform=f"pyemscripten_{info['abi_version']}_{info['arch']}",
            digest=hashlib.sha256(data).hexdigest(),
            packages=MappingProxyType(packages),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise VerificationError(f"is not a distribution lock ({error!r})", where=where) from error


def _package(entry: dict[str, Any]) -> DistributionPackage:
    return DistributionPackage(
        name=canonicalize_name(entry["name"]),
        version=str(Version(entry["version"])),
        file_name=str(entry["file_name"]),
        sha256=str(entry["sha256"]).lower(),
        depends=tuple(sorted(canonicalize_name(name) for name in entry["depends"])),
        kind=_kind(entry),
    )


def _kind(entry: dict[str, Any]) -> Kind:
    if entry["package_type"] == "shared_library":
        return Kind.SHARED_LIBRARY
    return Kind.WHEEL if entry["file_name"].endswith(".whl") else Kind.TESTS
