"""Check 30: several graph roots of one file, and each publisher has one log in all of them.

Whoever gets two heads of one publisher can tell whether the second log only adds to the first; a file with both shows
it to anybody. One chain for each publisher is kept, the longest so far: if every other one is how it begins, each of
two goes on from the other.
"""

from __future__ import annotations

from storage.cid import CID, cid_text
from storage.counting import counted
from verifier.audit_report import Check, Finding, make_check
from verifier.graph_audit import FIRST, GraphAudit
from verifier.graph_types import GraphHead
from verifier.model import PeerId

NUMBER = FIRST + 9


class LogAgreement:
    """Takes the audits of graph roots one by one, and says whether their logs agree."""

    def __init__(self) -> None:
        self._roots = 0
        self._findings: list[Finding] = []
        self._said: dict[tuple[PeerId, int], GraphHead] = {}
        self._longest: dict[PeerId, tuple[CID, ...]] = {}

    def add(self, root: CID, found: GraphAudit) -> None:
        """Compare a root's log with those before it."""
        self._roots += 1
        if found.head is not None:
            self._compare_heads(root, found.head)
        if found.head is None or found.chain is None:
            self._findings.append(Finding(wrong=False, text=f"{cid_text(root)}: needs a sound log"))
        else:
            self._compare_entries(root, found.head.publisher, tuple(cid for cid, _ in found.chain.entries))

    def _compare_heads(self, root: CID, head: GraphHead) -> None:
        """Two signed heads of one size prove it by themselves, whether their entries are here or not."""
        before = self._said.setdefault((head.publisher, head.size), head)
        if (before.last, before.tree) != (head.last, head.tree):
            self._blame(root, head.publisher, f"two logs of {counted(head.size, 'entry', 'entries')}")

    def _compare_entries(self, root: CID, publisher: PeerId, entries: tuple[CID, ...]) -> None:
        longest = self._longest.setdefault(publisher, entries)
        common = min(len(longest), len(entries))
        # The newest common entry binds all before it.
        if longest[common - 1] != entries[common - 1]:
            self._blame(
                root, publisher, f"logs of {len(longest)} and {counted(len(entries), 'entry', 'entries')} that part"
            )
        if len(entries) > len(longest):
            self._longest[publisher] = entries

    def _blame(self, root: CID, publisher: PeerId, text: str) -> None:
        self._findings.append(Finding(wrong=True, text=f"{cid_text(root)}: {publisher} signed {text}"))

    def check(self) -> Check | None:
        """Return check 30; None: there are not two graph roots to compare."""
        if self._roots < 2:
            return None
        publishers = len(self._longest)
        return make_check(
            NUMBER,
            "logs",
            self._findings,
            f"{counted(self._roots, 'root')} of {counted(publishers, 'publisher')}, one log each",
        )
