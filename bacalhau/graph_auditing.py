"""What the result graph adds to an audit: the audit of a graph root, and what contradicts a record that is sound.

The checks are `verifier.graph_audit`'s, 21 to 32; check 28 is also made of a single record, with what is filed here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bacalhau.graph_view import MAX_NAMED
from bacalhau.proof import open_car
from network.lineage_index import Filer
from network.lineage_store import LineageStore
from storage import dag_cbor
from storage.blocks import BlockStore
from storage.car import read_car
from storage.cid import CID, DAG_CBOR, cid_text, codec_of, is_cid_text, parse_cid
from storage.errors import BacalhauError, UserError, VerificationError
from verifier.ancestry import walk_ancestors
from verifier.audit_car import check_file
from verifier.audit_report import AuditReport, Check, blind_entry
from verifier.graph_audit import FIRST, audit_graph
from verifier.graph_reading import read_facts
from verifier.graph_types import GRAPHS, load_graph

if TYPE_CHECKING:
    from bacalhau.services import Services

Count = Callable[[str, int, int | None], None]
"""As `progress.Display.count`."""
_DISPUTES: Final = FIRST + 7
_MOST: Final = 100
"""Outputs of one task that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedAudit:
    """What was found of a graph root."""

    root: CID
    report: AuditReport
    records: int

    def to_json(self) -> dict[str, Any]:
        """Return the object of docs/cli.md."""
        return {
            "verdict": self.report.verdict,
            "record": None,
            "graph": cid_text(self.root),
            "records": self.records,
            "reason": None,
            **blind_entry(self.report),
            "checks": [check_json(check) for check in self.report.checks],
            "reruns": [],
        }


def check_json(check: Check) -> dict[str, Any]:
    """Return a check as JSON."""
    return {"n": check.n, "name": check.name, "ok": check.ok, "detail": check.detail}


def audit_published(
    text: str | None, car: Path | None, services: Services, count: Count, *, refused: str = ""
) -> PublishedAudit | None:
    """Audit a graph root that is here, or in a CAR; None if something else was named.

    refused: a flag that was given and means something for records alone.

    Raises:
        UserError: there is such a flag.
    """
    if car is not None:
        root = _graph_of_file(car, text)
        if root is None:
            return None
        with open_car(car) as file:
            audited = _audit(root, file, count, refused)
            checks = (check_file(file, root), *audited.report.checks)
            return replace(audited, report=replace(audited.report, checks=checks))
    if text is None or not is_cid_text(text) or not _may_be_graph(parse_cid(text)):
        return None
    with services.open_store() as store:
        root = parse_cid(text)
        return _audit(root, store, count, refused) if _is_graph(root, store) else None


def _graph_of_file(path: Path, text: str | None) -> CID | None:
    """Return the graph root that a CAR is of; None if it is of something else, or damaged before that can be told."""
    wanted = text if text is not None and is_cid_text(text) else None
    try:
        with path.open("rb") as stream:
            car = read_car(stream)
            found = [root for root in car.roots if wanted in (None, cid_text(root))]
            if len(found) != 1 or not _may_be_graph(found[0]):
                return None
            # Of a record there is one block of this kind more to read, not all of them.
            data = next((data for cid, data in car.blocks if cid == found[0]), None)
    except (OSError, VerificationError):
        return None
    return found[0] if data is not None and _is_of_graph(data) else None


def _is_of_graph(data: bytes) -> bool:
    try:
        node = dag_cbor.decode(data)
    except VerificationError:
        return False
    version = node.get("v") if isinstance(node, dict) else None
    return isinstance(version, str) and version in GRAPHS  # a stranger's may be a list


def _audit(root: CID, store: BlockStore, count: Count, refused: str) -> PublishedAudit:
    if refused:
        fix = f"audit one of its records with {refused}"
        raise UserError(f"a graph is audited whole, without {refused}", where=cid_text(root), fix=fix)
    found = audit_graph(store, root, lambda done, total: count("records audited", done, total))
    return PublishedAudit(root=root, report=found.report, records=len(found.records))


def _may_be_graph(cid: CID) -> bool:
    return codec_of(cid) == DAG_CBOR


def _is_graph(cid: CID, store: BlockStore) -> bool:
    if not _may_be_graph(cid):
        return False
    try:
        load_graph(store, cid)
    except BacalhauError:
        return False
    return True


def rivals_of(records: Iterable[CID], store: BlockStore, lineage: LineageStore, *, ancestors: bool) -> dict[CID, CID]:
    """Return records filed here that name another output of the same task, each with the record that it contradicts.

    ancestors: look at those that the records come from as well. What cannot be read here is not looked at.
    """
    about = dict.fromkeys(records)
    if ancestors:
        about |= dict.fromkeys(step.cid for step in walk_ancestors(store, tuple(about)))
    Filer(store, lineage).catch_up()
    rivals: dict[CID, CID] = {}
    tasks: dict[CID, dict[CID, CID]] = {}
    for cid in about:
        try:
            facts = read_facts(store, cid)
        except BacalhauError:
            continue  # check 1 or 17 says so
        if facts.is_verified and facts.task not in tasks:
            tasks[facts.task] = lineage.outputs(facts.task, limit=_MOST)
        if facts.is_verified:
            others = (rival for output, rival in tasks[facts.task].items() if output != facts.output)
            rivals |= dict.fromkeys(others, cid)
    return rivals


def with_disputes(
    found: dict[str, Any],
    records: Iterable[CID],
    store: BlockStore,
    lineage: LineageStore,
    confirmed: Collection[CID] = (),
) -> dict[str, Any]:
    """Return an audit with check 28, if records filed here contradict those that it is about.

    Two sound records that contradict each other prove that one is wrong, not which: the check is unknown, unless the
    tasks were run again here and gave what these records say. Without a contradiction nothing is added.

    found: with the key `ancestors` those that the records come from are looked at too; confirmed: records whose tasks
    were run again here and gave the same.
    """
    rivals = rivals_of(records, store, lineage, ancestors="ancestors" in found)
    if not rivals:
        return found
    ok = True if all(cid in confirmed for cid in rivals.values()) else None
    named = sorted(rivals)[:MAX_NAMED]
    more = f" and {len(rivals) - MAX_NAMED} more" if len(rivals) > MAX_NAMED else ""
    said = f"the same task has another output in {', '.join(map(cid_text, named))}{more}"
    said += "; run again here, it gave this one" if ok else "; --rerun tells which is right here"
    checks = [*found["checks"], check_json(Check(n=_DISPUTES, name="disputes", ok=ok, detail=said))]
    # It never makes a verdict better: of a sample, say, the others checks alone do not tell it.
    worse = found["verdict"] == "valid" and ok is None
    return {**found, "checks": checks, "verdict": "unchecked" if worse else found["verdict"]}


def with_disputes_here(
    found: dict[str, Any], records: Iterable[CID], services: Services, confirmed: Collection[CID] = ()
) -> dict[str, Any]:
    """Return the same, with the blocks and the lineage of this home."""
    with services.open_store() as store, services.open_lineage() as lineage:
        return with_disputes(found, records, store, lineage, confirmed)
