"""Lays a Workflow Run RO-Crate out as a directory: function, output, evidence and metadata; all of it or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bacalhau.layout import check_target
from bacalhau.proof import write_proofs
from bacalhau.provenance import Provenance
from bacalhau.provenance_json import as_text, to_json
from bacalhau.workflow_run_crate import (
    GRAPH_NAME,
    METADATA_NAME,
    MODULE_NAME,
    OUTPUT_FOLDER,
    PROOF_NAME,
    SOURCE_FOLDER,
    CrateFile,
    make_metadata,
)
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError, UserError
from storage.unixfs_export import export
from storage.unixfs_read import UnixfsReader

MAX_FILES: Final = 20_000
"""Files that a crate describes one by one."""


def lay_out_crate(store: BlockStore, provenance: Provenance, target: Path, *, published: str, licence: str) -> None:
    """Write the crate of a record to `target`.

    Raises:
        UserError: the target is there, its parent is not, or there are too many files.
        UnavailableError: a block is not here, or the disk refuses.
        VerificationError: a block is not what its CID says.
    """
    check_target(target)
    one, reader = provenance.last, UnixfsReader(store)
    try:
        with TemporaryDirectory(prefix=".bacalhau-crate-", dir=target.parent) as folder:
            content = Path(folder) / "crate"
            content.mkdir()
            export(reader, one.output, content / OUTPUT_FOLDER)
            if one.source is not None:
                export(reader, one.source, content / SOURCE_FOLDER)
            elif one.module is not None:
                (content / SOURCE_FOLDER).mkdir()
                export(reader, one.module, content / SOURCE_FOLDER / MODULE_NAME)
            (content / GRAPH_NAME).write_text(as_text(to_json(provenance)), encoding="ascii")
            proven = _write_evidence(store, provenance, content / PROOF_NAME)
            files = sorted(_files(content), key=lambda file: file.path.encode())
            metadata = make_metadata(provenance, files, proven=proven, published=published, licence=licence)
            (content / METADATA_NAME).write_text(as_text(metadata), encoding="ascii")
            check_target(target)
            content.rename(target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnavailableError(f"cannot be written: {reason}", where=str(target), fix="check free space") from error


def _write_evidence(store: BlockStore, provenance: Provenance, path: Path) -> int:
    """Write a CAR whose roots are the record and the verified ones that it comes from; return how many they are.

    Of those before it something may have been collected: then it is the record's alone. One that is of the tier
    `unverified` has no evidence, and no file.

    Raises:
        UnavailableError, VerificationError: as `bacalhau.proof.write_proofs`, of the record itself.
    """
    roots = [one.record for one in reversed(provenance.performed) if one.tier == "verified"]
    if provenance.root not in roots:
        return 0
    try:
        _write_proofs(store, roots, path)
    except UnavailableError:
        roots = [provenance.root]
        _write_proofs(store, roots, path)
    return len(roots)


def _write_proofs(store: BlockStore, roots: Sequence[CID], path: Path) -> None:
    with path.open("wb") as stream:
        write_proofs(store, roots, stream)


def _files(content: Path) -> Iterator[CrateFile]:
    """Yield every file; symlinks within a tree are laid out, and not described."""
    for number, path in enumerate(path for path in content.rglob("*") if path.is_file() and not path.is_symlink()):
        if number >= MAX_FILES:
            raise UserError(f"has more than {MAX_FILES} files", where="--format ro-crate", fix="export it as a CAR")
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        yield CrateFile(path=path.relative_to(content).as_posix(), size=path.stat().st_size, sha256=digest)
