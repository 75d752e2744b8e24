"""The audit of a file of which several roots are looked at, and one of them is a published graph.

All of it is `verifier.audit_car`'s, so that this says what `bacalhau-audit` says; this makes an answer of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from storage.cid import CID, cid_text
from verifier.audit_car import CarReport
from verifier.audit_report import AuditVerdict, Check, blind_entry
from verifier.graph_audit import FIRST


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAudit:
    """What was found of a file and of each of its roots."""

    report: CarReport

    @property
    def verdict(self) -> AuditVerdict:
        """As `CarReport.verdict`."""
        return self.report.verdict

    @property
    def records(self) -> tuple[CID, ...]:
        """Records of this home that it is about: none."""
        return ()

    @property
    def confirmed(self) -> frozenset[CID]:
        """Records whose tasks were run again: none."""
        return frozenset()

    def to_json(self) -> dict[str, Any]:
        """Return the object of docs/cli.md."""
        return {
            "verdict": self.verdict,
            "record": None,
            "reason": self.report.reason or None,
            "checks": [_check(check) for check in self.report.of_file.checks],
            "reruns": [],
            "roots": [
                {
                    "kind": "graph" if one.checks[0].n == FIRST else "record",
                    "cid": cid_text(root),
                    "verdict": one.verdict,
                    "reason": one.reason or None,
                    **blind_entry(one),
                    "checks": [_check(check) for check in one.checks],
                }
                for root, one in self.report.records
            ],
        }


def _check(check: Check) -> dict[str, Any]:
    return {"n": check.n, "name": check.name, "ok": check.ok, "detail": check.detail}
