"""Lays an output out as a directory, with the proof beside it: all of it or nothing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bacalhau.proof import write_proof
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_export import export
from storage.unixfs_read import UnixfsReader

PROOF_NAME: Final = "record.car"


def lay_out(store: BlockStore, output: CID, record: CID | None, target: Path) -> None:
    """Write `stdout`, `stderr`, `exit_code`, `result`, `outputs/…` and, if there is a record, `record.car` to `target`.

    Raises:
        UserError: the target is there, or its parent is not.
        UnavailableError: a block is not here, or the disk refuses.
        VerificationError: a block is not what its CID says, or the output would write outside the target.
    """
    check_target(target)
    try:
        with TemporaryDirectory(prefix=".bacalhau-get-", dir=target.parent) as folder:
            content = Path(folder) / "job"
            export(UnixfsReader(store), output, content)
            if record is not None:
                _add_proof(store, record, content)
            check_target(target)
            content.rename(target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnavailableError(f"cannot be written: {reason}", where=str(target), fix="check free space") from error


def check_target(target: Path) -> None:
    """Refuse a directory that is there, or whose parent is not.

    Raises:
        UserError: as said.
    """
    if target.exists() or target.is_symlink():
        raise UserError("is there already", where=str(target), fix="remove it, or choose another with --output-dir")
    if not target.parent.is_dir():
        raise UserError("its parent is no directory", where=str(target), fix=f"make it: mkdir -p {target.parent}")


def default_target(job_id: str) -> Path:
    """Return `job-<8 characters>` in the current directory."""
    return Path(f"job-{job_id[:8]}").absolute()


def _add_proof(store: BlockStore, record: CID, content: Path) -> None:
    try:
        with (content / PROOF_NAME).open("xb") as stream:
            write_proof(store, record, stream)
    except (FileExistsError, NotADirectoryError) as error:
        raise VerificationError(f"the output has no place for {PROOF_NAME}", where=str(content.name)) from error
