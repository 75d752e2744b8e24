"""Write the audit's vectors: `python -m tests.vectors.audit.write_vectors` from the top of the checkout.

A vector is a folder: `evidence.car`, and `expected.json`:

    about    what it is
    cid      what the file is asked to prove; null: whatever its roots are
    deep     follow the parents
    verdict  "valid", "invalid" or "unchecked"
    check    the number of the first check that is not true: 0, those of the roots, 17, 30; null if all are
    file     numbers of checks of the file (0, 30) and of the ancestors (17) that are false, and unknown
    records  for each root that is looked at, in order: its CID, verdict, how many nodes are blind (of a graph, of how
             many records some are not), and numbers that are false, and unknown

Any implementation can run them. Keys and contents are fixed, so the same bytes come of every run.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from storage.car_block_store import CarBlockStore
from storage.cid import cid_text, parse_cid
from tests.vectors.audit.cases import all_cases
from tests.vectors.audit.shapes import Case
from verifier.audit import audit_record
from verifier.audit_car import audit_car, join_verdicts, records_of
from verifier.audit_deep import audit_ancestors
from verifier.audit_report import AuditReport, Check, blind_entry
from verifier.audit_sample import list_subject

FOLDER = Path(__file__).parent


def expected(case: Case, data: bytes) -> dict[str, Any]:
    """Return the content of `expected.json`."""
    cid = None if case.cid is None else case.cid()
    return {"about": case.about, "cid": cid, "deep": case.deep, **outcome(data, cid, deep=case.deep)}


def outcome(data: bytes, cid: str | None, *, deep: bool) -> dict[str, Any]:
    """Audit a file as the vectors have it."""
    car = CarBlockStore(io.BytesIO(data))
    report = audit_car(car, None if cid is None else parse_cid(cid))
    of_file, verdicts = [report.file], [report.verdict]
    if deep:
        roots = [record for root, _ in report.records for record in records_of(car, root)]
        found = audit_ancestors(car, roots, list_subject(roots), lambda one, _: audit_record(car, one))
        of_file += found.checks
        verdicts.append(AuditReport(checks=tuple(found.checks)).verdict)
    of_file += [] if report.logs is None else [report.logs]
    checks = [*of_file[:1], *(check for _, one in report.records for check in one.checks), *of_file[1:]]
    return {
        "verdict": join_verdicts(verdicts),
        "check": next((check.n for check in checks if check.ok is not True), None),
        "file": numbers(of_file),
        "records": [
            {"record": cid_text(root), "verdict": one.verdict, **blind_entry(one), **numbers(one.checks)}
            for root, one in report.records
        ],
    }


def numbers(checks: Iterable[Check]) -> dict[str, list[int]]:
    found = list(checks)
    return {
        "false": [check.n for check in found if check.ok is False],
        "unknown": [check.n for check in found if check.ok is None],
    }


def text_of(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"


def main() -> None:
    for old in FOLDER.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    for name, case in all_cases():
        (FOLDER / name).mkdir()
        data = case.data()
        (FOLDER / name / "evidence.car").write_bytes(data)
        (FOLDER / name / "expected.json").write_text(text_of(expected(case, data)), encoding="utf-8")


if __name__ == "__main__":
    main()
