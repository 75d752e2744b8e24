"""What is known of the tasks of a job before anybody is asked: answers, and evidence that more is added to.

Nothing that a node had a part in which was convicted since, or which lacks a label that the job asks for; and where an
answer is to be trusted, by what is known of its nodes now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import trio

from network.embedded import SessionResult
from network.known_results import with_parents
from network.node.datastore import Submission
from network.node.open_job import OpenJob
from network.node.peer_book import PeerBook
from network.node.trust_book import TrustBook
from network.result_store import Nodes
from network.session_state import Prior
from storage.cid import CID
from storage.sqlite_block_store import SqliteBlockStore
from verifier.credibility import TrustGoal
from verifier.model import PeerId, Rule
from verifier.taint import find_taint

FindPrior = Callable[[CID, Nodes], Prior | None]
"""Returns the evidence that a task has among nodes of some kind, to be added to. Blocks."""
FindKnown = Callable[[CID, Rule], SessionResult | None]
"""Returns what an earlier session gave of a task, if it meets the rule and its output is here. Blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAnswers:
    """Looks tasks up among earlier results."""

    store: SqliteBlockStore
    book: PeerBook
    trust: TrustBook
    find_known: FindKnown
    find_prior: FindPrior

    async def of(
        self, job: OpenJob, tasks: Sequence[CID], shunned: frozenset[PeerId]
    ) -> tuple[dict[int, SessionResult], dict[CID, Prior]]:
        """Return what is known of tasks, by their place, and by task what of the others is to be added to.

        Neither has anything that a node had a part in which was convicted since, or which is not known to have the
        labels that the job asks for.
        """
        submission = job.submission
        if not tasks or not takes_known(submission):
            return {}, {}
        # By the newest that they say of themselves, as whom it is offered to.
        fit = self.book.like(submission.selector) if submission.selector else None
        nodes = _whose_to_add_to(submission)

        def may_have_part(peers: frozenset[PeerId]) -> bool:
            return shunned.isdisjoint(peers) and (fit is None or peers <= fit)

        def look_up() -> tuple[dict[int, SessionResult], dict[CID, Prior]]:
            found = ((place, self.find_known(task, submission.rule)) for place, task in enumerate(tasks))
            sound = {
                place: session
                for place, session in found
                if session is not None
                and may_have_part(frozenset(one.node for one in session.receipts))
                and self._may_answer(submission, () if session.record is None else (session.record,))
            }
            if submission.trust is not None:
                sound = self._trusted(sound, tasks, submission.trust)
            known = {place: self._with_parents(session, job, tasks[place]) for place, session in sound.items()}

            def usable(task: CID) -> Prior | None:
                prior = self.find_prior(task, nodes)
                if prior is None or not may_have_part(prior.nodes) or not self._may_answer(submission, prior.parents):
                    return None
                return prior if submission.trust is None else self.trust.weighed(prior, task)

            rest = (task for place, task in enumerate(tasks) if place not in known)
            priors = ((task, usable(task)) for task in rest)
            return known, {task: prior for task, prior in priors if prior is not None}

        return await trio.to_thread.run_sync(look_up)

    def _may_answer(self, submission: Submission, records: Sequence[CID]) -> bool:
        """Tell whether an answer that rests on records is one, where inputs are to be verified."""
        return not submission.require_verified or find_taint(self.store, records).is_tainted is False

    def _with_parents(self, session: SessionResult, job: OpenJob, task: CID) -> SessionResult:
        """Return what is known under a record that names what the task's inputs are known to come from now."""
        if session.record is None:
            return session
        return replace(session, record=with_parents(session.record, job.parents_of(task, self.store), self.store))

    def _trusted(
        self, found: Mapping[int, SessionResult], tasks: Sequence[CID], goal: TrustGoal
    ) -> dict[int, SessionResult]:
        """Return what is trusted, by what is known of its nodes now."""
        weighed = ((place, session, self.trust.weigh(session, tasks[place], goal)) for place, session in found.items())
        return {place: replace(session, trust=note) for place, session, note in weighed if note.reached >= goal.asked}


def takes_known(submission: Submission) -> bool:
    """Tell whether known results may answer, or be added to."""
    return not submission.no_cache and not submission.unverified


def _whose_to_add_to(submission: Submission) -> Nodes:
    """Return of whose evidence more may be made for a job.

    Of nodes that a label chose only where labels choose again: what is open without one stays open. And not where the
    answer is to be trusted, for that assumes nodes that were drawn among all that the job would ask.
    """
    return Nodes.CHOSEN if submission.selector and submission.trust is None else Nodes.OPEN
