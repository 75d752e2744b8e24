"""Audit a record from its CID: is there sound evidence that y = f(x) was agreed on?

The checks, in the numbers of docs/audit.md (rules version 3):

 1. record       its block is here, matches its CID, and is a strict `record/1` of tier "verified"
 2. blocks       every block of the closure is here and matches its CID: all nodes, source, wheels, runtime, input data,
                 volumes, output
 3. task         task, function, input, lock and runtime are strict nodes, the task is {function, input} of the record,
                 and the input's data and volumes are UnixFS
 4. source       the function's source is a directory; unless it is a script, `function.py` is a file in it. A
                 WebAssembly module is a file that begins as one
 5. wheels       the sha2-256 of every wheel file is the one in the lock; a module has none
 6. runtime      every file of the runtime has the size in its manifest; that of modules names no files
 7. commitments  the list is strict, of this task, of distinct nodes, each commitment signed by its node
 8. receipts     each is strict, of this task, signed by its node; no node has two
 9. rounds       each receipt names the record's list or an earlier one (all of it is in the record's), and its digest
                 is what its node committed to there
10. rule         `verifier.compare` on all receipts agrees, on the record's output, with the record's receipts
11. dissent      each receipt listed as dissent claims another output or exit code than the record's receipts
12. output       a directory whose file `exit_code` says what the record's receipts say, every file readable to its end
13. parents      each is a record, of any tier, whose output, or something in it, is the data or a volume of this task's
                 input, or is in one of them

A block that is not here makes a check unknown, and the verdict `unchecked`; a wrong one makes it false, and the verdict
`invalid`. The audit goes on after both. Only reads; trusts nothing in the store. The checks themselves are in
`audit_content` (1-6, 12, 13) and `audit_claims` (7-11).

What it does not do, and its caller may: run the task again (`bacalhau audit --rerun`), audit the parents in turn,
decide whether the nodes are independent of each other, or find receipts that a record leaves out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from storage.blocks import BlockStore
from storage.cid import CID
from verifier.audit_claims import (
    blindness_of,
    check_commitments,
    check_dissent,
    check_receipts,
    check_rounds,
    check_rule,
)
from verifier.audit_content import (
    check_blocks,
    check_output,
    check_parents,
    check_record,
    check_runtime,
    check_source,
    check_task,
    check_wheels,
)
from verifier.audit_report import AuditReport, Check, Outcome, examine, make_check
from verifier.evidence import Evidence

__all__ = ["AuditReport", "Check", "audit_record"]


def audit_record(store: BlockStore, cid: CID) -> AuditReport:
    """Audit the record `cid` with what is in `store`; never raises for anything that the store holds or lacks."""
    evidence = Evidence(store=store, cid=cid)
    checks = tuple(_run(n, name, look, evidence) for n, (name, look) in enumerate(CHECKS, 1))
    is_known = all(check.ok for check in checks if check.n in _OF_BLINDNESS)
    return AuditReport(checks=checks, blindness=blindness_of(evidence) if is_known else None)


_OF_BLINDNESS: Final = frozenset({1, 7, 8, 9, 10})
"""Checks without which nobody's commitment says anything."""


def _run(n: int, name: str, look: Callable[[Evidence], Outcome], evidence: Evidence) -> Check:
    """Run one check; one that cannot even begin, because what it needs failed, is unknown or false as that is."""
    outcome: list[Outcome] = []
    failed = examine(lambda: outcome.append(look(evidence)))
    return make_check(n, name, failed, "") if failed else make_check(n, name, *outcome[0])


CHECKS: Final[tuple[tuple[str, Callable[[Evidence], Outcome]], ...]] = (
    ("record", check_record),
    ("blocks", check_blocks),
    ("task", check_task),
    ("source", check_source),
    ("wheels", check_wheels),
    ("runtime", check_runtime),
    ("commitments", check_commitments),
    ("receipts", check_receipts),
    ("rounds", check_rounds),
    ("rule", check_rule),
    ("dissent", check_dissent),
    ("output", check_output),
    ("parents", check_parents),
)
"""In the order of their numbers."""
