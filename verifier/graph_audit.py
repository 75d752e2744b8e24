"""Audit a graph root: what a person published, all of it, and that the log behind it is one.

The checks, in the numbers of docs/graph.md (rules version 3); those below 21 are of records and jobs:

21. root        its block is here, matches its CID, and is a strict `graph/1` or `graph/2`; its head a `graph-head/1`
22. signature   the head is signed by its publisher
23. chain       as many strict entries as the head says, of its publisher, numbered down to 0, each linked to the next
24. tree        the Merkle tree hash over the blocks of all entries is the one that is signed
25. listed      every record of the root is in the log, and no record is in the log twice
26. parents     every parent of a record of the root is in the root too, and before it in the log
27. records     every record of the root passes its own audit (checks 1 to 13)
28. disputes    no two records of the root are of one task and have different outputs
29. taint       no record of the root is of another tier than `verified`, or rests on one that is

and of a `graph/2`, which says more of its records:

31. merges      every merge of the root is of records of the root, and merging their outputs again gives its output
32. rivals      every rival of the root passes checks 1 to 13, is not in the root, and contradicts a record of it

What is not here makes a check unknown, and the verdict `unchecked`; what is wrong makes it false, and the verdict
`invalid`. Taint is unknown and never false: nobody claims that such a record is verified. Two records that contradict
each other are false: f is deterministic, so one of them is wrong, and which is not for this to say.

What it does not do, and its caller may: compare the head with others of the same publisher: those of one file
(check 30, `verifier.graph_agreement`), or any (`verifier.graph_log`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

from storage.blocks import BlockStore
from storage.cid import CID, cid_text
from storage.counting import agrees, counted
from storage.errors import BacalhauError, UnavailableError, VerificationError
from verifier.audit import audit_record
from verifier.audit_report import (
    AuditReport,
    Check,
    Finding,
    Outcome,
    examine,
    examine_each,
    later_phrase,
    make_check,
)
from verifier.graph_log import LogChain, check_head, read_chain
from verifier.graph_reading import RecordFacts, read_facts
from verifier.graph_types import AnnotatedGraph, GraphHead, load_graph
from verifier.merge_audit import check_merged, unknown_beyond
from verifier.merge_types import load_merge
from verifier.model import load_node, version_of
from verifier.shard_merge import MergeRoom

FIRST: Final = 21
FIRST_MORE: Final = 31
"""30 is of several roots."""
MAX_MERGED: Final = 1 << 22
"""Shards and entries of all merges of a root, minutes of work: few small blocks can stand for any number of them."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphAudit:
    """What was found, and what was read on the way."""

    report: AuditReport
    head: GraphHead | None
    """None: it cannot be read, or is not signed."""
    chain: LogChain | None
    size: int
    """Records of the root; 0 if it cannot be read."""
    records: tuple[tuple[RecordFacts, AuditReport | None], ...]
    """The records that can be read, by CID, each with its own audit; None of a record of the unverified tier."""
    rivals: tuple[tuple[RecordFacts, AuditReport], ...] = ()
    """Those that contradict a record of the root."""
    merges: tuple[CID, ...] = ()
    """Statements that were found true."""


@dataclass(slots=True)
class _Once(Generic[T]):
    """Something that is read when it is first needed. The check that is in charge of it asks first."""

    name: str
    read: Callable[[], T]
    found: T | BacalhauError | None = None

    def __call__(self) -> T:
        """Return it.

        Raises:
            UnavailableError, VerificationError: what is wrong with it; the second time, that it is needed.
        """
        if self.found is None:
            try:
                self.found = self.read()
            except BacalhauError as error:
                self.found = error
                raise
        if isinstance(self.found, BacalhauError):
            raise UnavailableError(f"needs a sound {self.name}")
        return self.found


class _Published:
    """A root under audit."""

    def __init__(self, store: BlockStore, cid: CID, told: Callable[[int, int], None]) -> None:
        self.store, self.cid, self.told = store, cid, told
        self.graph = _Once("root", lambda: load_graph(store, cid))
        self.head = _Once("head", lambda: load_node(store, self.graph().head, GraphHead))
        self.chain = _Once("chain", lambda: read_chain(store, self.head()))
        self.audits: dict[CID, AuditReport] = {}
        self._facts: dict[CID, RecordFacts | BacalhauError] = {}

    def facts(self, cid: CID) -> RecordFacts:
        """Return what a record says; the same error again if that failed.

        Raises:
            UnavailableError, VerificationError: it is not here, or none.
        """
        if cid not in self._facts:
            try:
                self._facts[cid] = read_facts(self.store, cid)
            except BacalhauError as error:
                self._facts[cid] = error
        found = self._facts[cid]
        if isinstance(found, BacalhauError):
            raise found
        return found

    def needed(self, cid: CID) -> RecordFacts:
        """Return the same, for which another check is responsible.

        Raises:
            UnavailableError: it cannot be had, for whatever reason.
        """
        try:
            return self.facts(cid)
        except VerificationError as error:
            raise UnavailableError("needs a sound record", where=cid_text(cid)) from error

    def says_more(self) -> bool:
        """Tell whether the root claims to be one that says more of its records, well-formed or not."""
        try:
            return version_of(self.store, self.cid) == AnnotatedGraph.VERSION
        except UnavailableError:
            return False

    def contradicting(self) -> tuple[tuple[RecordFacts, AuditReport], ...]:
        """Return the rivals that were audited."""
        audited = [cid for cid in self.graph().rivals if cid in self.audits]
        return tuple((read_facts(self.store, cid), self.audits[cid]) for cid in audited)

    def unblind(self) -> int:
        """Count the records, rivals not, in which nodes that agree may have seen earlier receipts."""
        found = [self.audits[cid].blindness for cid in self._facts if cid in self.audits]
        return sum(one is not None and one.unblind > 0 for one in found)

    def readable(self) -> dict[CID, RecordFacts]:
        """Return the records of the root that can be read."""
        found = {}
        for cid in self.graph().records:
            with suppress(BacalhauError):
                found[cid] = self.facts(cid)
        return found


def audit_graph(store: BlockStore, cid: CID, told: Callable[[int, int], None] = lambda _done, _all: None) -> GraphAudit:
    """Audit the graph root `cid` with what is in `store`; never raises for anything that the store holds or lacks.

    told: called with the number of records that were audited, and of all.
    """
    published = _Published(store, cid, told)
    looks = [*enumerate(CHECKS, FIRST), *(enumerate(MORE_CHECKS, FIRST_MORE) if published.says_more() else ())]
    checks = tuple(_run(n, name, partial(look, published)) for n, (name, look) in looks)
    report = AuditReport(checks=checks, unblind=published.unblind())
    sound = {check.name for check in checks if check.ok}
    return GraphAudit(
        report=report,
        head=published.head() if "signature" in sound else None,
        chain=published.chain() if {"signature", "chain", "tree"} <= sound else None,
        size=len(published.graph().records) if "root" in sound else 0,
        records=tuple((one, published.audits.get(cid)) for cid, one in published.readable().items())
        if "root" in sound
        else (),
        rivals=published.contradicting() if "root" in sound else (),
        merges=published.graph().merges if "merges" in sound else (),
    )


def _run(n: int, name: str, look: Callable[[], Outcome]) -> Check:
    outcome: list[Outcome] = []
    failed = examine(lambda: outcome.append(look()))
    return make_check(n, name, failed, "") if failed else make_check(n, name, *outcome[0])


def _check_root(published: _Published) -> Outcome:
    findings = examine(published.graph)
    findings += [] if findings else examine(published.head)
    return findings, cid_text(published.cid)


def _check_signature(published: _Published) -> Outcome:
    head = published.head()
    return examine(check_head, head), f"publisher {head.publisher}"


def _check_chain(published: _Published) -> Outcome:
    return examine(published.chain), counted(published.head().size, "entry", "entries")


def _check_tree(published: _Published) -> Outcome:
    return examine(published.chain().check_tree), published.head().tree


def _check_listed(published: _Published) -> Outcome:
    places = _places(published)
    findings = [
        Finding(wrong=True, text=f"{cid_text(record)}: is in the log {counted(len(numbers), 'time')}")
        for record, numbers in places.items()
        if len(numbers) > 1
    ]
    findings += [
        Finding(wrong=True, text=f"{cid_text(record)}: is not in the log")
        for record in published.graph().records
        if record not in places
    ]
    listed = len(published.graph().records)
    others = len(places) - listed
    said = f"{counted(others, 'other', 'others')} of the log {'is' if others == 1 else 'are'} not in this graph"
    return findings, f"{counted(listed, 'record')}; {said}"


def _places(published: _Published) -> dict[CID, list[int]]:
    places: dict[CID, list[int]] = defaultdict(list)
    for _, entry in published.chain().entries:
        places[entry.record_cid].append(entry.number)
    return places


def _check_parents(published: _Published) -> Outcome:
    listed = frozenset(published.graph().records)
    places: dict[CID, list[int]] = {}
    # Without a sound log the order is not known; what is left out shows all the same.
    findings = examine(lambda: places.update(_places(published)))

    def look(cid: CID) -> None:
        facts = published.needed(cid)
        for parent in facts.parents:
            if parent not in listed:
                raise VerificationError("its parent is not in this graph", where=f"{cid_text(cid)}: {cid_text(parent)}")
            if cid in places and parent in places and places[parent][0] >= places[cid][0]:
                raise VerificationError("was published before its parent", where=cid_text(cid))

    return findings + examine_each(look, published.graph().records), "each before its children"


def _check_records(published: _Published) -> Outcome:
    findings: list[Finding] = []
    verified = 0
    for done, cid in enumerate(published.graph().records, 1):
        failed = examine(published.facts, cid)
        findings += failed
        if not failed and published.facts(cid).is_verified:
            report = published.audits[cid] = audit_record(published.store, cid)
            verified += 1
            findings += [
                Finding(wrong=check.ok is False, text=f"{cid_text(cid)}: check {check.n} {check.name}: {check.detail}")
                for check in report.checks
                if not check.ok
            ]
        published.told(done, len(published.graph().records))
    said = f"{counted(verified, 'record')} {agrees(verified, 'passes', 'pass')} checks 1 to 13"
    return findings, said + later_phrase(published.unblind())


def _check_disputes(published: _Published) -> Outcome:
    outputs: dict[CID, dict[CID, CID]] = defaultdict(dict)
    for cid, facts in published.readable().items():
        if facts.is_verified:
            outputs[facts.task].setdefault(facts.output, cid)
    findings = [
        Finding(
            wrong=True,
            text=f"{cid_text(task)}: {counted(len(found), 'output')}, by {', '.join(map(cid_text, found.values()))}",
        )
        for task, found in outputs.items()
        if len(found) > 1
    ]
    missing = len(published.graph().records) - len(published.readable())
    if missing:
        findings.append(Finding(wrong=False, text=f"{counted(missing, 'record')} cannot be read"))
    findings += [
        Finding(wrong=False, text=f"{cid_text(rival)} of the same task as one of these has another output")
        for rival in published.graph().rivals
    ]
    return findings, f"{counted(len(outputs), 'task')}, one output each"


def _check_taint(published: _Published) -> Outcome:
    facts = published.readable()
    tainted = {cid for cid, one in facts.items() if not one.is_verified}
    sources = len(tainted)
    missing = len(published.graph().records) - len(facts)
    todo = list(tainted)
    children: dict[CID, list[CID]] = defaultdict(list)
    for cid, one in facts.items():
        for parent in one.parents:
            children[parent].append(cid)
    while todo:
        fresh = [child for child in children[todo.pop()] if child not in tainted]
        tainted.update(fresh)
        todo += fresh
    findings = []
    if tainted:
        are = "is" if sources == 1 else "are"
        said = f"{counted(sources, 'record')} {are} of the unverified tier, and {len(tainted) - sources} rest on"
        said += " it" if sources == 1 else " them"
        findings.append(Finding(wrong=False, text=said))
    if missing:
        findings.append(Finding(wrong=False, text=f"{counted(missing, 'record')} cannot be read"))
    return findings, "all are of the verified tier"


def _check_merges(published: _Published) -> Outcome:
    listed = frozenset(published.graph().records)
    room = MergeRoom(MAX_MERGED)

    def look(cid: CID) -> None:
        if room.left <= 0:
            problem = f"was not looked at: those before it have more than {MAX_MERGED} shards and entries"
            raise UnavailableError(problem, where=cid_text(cid))
        with unknown_beyond():
            # Before anything is said of them: few parts can be those of thousands of statements.
            output, records = load_merge(published.store, cid, room.spend)
        strays = [record for record in records.values() if record not in listed]
        if strays:
            raise VerificationError("is of a record that is not in this graph", where=cid_text(strays[0]))
        check_merged(published.store, output, records, room)

    return examine_each(look, published.graph().merges), f"{counted(len(published.graph().merges), 'merge')}"


def _check_rivals(published: _Published) -> Outcome:
    outputs: dict[CID, set[CID]] = defaultdict(set)
    for facts in published.readable().values():
        if facts.is_verified:
            outputs[facts.task].add(facts.output)
    listed = frozenset(published.graph().records)
    is_all_read = len(published.readable()) == len(listed)
    findings: list[Finding] = []

    def look(cid: CID) -> None:
        facts = read_facts(published.store, cid)
        is_rival = cid not in listed and facts.is_verified
        if is_rival and outputs[facts.task] <= {facts.output}:
            if not is_all_read:
                raise UnavailableError("may contradict a record that cannot be read", where=cid_text(cid))
            is_rival = False
        if not is_rival:
            raise VerificationError("contradicts no record of this graph", where=cid_text(cid))
        report = published.audits[cid] = audit_record(published.store, cid)
        findings.extend(
            Finding(wrong=check.ok is False, text=f"{cid_text(cid)}: check {check.n} {check.name}: {check.detail}")
            for check in report.checks
            if not check.ok
        )

    failed = examine_each(look, published.graph().rivals)
    return failed + findings, f"{counted(len(published.graph().rivals), 'rival')}"


CHECKS: Final[tuple[tuple[str, Callable[[_Published], Outcome]], ...]] = (
    ("root", _check_root),
    ("signature", _check_signature),
    ("chain", _check_chain),
    ("tree", _check_tree),
    ("listed", _check_listed),
    ("parents", _check_parents),
    ("records", _check_records),
    ("disputes", _check_disputes),
    ("taint", _check_taint),
)
"""In the order of their numbers."""
MORE_CHECKS: Final[tuple[tuple[str, Callable[[_Published], Outcome]], ...]] = (
    ("merges", _check_merges),
    ("rivals", _check_rivals),
)
"""Of a root that says more of its records, from FIRST_MORE on."""
