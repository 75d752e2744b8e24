"""Whom a requester may ask: drawn from what nodes gossip, without whom a job, a trust or a conviction leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from network import requester_steps
from network.bid_choice import Kind, is_diverse_enough
from network.capacity_book import CapacityBook
from network.requester_entries import JobEntry
from network.requester_state import Found, RequesterTask, Seek
from network.trust_terms import TrustSource, TrustTerms
from verifier.model import PeerId

UNKNOWN_WINDOW: Final = 16
"""Tasks that look for nodes while none are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Draws nodes for tasks; decides nothing about them. shunned: of each call, the nodes that are offered nothing."""

    book: CapacityBook
    trust: TrustSource
    unfit: Callable[[str], frozenset[PeerId]]
    """Of a job, the nodes that it must not be offered to."""

    def window(self, job: JobEntry, terms: TrustTerms | None) -> int:
        """Return how many tasks may look for nodes, so that they cannot keep each other from beginning.

        Each waits with at most one bid less than it needs. While all of those together are fewer than the slots that
        there are, one more bid is always possible, and somebody begins. What is executed is not counted: it ends by
        itself, and meanwhile the next ones have their bids. (Neither are other requesters, nor tasks that look for
        further nodes: there a bid that runs out is what helps.)
        """
        words = 0 if terms is None else terms.words
        slots, held = self.slots(job), max(job.rule.replication, words, job.min_bids) - 1
        if not slots:
            return UNKNOWN_WINDOW
        return max(1, (slots - 1) // held if held else 2 * slots)

    def slots(self, job: JobEntry) -> int:
        """Return how many executions of its tasks all nodes together could have at once."""
        return self.book.slots(job.demand)

    def found(self, task: RequesterTask, seek: Seek, shunned: frozenset[PeerId]) -> Found:
        """Answer a task's search for nodes."""
        job, terms = task.job, task.terms
        exclude = seek.exclude | shunned | self.unfit(job.job)
        if terms is not None:
            exclude |= self.trust.barred()
        # Where a plan is for nodes that are known well, others are asked when none of those is left.
        least = 0 if terms is None else terms.least_passes
        unproven = frozenset(peer for peer in self.book.peers if least and self.trust.passes(peer) < least)
        peers = self.book.pick(seek.count, job.demand, seed=seek.seed, exclude=exclude | unproven)
        if not peers and unproven and seek.is_all:
            peers = self.book.pick(seek.count, job.demand, seed=seek.seed, exclude=exclude)
        passes = {} if terms is None else {peer: self.trust.passes(peer) for peer in peers}
        # Who knows nobody at all is not told who there is: that is no reason to end a search early.
        nobody_left = seek.is_all and not peers and len(self.book) > 0
        readers = self.book.readers(peers)
        return Found(peers=peers, nobody_left=nobody_left, is_last=seek.is_last, passes=passes, readers=readers)

    def drawn(
        self,
        job: JobEntry,
        session: str,
        needed: int,
        standing: Mapping[PeerId, Kind],
        shunned: frozenset[PeerId],
    ) -> Mapping[PeerId, Kind]:
        """Return those of some nodes that are drawn as for an offer, if they are as many as are needed."""
        drawn = self.book.pick(
            needed + requester_steps.SPARE_OFFERS,
            job.demand,
            seed=f"{job.seed}/{session}/standing",
            exclude=shunned | self.unfit(job.job),
        )
        found = {peer: standing[peer] for peer in drawn if peer in standing}
        diverse = job.rule.diverse and not is_diverse_enough(found.values(), (), job.rule.confidence)
        if len(found) < needed or diverse:
            return {}
        return found

    def terms(self, job: JobEntry, shunned: frozenset[PeerId]) -> TrustTerms | None:
        """Return what the next task of a job has to reach besides its counts, if anything."""
        return self.trust.terms(
            job.job,
            len(self.book),
            lambda: self.book.able(job.demand, exclude=shunned | self.unfit(job.job) | self.trust.barred()),
        )
