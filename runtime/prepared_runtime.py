"""Prepared runtimes: the files that turn a task into an output, as one CID, and as a directory that Node can read.

A runtime is made from the pinned Pyodide package and the modules of js_host. Any runtime whose blocks are in the store
can be laid out again and run, so old records stay checkable.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import js_host
from runtime.release import PROFILE, PYODIDE_FILES, PYODIDE_VERSION
from storage.blocks import BlockStore, ForgetfulBlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from verifier.model import Runtime, RuntimeFile, load_node, node_cid, store_node


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeDirectory:
    """A runtime laid out on disk."""

    path: Path
    manifest: Runtime

    @property
    def guest_modules(self) -> tuple[str, ...]:
        """File names of the Python modules that are placed inside Pyodide; below `guest/`."""
        paths = (file.path for file in self.manifest.files)
        return tuple(path.removeprefix("guest/") for path in paths if path.startswith("guest/"))

    def check(self) -> None:
        """Check every file against the manifest.

        Raises:
            VerificationError: one is not what the manifest says.
        """
        for file in self.manifest.files:
            _check_file(self.path, file)


def make_runtime(pyodide_package: Path, store: BlockStore) -> CID:
    """Import the runtime of this release into `store` and return its CID; the same on every machine."""
    importer = Importer(store)
    files = []
    for path, source in sorted(_sources(pyodide_package), key=lambda item: item[0].encode()):
        with source.open("rb") as stream:
            entry = importer.file(stream)
        files.append(RuntimeFile(path=path, size=entry.size, cid=entry.cid))
    return store_node(store, Runtime(profile=PROFILE, pyodide=PYODIDE_VERSION, files=tuple(files)))


def runtime_of_this_release(manifest: Runtime) -> CID:
    """Return the runtime that this installation makes, told by that of another one, without Pyodide's package.

    It is the other's CID if both are the same release: the files of Pyodide are pinned with the release, so only the
    modules of the host are looked at.
    """
    importer = Importer(ForgetfulBlockStore())
    files = [file for file in manifest.files if file.path in PYODIDE_FILES]
    for path, source in _own_modules():
        entry = importer.bytes(source.read_bytes())
        files.append(RuntimeFile(path=path, size=entry.size, cid=entry.cid))
    files.sort(key=lambda file: file.path.encode())
    return node_cid(Runtime(profile=PROFILE, pyodide=PYODIDE_VERSION, files=tuple(files)))


def _sources(pyodide_package: Path) -> Iterator[tuple[str, Path]]:
    for name in PYODIDE_FILES:
        yield name, pyodide_package / name
    yield from _own_modules()


def _own_modules() -> Iterator[tuple[str, Path]]:
    for name in js_host.HOST_MODULES:
        yield name, js_host.HOST_DIR / name
    for name in js_host.GUEST_MODULES:
        yield f"guest/{name}", js_host.HOST_DIR / "guest" / name


def open_runtime(cid: CID, store: BlockStore, runtimes_dir: Path) -> RuntimeDirectory:
    """Lay out a runtime below `runtimes_dir`, or take the one that is there, and check and return it.

    Raises:
        UnavailableError: blocks of the runtime are not in the store, or there is no room for its files.
        VerificationError: a block, or a file on disk, is not what the manifest says.
    """
    runtime = find_runtime(cid, store, runtimes_dir)
    runtime.check()
    return runtime


def find_runtime(cid: CID, store: BlockStore, runtimes_dir: Path) -> RuntimeDirectory:
    """Lay out a runtime below `runtimes_dir`, or take the one that is there; `RuntimeDirectory.check` is to follow.

    Raises:
        UnavailableError: blocks of the runtime are not in the store, or there is no room for its files.
        VerificationError: a block is not what its CID says.
    """
    manifest = load_node(store, cid, Runtime)
    # Node lets a worker read what it was told, by the path that is left when links are followed.
    target = runtimes_dir.resolve() / cid_text(cid)
    if not target.is_dir():
        try:
            _lay_out(manifest, store, target)
        except OSError as error:
            raise unwritable(runtimes_dir, error) from error
    return RuntimeDirectory(path=target, manifest=manifest)


def _lay_out(manifest: Runtime, store: BlockStore, target: Path) -> None:
    """Write the files beside the target and rename, so that a directory that exists is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    reader = UnixfsReader(store)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".runtime-") as name:
        work = Path(name) / "files"
        for file in manifest.files:
            path = work / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with reader.open(file.cid) as source, path.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
        try:
            work.rename(target)
        except OSError:  # another process was first
            if not target.is_dir():
                raise


def _check_file(root: Path, expected: RuntimeFile) -> None:
    try:
        with (root / expected.path).open("rb") as stream:
            found = Importer(ForgetfulBlockStore()).file(stream)
    except OSError as error:
        raise _damaged(root, expected.path) from error
    if (found.cid, found.size) != (expected.cid, expected.size):
        raise _damaged(root, expected.path)


def _damaged(root: Path, path: str) -> VerificationError:
    return VerificationError(
        "file of the prepared runtime was changed", where=os.fspath(root / path), fix=f"remove {root} and run again"
    )


def unwritable(folder: Path, error: OSError) -> UnavailableError:
    """Return the error for a folder of ours that cannot be written to."""
    reason = (error.strerror or str(error)).lower()
    fix = "make room there, or name another folder in BACALHAU_DIR"
    return UnavailableError(f"cannot be written: {reason}", where=os.fspath(folder), fix=fix)
