"""Where wheels come from. It does not matter: a wheel is used only if its sha256 is the one that the lock names.

Sources are asked in order, each for a file by its hash. `standard_sources` makes the usual list: Pyodide's CDN, the
package index, the bundle.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from runtime.downloads import Downloads, Report, SourceMissError, quiet
from runtime.pylock import WantedWheel, parse_pylock
from runtime.resolver_client import Breadth, Question, Resolver
from storage.errors import UnavailableError, VerificationError

CDN_URL: Final = "https://cdn.jsdelivr.net/pyodide/v{version}/full/"
"""Where the Pyodide project publishes the files of a release."""
_PIECE_BYTES: Final = 1 << 20


class WheelSource(Protocol):
    """Gives wheels by what a lock says about them."""

    @property
    def name(self) -> str:
        """How messages call it."""
        ...

    def fetch(self, wanted: WantedWheel, out: BinaryIO, report: Report = quiet) -> None:
        """Write the wheel to `out`. It need not check the hash: whoever asked does.

        Raises:
            SourceMissError: it does not have it, or is out of reach.
        """
        ...


class CdnSource:
    """Files of the distribution, from the project's content delivery network."""

    name = "Pyodide's CDN"

    def __init__(self, downloads: Downloads, url: str) -> None:
        self._downloads = downloads
        self._url = url

    def fetch(self, wanted: WantedWheel, out: BinaryIO, report: Report = quiet) -> None:
        """Write a wheel of the distribution to `out`."""
        if not wanted.distributed:
            raise SourceMissError("has the runtime's distribution only")
        self._downloads.fetch(self._url + wanted.file_name, out, what=wanted.file_name, report=report)


class IndexSource:
    """Files of the package index that the resolver knows."""

    name = "the package index"

    def __init__(self, downloads: Downloads, resolver: Resolver, python: str) -> None:
        self._downloads = downloads
        self._resolver = resolver
        self._python = python

    def fetch(self, wanted: WantedWheel, out: BinaryIO, report: Report = quiet) -> None:
        """Write a wheel to `out` from the first address whose announced hash is the wanted one."""
        urls = wanted.urls or self._find(wanted)
        if not urls:
            raise SourceMissError("has no file with this hash")
        self._downloads.fetch(urls[0], out, what=wanted.file_name, report=report)

    def _find(self, wanted: WantedWheel) -> tuple[str, ...]:
        """Ask for the address of a file of the distribution; many of them are the publisher's own wheels."""
        question = Question(
            requirements=f"{wanted.name}=={wanted.version}\n",
            python=self._python,
            breadth=Breadth.WIDE,
            dependencies=False,
        )
        try:
            answer = self._resolver.ask(question)
        except UnavailableError as error:
            raise SourceMissError(error.problem) from error
        packages = parse_pylock(answer.pylock, python=self._python) if answer.solved else ()
        return tuple(wheel.url for package in packages for wheel in package.wheels if wheel.sha256 == wanted.sha256)


@contextmanager
def obtain(
    wanted: WantedWheel, sources: Sequence[WheelSource], *, scratch: Path, report: Report = quiet
) -> Iterator[BinaryIO]:
    """Give the verified wheel as an open file at position 0; it is gone afterwards, also when something fails.

    scratch: directory for the file while it is incomplete.

    Raises:
        VerificationError: a source gave other bytes than the lock names.
        UnavailableError: no source has it; lists what each said.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    tried: list[str] = []
    with tempfile.TemporaryFile(dir=scratch) as file:
        for source in sources:
            file.seek(0)
            file.truncate()
            try:
                source.fetch(wanted, file, report)
            except SourceMissError as miss:
                tried.append(f"{source.name}: {miss}")
                continue
            _check_hash(file, wanted, source)
            file.seek(0)
            yield file
            return
    raise UnavailableError(
        f"the wheel of {wanted.name} {wanted.version} is nowhere to be had ({'; '.join(tried) or 'no sources'})",
        where=wanted.file_name,
        fix="connect this machine to one of these sources and run it again",
    )


def sha256_of(file: BinaryIO) -> str:
    """Return the sha256 of a file from its beginning, hex."""
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _check_hash(file: BinaryIO, wanted: WantedWheel, source: WheelSource) -> None:
    actual = sha256_of(file)
    if actual != wanted.sha256:
        raise VerificationError(
            f"{source.name} gave other bytes for {wanted.name} {wanted.version}: sha256 {actual}, not {wanted.sha256}",
            where=wanted.file_name,
            fix="somebody changed the file on its way, or its source is damaged; run it again from another network",
        )
