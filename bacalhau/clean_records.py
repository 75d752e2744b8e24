"""Records that are known to come from nothing unverified, as they are made one of the other: each is looked at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bacalhau.taint_report import require_verified
from storage.blocks import BlockStore
from storage.cid import CID
from verifier.graph_reading import read_facts


@dataclass(slots=True)
class CleanRecords:
    """For several threads: what is looked at twice is the same both times."""

    store: BlockStore
    _known: set[CID] = field(default_factory=set)

    def know(self, records: Iterable[CID]) -> None:
        """Take the caller's word for some, with all that they come from."""
        self._known.update(records)

    def require(self, record: CID) -> None:
        """Refuse a record that comes from something unverified.

        Raises:
            VerificationError: it does. UnavailableError: that cannot be told.
        """
        if record in self._known:
            return
        facts = read_facts(self.store, record)
        # One of the verified tier whose parents are known to be clean is clean: its ancestors are not walked again.
        if not facts.is_verified or not self._known.issuperset(facts.parents):
            require_verified([record], self.store)
        self._known.add(record)
