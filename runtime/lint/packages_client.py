"""What this machine knows of packages: the runtime's distribution, the resolver, and wheels fetched before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from runtime.distribution import Distribution, Kind, read_distribution
from runtime.lint.packages import Knowledge, LockedWheel
from runtime.npm_client import pyodide_package
from runtime.release import DISTRIBUTION_FILE
from runtime.requirements import RequirementLine
from runtime.resolve import resolve
from runtime.resolver_client import Answer, Question, Resolver, UvResolver
from runtime.stub_index import write_stub_index
from storage.errors import UnavailableError

_OFFLINE: Final = "with --offline only the runtime's own distribution is looked at"


class OfflineResolver:
    """Answers what the distribution alone can answer."""

    def __init__(self, inner: Resolver) -> None:
        self._inner = inner

    def ask(self, question: Question) -> Answer:
        """Return the solution, or why there is none.

        Raises:
            UnavailableError: the index would have to be asked.
        """
        if question.network:
            raise UnavailableError(_OFFLINE, fix="leave --offline out")
        return self._inner.ask(question)


def known_packages(cache_dir: Path, wheels_dir: Path, *, offline: bool, resolver: Resolver | None = None) -> Knowledge:
    """Return what is known of packages here. Fetches Pyodide's package on first use, unless `offline`.

    wheels_dir: wheels that were fetched before, for their sizes.

    Raises:
        UnavailableError: the distribution's list is not here, and cannot be or must not be fetched.
    """
    package = _package_here(cache_dir) if offline else pyodide_package(cache_dir)
    path = package / DISTRIBUTION_FILE
    distribution = read_distribution(path)
    asked: Resolver = resolver or UvResolver()
    asked = OfflineResolver(asked) if offline else asked

    def lock(lines: tuple[RequirementLine, ...]) -> tuple[LockedWheel, ...]:
        stubs = write_stub_index(distribution, cache_dir)
        wheels = resolve(lines, distribution=distribution, stubs=stubs, resolver=asked).wheels
        return tuple(LockedWheel(name=one.name, size=_size(wheels_dir / f"{one.sha256}.whl")) for one in wheels)

    return Knowledge(python=distribution.python, provides=_provides(path, distribution), lock=lock)


def _package_here(cache_dir: Path) -> Path:
    """Return Pyodide's package if it is here already; `pyodide_package` would fetch it."""
    import js_host

    places = [js_host.npm_manifest_dir() / "node_modules", *sorted((cache_dir / "npm").glob("*/node_modules"))]
    for modules in places:
        if (modules / "pyodide" / DISTRIBUTION_FILE).is_file():
            return modules / "pyodide"
    fix = "leave --offline out once"
    raise UnavailableError("the runtime's distribution is not here", where="--offline", fix=fix)


def _provides(path: Path, distribution: Distribution) -> dict[str, str]:
    """Return which package of the distribution has which top-level module."""
    provides: dict[str, str] = {}
    for entry in json.loads(path.read_bytes())["packages"].values():
        name = canonicalize_name(entry["name"])
        known = distribution.packages.get(name)
        if known is not None and known.kind is Kind.WHEEL:
            provides.update({str(module).partition(".")[0]: name for module in entry.get("imports", ())})
    return provides


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
