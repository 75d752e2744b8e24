"""What a record that was not made here must prove before it is filed: all of its evidence, if not all of its content.

A record without wheels or data can still show who signed what, and when; a record without that shows nothing, and
would taint, dispute or vouch for others on nobody's word.
"""

from __future__ import annotations

from typing import Final

from storage.cid import CID, cid_text
from storage.errors import UnavailableError, VerificationError
from verifier.audit_report import AuditReport

_CONTENT: Final = frozenset({"blocks", "source", "wheels", "runtime", "output", "parents"})
"""Checks of a record that need its content."""


def check_evidence(record: CID, report: AuditReport) -> None:
    """Check that nothing in a record is wrong, and that its evidence is all there.

    Raises:
        VerificationError: a check is false.
        UnavailableError: one that is about evidence is unknown.
    """
    for check in report.checks:
        if check.ok is False:
            raise VerificationError(f"check {check.n} {check.name}: {check.detail}", where=cid_text(record))
    for check in report.checks:
        if check.ok is None and check.name not in _CONTENT:
            fix = "get the whole of it; `bacalhau audit` says what is missing"
            raise UnavailableError(f"check {check.n} {check.name}: {check.detail}", where=cid_text(record), fix=fix)
