"""Audit what one CAR file is of, with its blocks and no others: check 0 of docs/audit.md, then those of each root.

A root is a record (checks 1 to 13) or a published graph (21 to 29, docs/graph.md; of several, 30 as well; of a
`graph/2`, 31 and 32).

 0. file  it is a CAR of version 1, read to its end: no block is other than its CID says, none is there twice, and each
          is a root or linked from another one; there is a root, and no root twice

A file that fails check 0 is not looked into any further than it could be read; what it is of is audited all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from storage.car_block_store import CarBlockStore
from storage.cid import CID, cid_text
from storage.counting import counted
from storage.errors import UnavailableError, VerificationError
from verifier.audit import audit_record
from verifier.audit_report import AuditReport, AuditVerdict, Check, Finding, make_check
from verifier.graph_agreement import LogAgreement
from verifier.graph_audit import audit_graph
from verifier.graph_types import GRAPHS, load_graph
from verifier.model import Record, load_node, version_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CarReport:
    """What was found of a file."""

    file: Check
    records: tuple[tuple[CID, AuditReport], ...]
    """Each root that was audited, in the order of the file."""
    logs: Check | None = None
    """Check 30; None: there are not two graph roots."""

    @property
    def of_file(self) -> AuditReport:
        """What was found of the file as a whole."""
        return AuditReport(checks=(self.file,) if self.logs is None else (self.file, self.logs))

    @property
    def verdict(self) -> AuditVerdict:
        """`invalid` if the file or any record is, else `unchecked` if anything is unknown or there is no record."""
        return join_verdicts([self.of_file.verdict, *(one.verdict for _, one in self.records)])

    @property
    def reason(self) -> str:
        """What is wrong or missing first; empty if nothing is."""
        reports = [self.of_file, *(one for _, one in self.records)]
        reports.sort(key=lambda one: ("invalid", "unchecked", "valid").index(one.verdict))
        return reports[0].reason


def join_verdicts(verdicts: Iterable[AuditVerdict]) -> AuditVerdict:
    """Return the weakest: one that is invalid makes all of it so, then one that is unchecked."""
    found = set(verdicts)
    if "invalid" in found:
        return "invalid"
    return "valid" if found == {"valid"} else "unchecked"


def check_file(car: CarBlockStore, wanted: CID | None = None) -> Check:
    """Check 0; wanted: what the file is to prove, None for whatever its roots are."""
    findings = [Finding(wrong=True, text=text) for text in _problems(car)]
    if car.excess:
        findings.append(Finding(wrong=False, text=car.excess))
    if wanted is not None and not roots_for(car, wanted):
        findings.append(Finding(wrong=False, text=f"no root is, or is of, {cid_text(wanted)}"))
    return make_check(
        0, "file", findings, f"{counted(len(car), 'block')}, {car.size} bytes, {counted(len(car.roots), 'root')}"
    )


def _problems(car: CarBlockStore) -> list[str]:
    if car.damage:
        return [car.damage]
    if not car.roots:
        return ["has no root"]
    if len(set(car.roots)) < len(car.roots):
        return ["names a root twice"]
    return [f"{cid_text(stray)}: nothing in the file leads to this block" for stray in car.strays]


def roots_for(car: CarBlockStore, wanted: CID | None) -> tuple[CID, ...]:
    """Return the root that is, or is a record of, what is wanted: a record, an output or a task; None: all of them.

    A record that a graph root has counts as a root here, behind the roots themselves.
    """
    if wanted is None:
        return car.roots
    named = (*car.roots, *(record for root in car.roots for record in _records_in(car, root)))
    return tuple(one for one in named if wanted in (one, *_subjects(car, one)))[:1]


def records_of(car: CarBlockStore, root: CID) -> tuple[CID, ...]:
    """Return the records that a root stands for: those of a graph, or itself, whether it can be read or not."""
    return _records_in(car, root) or (root,)


def _records_in(car: CarBlockStore, root: CID) -> tuple[CID, ...]:
    try:
        return load_graph(car, root).records
    except (UnavailableError, VerificationError):
        return ()


def is_graph(car: CarBlockStore, root: CID) -> bool:
    """Tell whether a root says that it is a graph, well-formed or not."""
    try:
        return version_of(car, root) in GRAPHS
    except UnavailableError:
        return False


def _subjects(car: CarBlockStore, root: CID) -> tuple[CID, ...]:
    try:
        record = load_node(car, root, Record)
    except (UnavailableError, VerificationError):
        return ()  # another root may be the one
    return record.output, record.task


def audit_car(car: CarBlockStore, wanted: CID | None = None) -> CarReport:
    """Audit a file: its bytes, and the record for what is wanted, or all roots; never raises for its contents."""
    records: list[tuple[CID, AuditReport]] = []
    agreement = LogAgreement()
    for root in dict.fromkeys(roots_for(car, wanted)):
        if is_graph(car, root):
            found = audit_graph(car, root)
            agreement.add(root, found)
            records.append((root, found.report))
        else:
            records.append((root, audit_record(car, root)))
    return CarReport(file=check_file(car, wanted), records=tuple(records), logs=agreement.check())
