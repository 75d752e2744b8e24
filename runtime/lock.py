"""requirements.txt -> Lock, with every wheel's bytes in the block store.

The same requirements give the same lock, hence the same function CID, on every machine: which wheels is decided by
`runtime.resolve`, and where their bytes come from plays no part. docs/decisions/0007-locks.md has the reasons.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runtime.bundle import BundleSource
from runtime.distribution import Distribution
from runtime.downloads import Downloads, Report, quiet
from runtime.engine import Progress, silent
from runtime.pylock import WantedWheel
from runtime.requirements import RequirementLine, normalised_text, parse_requirements
from runtime.resolve import SNAPSHOT, Origin, Resolution, resolve
from runtime.resolver_client import OutageMemory, Resolver, UvResolver
from runtime.stub_index import write_stub_index
from runtime.wheel_sources import CDN_URL, CdnSource, IndexSource, WheelSource, obtain
from runtime.wheel_store import WheelLedger, index_wheel, write_whole
from storage.blocks import BlockStore
from storage.cid import CID
from storage.unixfs_import import Importer
from verifier.model import Lock, Wheel

_RULES: Final = "resolution/1"
"""Part of every cache key: raise it when the same requirements would resolve differently."""


def standard_sources(
    *, distribution: Distribution, pyodide: str, downloads: Downloads, resolver: Resolver, cache_dir: Path
) -> tuple[WheelSource, ...]:
    """Return the usual sources of wheels, in the order in which they are asked.

    pyodide: version of the npm package, such as `314.0.3`.
    """
    resolver = OutageMemory(resolver)
    return (
        CdnSource(downloads, CDN_URL.format(version=pyodide)),
        IndexSource(downloads, resolver, distribution.python),
        BundleSource(downloads, resolver, python=distribution.python, cache_dir=cache_dir / "bundles"),
    )


def lock_requirements(
    text: str,
    *,
    distribution: Distribution,
    store: BlockStore,
    sources: Sequence[WheelSource],
    cache_dir: Path,
    resolver: Resolver | None = None,
    progress: Progress = silent,
    report: Report = quiet,
    where: str = "requirements.txt",
) -> Lock:
    """Return the exact packages that requirements mean in the guest; afterwards `store` holds all their wheels.

    text: contents of a requirements.txt; empty gives an empty lock, and starts nothing.
    cache_dir: for stubs, resolutions, the ledger of wheels; may be deleted at any time.
    progress: told when a step begins. report: told how many bytes of a download have come.

    Raises:
        UserError: a line that is wrong, or requirements that cannot be satisfied.
        UnavailableError: the index or every source of a wheel is out of reach.
        VerificationError: a source gave other bytes than the lock names, or a wheel that is not safe to unpack.
    """
    requirements = parse_requirements(text, python=distribution.python, where=where)
    wheels: tuple[Wheel, ...] = ()
    if requirements:
        progress("resolving packages")
        resolution = _resolution(requirements, distribution, cache_dir, resolver or UvResolver())
        intake = _Intake(store, sources, cache_dir, progress, report)
        wheels = tuple(intake.wheel(wanted) for wanted in resolution.wheels)
    return Lock(python=distribution.python, platform=distribution.platform, wheels=wheels)


class _Intake:
    """Gets wheels into the store."""

    def __init__(
        self, store: BlockStore, sources: Sequence[WheelSource], cache_dir: Path, progress: Progress, report: Report
    ) -> None:
        self._store = store
        self._sources = sources
        self._scratch = cache_dir / "scratch"
        self._ledger = WheelLedger(cache_dir / "wheel-cids")
        self._progress = progress
        self._report = report

    def wheel(self, wanted: WantedWheel) -> Wheel:
        """Return one wheel of the lock, fetched if the store does not have it."""
        return Wheel(
            name=wanted.name,
            version=wanted.version,
            file_name=wanted.file_name,
            sha256=wanted.sha256,
            wheel=self._ledger.recall(wanted.sha256, self._store) or self._fetch(wanted),
        )

    def _fetch(self, wanted: WantedWheel) -> CID:
        self._progress(f"fetching {wanted.name} {wanted.version}")
        with obtain(wanted, self._sources, scratch=self._scratch, report=self._report) as file:
            # Once, on the way in: later readers rely on what an index by headers alone cannot tell.
            index_wheel(file, where=wanted.file_name, inflate=True)
            file.seek(0)
            cid = Importer(self._store).file(file).cid
        self._ledger.remember(wanted.sha256, cid)
        return cid


def _resolution(
    requirements: tuple[RequirementLine, ...], distribution: Distribution, cache_dir: Path, resolver: Resolver
) -> Resolution:
    """Resolve, or recall an answer that can only be the same again."""
    key = "\n".join((_RULES, distribution.digest, SNAPSHOT, normalised_text(requirements)))
    path = cache_dir / "resolutions" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
    known = _read_resolution(path)
    if known is not None:
        return known
    stubs = write_stub_index(distribution, cache_dir)
    resolution = resolve(requirements, distribution=distribution, stubs=stubs, resolver=resolver)
    if _is_lasting(resolution, requirements):
        write_whole(path, _resolution_bytes(resolution))
    return resolution


def _is_lasting(resolution: Resolution, requirements: tuple[RequirementLine, ...]) -> bool:
    """Tell whether the same question will have the same answer tomorrow."""
    if resolution.origin is not Origin.LATEST:
        return True
    pinned = {line.name for line in requirements if line.pinned}
    return all(wheel.name in pinned for wheel in resolution.wheels)


def _resolution_bytes(resolution: Resolution) -> bytes:
    wheels = [
        {
            "name": wheel.name,
            "version": wheel.version,
            "file_name": wheel.file_name,
            "sha256": wheel.sha256,
            "urls": list(wheel.urls),
            "distributed": wheel.distributed,
        }
        for wheel in resolution.wheels
    ]
    return json.dumps({"origin": resolution.origin, "wheels": wheels}, indent=1).encode()


def _read_resolution(path: Path) -> Resolution | None:
    """Return a cached resolution; one that cannot be read is as good as none."""
    try:
        node = json.loads(path.read_bytes())
        wheels = tuple(WantedWheel(**{**wheel, "urls": tuple(wheel["urls"])}) for wheel in node["wheels"])
        return Resolution(wheels=wheels, origin=Origin(node["origin"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None
