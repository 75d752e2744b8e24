"""What a requester knows of nodes, in memory: their passes and dissents, and what plan that makes for a job.

Kept by entries of the datastore (`trust_entries`) in the transactions that the sessions themselves are kept in, and
read anew with them. The passes of one node and of all together are bounded, and the oldest are forgotten first: that
makes a node less trusted and never more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from network.embedded import SessionResult
from network.node.datastore import Change, Machine, Put, Remove, RemoveBelow, Submission
from network.node.trust_entries import (
    DissentEntry,
    PassEntry,
    dissent_key,
    pass_key,
    passes_of,
    read_trust,
    write_entry,
)
from network.session_state import Prior
from network.trust_terms import TrustCandidates, TrustNote, TrustTerms, note_of, rule_in_force, terms_for
from storage.cid import CID
from verifier.compare import Decision, claim_of
from verifier.credibility import History, TrustGoal, Witness
from verifier.model import PeerId

MAX_PASSES_OF_NODE: Final = 1_000
"""With so many a node is wrong once in 24,000 times at most, of ten of which one is bad: few ask for more."""
MAX_PASSES: Final = 100_000
"""Of all nodes: about 250 bytes each on the disk, and a second to read when a node starts."""
MAX_DISSENTING: Final = 20_000
"""Nodes, as many as the capacity book has; whoever dissented longest ago is forgotten, and a newcomer again."""
PLAN_AGAIN: Final = 16
"""Records, after which a job's next session is planned anew: planning looks at every node."""


def witness_by(decision: Decision, task: CID) -> Witness:
    """Return who agreed on a task, and who dissented, by a decision that agreed."""
    return Witness(
        task=task,
        agreeing=frozenset(receipt.node for receipt in decision.agreeing),
        dissenting=frozenset(receipt.node for receipt in decision.dissenting),
    )


def with_most_words(submission: Submission) -> Submission:
    """Return a submission as it is if nothing is known of any node: with the counts that its trust comes to then."""
    if submission.trust is None:
        return submission
    return replace(submission, rule=rule_in_force(submission.rule, terms_for(submission.trust, {}, ())))


def witness_in(session: SessionResult, task: CID) -> Witness:
    """Return the same of a session that agreed."""
    dissenting = frozenset(receipt.node for receipt in session.dissent)
    return Witness(
        task=task, agreeing=frozenset(receipt.node for receipt in session.receipts) - dissenting, dissenting=dissenting
    )


@dataclass(slots=True)
class _Plan:
    terms: TrustTerms
    known: int
    version: int


class TrustBook:
    """A `TrustSource`. Not pure, for its size: `load` and `note` change it."""

    def __init__(self) -> None:
        """Make one that knows nobody."""
        self._lock = threading.Lock()
        """What ends a session is kept by a thread, what settles a job by another."""
        self._goals: dict[str, TrustGoal] = {}
        """Of open jobs."""
        self._clear()

    def _clear(self) -> None:
        self._passes: dict[PeerId, OrderedDict[CID, None]] = {}
        """Tasks by node, the oldest pass first."""
        self._oldest: OrderedDict[tuple[PeerId, CID], None] = OrderedDict()
        self._dissents: OrderedDict[PeerId, int] = OrderedDict()
        self._barred: frozenset[PeerId] = frozenset()
        """Those, to be handed out."""
        self._number = 0
        self._version = 0
        self._plans: dict[str, _Plan] = {}

    # Jobs

    def begin(self, job: str, goal: TrustGoal | None) -> None:
        """Note what an open job asks for; None if it goes by counts."""
        if goal is not None:
            self._goals[job] = goal

    def end(self, job: str) -> None:
        """Forget a job."""
        self._goals.pop(job, None)
        self._plans.pop(job, None)

    # What is known

    def passes(self, peer: PeerId) -> int:
        """Return the passes of a node."""
        return len(self._passes.get(peer, ()))

    def barred(self) -> frozenset[PeerId]:
        """Return the nodes that dissented."""
        return self._barred

    def histories(self) -> dict[PeerId, History]:
        """Return what is known of each node of which something is."""
        with self._lock:
            peers = dict.fromkeys((*self._passes, *self._dissents))
            return {peer: History(passes=self.passes(peer), dissents=self._dissents.get(peer, 0)) for peer in peers}

    def has_passed(self, peer: PeerId, task: CID) -> bool:
        """Tell whether a node is known to have given the agreed output of a task."""
        return task in self._passes.get(peer, ())

    def terms(self, job: str, known: int, candidates: TrustCandidates) -> TrustTerms | None:
        """Return the terms of a job's next session; see `TrustSource`."""
        goal = self._goals.get(job)
        if goal is None:
            return None
        plan = self._plans.get(job)
        if plan is None or plan.known != known or self._version - plan.version >= PLAN_AGAIN:
            nodes = candidates()
            histories = {peer: History(passes=self.passes(peer)) for peer in nodes if peer in self._passes}
            plan = self._plans[job] = _Plan(terms_for(goal, histories, nodes), known, self._version)
        return plan.terms

    def weigh(self, session: SessionResult, task: CID, goal: TrustGoal) -> TrustNote:
        """Return how far a known result is trusted by what is known now, this very task left out."""
        leading = next(claim_of(one) for one in session.receipts if one not in session.dissent)
        agreeing = [one.node for one in session.receipts if one not in session.dissent]
        receipts = [one for one in session.receipts if one.node not in self._barred]
        passes = {one.node: self.passes(one.node) - self.has_passed(one.node, task) for one in receipts}
        terms = TrustTerms(
            asked=goal.asked,
            bad=goal.bad,
            words=len(agreeing),
            least_passes=min(passes.get(peer, 0) for peer in agreeing),
            most_nodes=len(session.receipts),
        )
        return note_of(terms, receipts, leading, passes)

    def weighed(self, prior: Prior, task: CID) -> Prior | None:
        """Return earlier evidence on a task with what is known of its nodes now, this very task left out.

        None if one of them ever dissented: its word is worth nothing, and there is no taking it out of the evidence.
        """
        if not self._barred.isdisjoint(prior.nodes):
            return None
        with self._lock:  # a pass of this very task may be noted meanwhile
            passes = tuple(self.passes(one.node) - self.has_passed(one.node, task) for one in prior.receipts)
        return replace(prior, passes=passes)

    # What becomes known

    def load(self, entries: Mapping[str, bytes]) -> None:
        """Read all of it anew.

        Raises:
            VerificationError: the datastore holds something else.
        """
        kept = read_trust(entries)
        with self._lock:
            self._clear()
            for peer, entry in kept.passes:
                self._passes.setdefault(peer, OrderedDict())[entry.task] = None
                self._oldest[peer, entry.task] = None
                self._number = entry.number
            for peer, dissent in kept.dissents.items():
                self._dissents[peer] = dissent.times
            self._barred = frozenset(self._dissents)

    def note(
        self, witness: Witness, record: CID, *, receipts: Mapping[PeerId, CID] | None = None, among: int = 0
    ) -> list[Change]:
        """Count a record, checked by the caller, and return what is to be kept of that.

        receipts: of dissenting nodes that the record does not name; among: how many agreeing nodes there are besides
        those of the witness, so that a lone one is believed. Whoever alone gave an output has shown nothing.
        """
        changes: list[Change] = []
        with self._lock:
            self._version += 1
            for peer in sorted(witness.dissenting):
                changes += self._dissent(peer, record, (receipts or {}).get(peer))
            if len(witness.agreeing) + among > 1:
                for peer in sorted(witness.agreeing):
                    changes += self._pass(peer, witness.task, record)
        return changes

    def forgive(self, peer: PeerId) -> list[Change]:
        """Let a node begin again as a newcomer, and return what is to be kept of that."""
        with self._lock:
            self._dissents.pop(peer, None)
            self._barred = frozenset(self._dissents)
        return [Remove(machine=Machine.TRUST, key=dissent_key(peer))]

    def _dissent(self, peer: PeerId, record: CID, receipt: CID | None) -> list[Change]:
        for task in self._passes.pop(peer, ()):
            del self._oldest[peer, task]
        times = self._dissents.pop(peer, 0) + 1
        self._dissents[peer] = times
        entry = DissentEntry(times=times, record=record, receipt=receipt)
        changes: list[Change] = [
            RemoveBelow(machine=Machine.TRUST, prefix=passes_of(peer)),
            Put(machine=Machine.TRUST, key=dissent_key(peer), value=write_entry(entry)),
        ]
        if len(self._dissents) > MAX_DISSENTING:
            forgotten, _ = self._dissents.popitem(last=False)
            changes.append(Remove(machine=Machine.TRUST, key=dissent_key(forgotten)))
        self._barred = frozenset(self._dissents)
        self._plans.clear()
        return changes

    def _pass(self, peer: PeerId, task: CID, record: CID) -> list[Change]:
        if peer in self._dissents or self.has_passed(peer, task):
            return []
        tasks = self._passes.setdefault(peer, OrderedDict())
        self._number += 1
        tasks[task] = None
        self._oldest[peer, task] = None
        entry = PassEntry(number=self._number, task=task, record=record)
        changes: list[Change] = [Put(machine=Machine.TRUST, key=pass_key(peer, task), value=write_entry(entry))]
        if len(tasks) > MAX_PASSES_OF_NODE:
            changes.append(self._forget(peer, next(iter(tasks))))
        if len(self._oldest) > MAX_PASSES:
            changes.append(self._forget(*next(iter(self._oldest))))
        return changes

    def _forget(self, peer: PeerId, task: CID) -> Change:
        del self._oldest[peer, task]
        tasks = self._passes[peer]
        del tasks[task]
        if not tasks:
            del self._passes[peer]
        return Remove(machine=Machine.TRUST, key=pass_key(peer, task))
