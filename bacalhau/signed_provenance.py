"""A signed statement about a record: audited first, for a signature under what was not looked at is worth nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from bacalhau.graph_auditing import with_disputes
from bacalhau.provenance import Provenance
from bacalhau.slsa_statement import OutputFile, make_statement, sign_statement
from network.lineage_store import LineageStore
from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_members import members
from storage.unixfs_read import UnixfsReader
from verifier.audit import audit_record
from verifier.audit_reading import FileReading
from verifier.identity import Identity

MAX_FILES: Final = 10_000
"""Subjects of one statement."""


def sign_provenance(
    provenance: Provenance, store: BlockStore, identity: Identity, lineage: LineageStore
) -> dict[str, Any]:
    """Return the signed envelope for a record that is valid, or for one of the tier `unverified`, which says so.

    Raises:
        VerificationError: the record's audit is `invalid`.
        UnavailableError: its audit is `unchecked`, also because another record contradicts it, or its output is not
            here.
        UserError: the output has more than MAX_FILES files.
    """
    if provenance.last.tier == "verified":
        _check(store, provenance.root)
        _check_disputes(store, provenance.root, lineage)
    files = tuple(_files(store, provenance.last.output))
    return sign_statement(make_statement(provenance, files), identity)


def _check(store: BlockStore, record: CID) -> None:
    report = audit_record(store, record)
    problem = f"is not signed for: its audit is {report.verdict} ({report.reason})"
    if report.verdict == "invalid":
        raise VerificationError(problem, where=cid_text(record))
    if report.verdict != "valid":
        raise UnavailableError(problem, where=cid_text(record), fix="see `bacalhau audit`")


def _check_disputes(store: BlockStore, record: CID, lineage: LineageStore) -> None:
    found = with_disputes({"verdict": "valid", "checks": []}, [record], store, lineage)
    if found["verdict"] != "valid":
        (check,) = found["checks"]
        problem = f"is not signed for: its audit is {found['verdict']} ({check['name']}: {check['detail']})"
        raise UnavailableError(problem, where=cid_text(record), fix="see `bacalhau audit`")


def _files(store: BlockStore, output: CID) -> Iterator[OutputFile]:
    reader = UnixfsReader(store)
    reading = FileReading(reader)
    number = 0
    for member in members(reader, output):
        if member.kind != "file":
            continue
        number += 1
        if number > MAX_FILES:
            raise UserError(f"has more than {MAX_FILES} files", where=cid_text(output), fix="export it as json-ld")
        digest = hashlib.sha256()
        for chunk in reading.chunks(member.cid):
            digest.update(chunk)
        yield OutputFile(path=member.path, sha256=digest.hexdigest())
