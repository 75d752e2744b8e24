"""Lays the output of a job over shards out as a directory, with the proofs of its shards: all of it or nothing.

shards/<i>/…   stdout, stderr, exit_code, result, outputs/… of shard i, and its record.car if they are not too large
outputs/…      what all shards wrote, in one tree
shards.jsonl   a line for each shard, as the report lists them; those without an output are there too
exit_code      of the job, if it was verified
record.car     the records of all shards with everything that their audits read, each block once
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bacalhau.layout import PROOF_NAME, check_target
from bacalhau.proof import write_proof, write_proofs
from bacalhau.shard_report import shard_entry
from network.job_store import Job, JobStore
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_export import export
from storage.unixfs_read import UnixfsReader

MAX_PROOF_BYTES: Final = 512 << 20
"""Of the proofs of single shards, all together: each holds the whole function and the runtime, some 14 MB at least."""
MAX_ROOTS: Final = 20_000
"""Records in one CAR; its header may have 1 MiB."""
LIST_NAME: Final = "shards.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """What was written."""

    proven: int
    """Shards with an output and a record."""
    with_own_proof: int
    """Those with a `record.car` of their own: all of them, or none."""


def lay_out_shards(store: BlockStore, jobs: JobStore, job: Job, target: Path) -> LaidOut:
    """Write what a job over shards gave to `target`.

    Raises:
        UserError: the target is there, or its parent is not.
        UnavailableError: a block is not here, or the disk refuses.
        VerificationError: no shard was verified, a block is not what its CID says, or an output would write outside.
    """
    if job.output is None:
        raise VerificationError(f"was not verified ({job.verdict}), so it has no output", where=job.id)
    check_target(target)
    try:
        with TemporaryDirectory(prefix=".bacalhau-get-", dir=target.parent) as folder:
            content = Path(folder) / "job"
            export(UnixfsReader(store), job.output, content)
            if job.exit_code is not None:
                (content / "exit_code").write_text(str(job.exit_code), encoding="ascii")
            proven = _add_list(jobs, job, content / LIST_NAME)
            with_own = _add_proofs(store, proven, content)
            check_target(target)
            content.rename(target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnavailableError(f"cannot be written: {reason}", where=str(target), fix="check free space") from error
    return LaidOut(proven=len(proven), with_own_proof=with_own)


def _add_list(jobs: JobStore, job: Job, path: Path) -> list[tuple[int, CID]]:
    """Write a line for each shard; return number and record of those that have one."""
    proven = []
    with path.open("x", encoding="ascii") as stream:
        for row in jobs.each_shard(job.id):
            stream.write(f"{json.dumps(shard_entry(row))}\n")
            if row.record is not None:
                proven.append((row.number, row.record))
    return proven


def _add_proofs(store: BlockStore, proven: Sequence[tuple[int, CID]], content: Path) -> int:
    for number, part in enumerate(_parts(proven)):
        name = PROOF_NAME if number == 0 else f"record-{number}.car"
        with (content / name).open("xb") as stream:
            write_proofs(store, [record for _, record in part], stream)
    for number, record in proven:
        path = content / "shards" / str(number) / PROOF_NAME
        try:
            with path.open("xb") as stream:
                write_proof(store, record, stream)
        except (FileExistsError, NotADirectoryError) as error:
            raise VerificationError(f"the output has no place for {PROOF_NAME}", where=f"shards/{number}") from error
        if number == proven[0][0] and path.stat().st_size * len(proven) > MAX_PROOF_BYTES:
            path.unlink()
            return 0
    return len(proven)


def _parts(proven: Sequence[tuple[int, CID]]) -> list[Sequence[tuple[int, CID]]]:
    return [proven[start : start + MAX_ROOTS] for start in range(0, len(proven), MAX_ROOTS)]
