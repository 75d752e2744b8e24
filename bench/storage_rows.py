"""Import and export of files against what must be done at least: hash the bytes, and copy them on the same disk.

All files have just been written and are read from the page cache, by every side. Our import ends with its blocks synced
to the disk (closing the store writes its log back), so the copy of one file that it is compared with is synced too; our
export syncs nothing, and neither does its copy. Of many small files the copy is not synced at all: one by one would be
ten thousand syncs against a few of ours.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.comparison import Contestant, Row, Side, Unit, take_turns
from bench.workplace import Workplace
from storage.cid import CID
from storage.sqlite_block_store import SqliteBlockStore
from storage.unixfs_export import export
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader

SHA256 = "sha256 alone"
COPY = "copy"
SYNCED_COPY = "copy, synced"

_SMALL_FILE_BYTES = 4096


def import_file(workplace: Workplace) -> Row:
    """One large file into a fresh store."""
    with _content(workplace, one=True) as (content, size):
        sides = _compare(workplace, size, lambda folder: _import(content, folder), content, synced=True)
    return _row(workplace, "import of one file", sides, size, 1)


def import_files(workplace: Workplace) -> Row:
    """Many small files into a fresh store."""
    with _content(workplace, one=False) as (content, size):
        sides = _compare(workplace, size, lambda folder: _import(content, folder), content, synced=False)
    return _row(workplace, "import of small files", sides, size, workplace.scale.small_files)


def export_file(workplace: Workplace) -> Row:
    """One large file out of a store."""
    return _export_row(workplace, "export of one file", one=True)


def export_files(workplace: Workplace) -> Row:
    """Many small files out of a store."""
    return _export_row(workplace, "export of small files", one=False)


def _export_row(workplace: Workplace, name: str, *, one: bool) -> Row:
    with _content(workplace, one=one) as (content, size), _scratch(workplace) as folder:
        cid = _import(content, folder)
        with SqliteBlockStore(folder / "blocks.sqlite") as store:

            def ours(target: Path) -> None:
                export(UnixfsReader(store), cid, target / "exported")

            sides = _compare(workplace, size, ours, content, synced=False)
    return _row(workplace, name, sides, size, 1 if one else workplace.scale.small_files)


def _row(workplace: Workplace, name: str, sides: tuple[Side, ...], size: int, files: int) -> Row:
    note = f"{size / (1 << 20):,.0f} MiB in {files:,} file{'s' if files > 1 else ''}"
    return Row(name=name, unit=Unit.MIB_PER_SECOND, sides=sides, is_reduced=workplace.scale.is_reduced, note=note)


def _compare(
    workplace: Workplace, size: int, ours: Callable[[Path], object], content: Path, *, synced: bool
) -> tuple[Side, ...]:
    def speed(work: Callable[[Path], object]) -> Callable[[], float]:
        def measure() -> float:
            with _scratch(workplace) as folder:
                os.sync()  # no one pays for what another wrote
                begin = time.perf_counter()
                work(folder)
                return size / (1 << 20) / (time.perf_counter() - begin)

        return measure

    return take_turns(
        workplace.scale.rounds,
        [
            Contestant(name="ours", measure=speed(ours)),
            Contestant(name=SHA256, measure=speed(lambda _folder: _hash(content))),
            Contestant(
                name=SYNCED_COPY if synced else COPY,
                measure=speed(lambda folder: _copy(content, folder / "copy", synced=synced)),
            ),
        ],
    )


def _import(content: Path, folder: Path) -> CID:
    with SqliteBlockStore(folder / "blocks.sqlite") as store:
        return Importer(store).path(content).cid


def _hash(content: Path) -> None:
    for path in sorted(content.rglob("*")) if content.is_dir() else [content]:
        if path.is_file():
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")


def _copy(content: Path, target: Path, *, synced: bool) -> None:
    if content.is_dir():
        shutil.copytree(content, target)
        return
    shutil.copyfile(content, target)
    if synced:
        with target.open("rb") as file:
            os.fsync(file.fileno())


@contextmanager
def _content(workplace: Workplace, *, one: bool) -> Iterator[tuple[Path, int]]:
    """Yield random content that is deleted afterwards, with its size."""
    with _scratch(workplace) as folder:
        content, scale = folder / "content", workplace.scale
        if one:
            _write_random(content, scale.file_bytes)
            yield content, scale.file_bytes
        else:
            for number in range(scale.small_files):
                file = content / f"{number % 100:02}" / f"{number}.dat"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(os.urandom(_SMALL_FILE_BYTES))
            yield content, scale.small_files * _SMALL_FILE_BYTES


def _write_random(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for start in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size - start)))


@contextmanager
def _scratch(workplace: Workplace) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=workplace.home, prefix="storage-") as name:
        yield Path(name)
