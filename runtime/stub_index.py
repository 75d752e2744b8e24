"""The distribution as a directory that a resolver can read: one wheel with metadata and no code for each package.

`uv` resolves against it without network, so the answer depends on the runtime alone. The wheels are tagged
`py3-none-any`, which every platform accepts; what is installed is looked up by name and version, never taken from here.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from pathlib import Path

from runtime.distribution import Distribution, DistributionPackage

LAYOUT = "1"
"""Part of the directory's name: raise it when what is written changes."""


def write_stub_index(distribution: Distribution, cache_dir: Path) -> Path:
    """Return a find-links directory for the distribution, made once per distribution and machine.

    Safe when several processes call it at once: the directory appears complete or not at all.
    """
    directory = cache_dir / "stubs" / f"{distribution.digest}-{LAYOUT}"
    if directory.is_dir():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=directory.parent))
    try:
        for package in distribution.wheels():
            (scratch / stub_name(package)).write_bytes(stub_wheel(package))
        scratch.chmod(0o755)
        _publish(scratch, directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return directory


def stub_name(package: DistributionPackage) -> str:
    """Return the file name of a package's stub."""
    return f"{_escaped(package)}-{package.version}-py3-none-any.whl"


def stub_wheel(package: DistributionPackage) -> bytes:
    """Return a wheel that holds a package's name, version and dependencies; same bytes on every machine."""
    info = f"{_escaped(package)}-{package.version}.dist-info"
    requires = "".join(f"Requires-Dist: {name}\n" for name in package.depends)
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n{requires}",
        "RECORD": "",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: bacalhau\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(f"{info}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # otherwise it says on which system it was made
            archive.writestr(entry, text)
    return out.getvalue()


def _escaped(package: DistributionPackage) -> str:
    return package.name.replace("-", "_")


def _publish(scratch: Path, directory: Path) -> None:
    try:
        scratch.replace(directory)
    except OSError:
        # A directory that is not empty is never replaced: another process was first, with the same bytes.
        if not directory.is_dir():
            raise
