"""Spot checks: tasks whose answer is known, offered like any other job, so that good records can be earned and lost.

Where nodes are trusted one at a time, nobody contradicts the one that lies. So a requester mixes in tasks that were
agreed on before among strangers. To the machine of the protocol a check is a job like any other, of one task and one
node; only here is it known that nobody asked for it, and what its end means. What a node can tell one by is in
docs/trust.md.

A check that a restart fell into is known by its shape: no job here has it, one node was to answer, and what was agreed
on its task is here.
"""

from __future__ import annotations

import logging
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from network.demand import demand_of
from network.node.datastore import Change
from network.node.trust_book import TrustBook
from network.protocol_events import Submitted, TaskEnded
from runtime.checkpoint_model import may_resume
from runtime.demand import task_room
from runtime.plan import plan_of_task
from storage.blocks import BlockStore
from storage.cid import CID
from storage.errors import BacalhauError, UserError
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_pins import hold
from verifier.compare import Claim, claim_of
from verifier.credibility import Witness
from verifier.model import PeerId, Receipt, Record, Rule, load_node, store_node
from verifier.witness import witness_of

MAX_OPEN: Final = 32
"""Checks under way: they are work that nobody needs."""
MAX_AT_ONCE: Final = 8
"""Of one job, however many shards it has."""
SPREAD_S: Final = 30.0
"""A check begins up to so many seconds after the job that is the reason for it."""
EXECUTE_S: Final = 600.0
RULE: Final = Rule(replication=1, confidence=1, diverse=False)
DRAWS: Final = 4
"""Known tasks that are looked at for each check that is wanted: of some the blocks are gone."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was agreed on a task, checked."""

    record: CID
    claim: Claim
    witness: Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    task: CID
    known: Known


@dataclass(slots=True, kw_only=True)
class SpotChecks:
    """The checks of one requester. Functions that read the store block."""

    store: SqliteBlockStore
    trust: TrustBook
    rate: float = 0.0
    """Checks for each task of a job that goes by trust, on average."""
    sample: Callable[[int], Sequence[tuple[CID, CID]]] = lambda _count: ()
    """Draws tasks that any node may see, with records of strangers that were not given away."""
    records: Callable[[CID], Sequence[CID]] = lambda _task: ()
    """Returns such records of a task."""
    spread_s: float = SPREAD_S
    _open: dict[str, _Check] = field(default_factory=dict)
    _draw: secrets.SystemRandom = field(default_factory=secrets.SystemRandom)

    def due(self, tasks: int) -> int:
        """Draw how many checks a job of so many tasks brings."""
        if self.rate <= 0:
            return 0
        wanted = sum(self._draw.random() < self.rate for _ in range(tasks))
        return min(wanted, MAX_AT_ONCE, MAX_OPEN - len(self._open))

    def pause_s(self) -> float:
        """Draw how long a check waits, so that it does not begin with the job that brought it."""
        return self._draw.uniform(0.0, self.spread_s)

    def make(self, count: int, *, reveal_ms: int, offer_ms: int, queue_ms: int) -> list[Submitted]:
        """Return up to so many checks, to be given to the machine; noted already. Blocks."""
        made: list[Submitted] = []
        for task, record in self.sample(DRAWS * count):
            if len(made) == count or len(self._open) >= MAX_OPEN:
                break
            try:
                hold(self.store, task)
                known = self._known(record)
                plan = plan_of_task(task, self.store, EXECUTE_S)
                demand = demand_of(task_room(plan, self.store))
            except (BacalhauError, ValueError):  # gone, or damaged: another one will do
                continue
            if known is None or any(check.task == task for check in list(self._open.values())):
                continue
            job = uuid.uuid4().hex
            self._open[job] = _Check(task=task, known=known)
            made.append(
                Submitted(
                    job=job,
                    tasks=(task,),
                    rule=RULE,
                    demand=demand,
                    seed=secrets.token_hex(32),
                    execute_ms=int(EXECUTE_S * 1000),
                    reveal_ms=reveal_ms,
                    offer_ms=offer_ms,
                    queue_ms=queue_ms,
                    resumes=may_resume(plan.input),  # else it would be told from work by this
                )
            )
        return made

    def forget(self, job: str) -> None:
        """Forget a check that the machine did not take."""
        self._open.pop(job, None)

    def unfit(self, job: str, peers: Sequence[PeerId]) -> frozenset[PeerId]:
        """Return the nodes that a check must not be offered to: they know the answer."""
        check = self._open.get(job)
        if check is None:
            return frozenset()
        who = check.known.witness
        passed = (peer for peer in peers if self.trust.has_passed(peer, check.task))
        return who.agreeing | who.dissenting | frozenset(passed)

    def ended(self, news: TaskEnded, blocks: BlockStore) -> list[Change]:
        """Compare what a node answered with what is known, and return what is to be kept of that. Blocks.

        blocks: takes the receipt of a node that gave something else, which shows it.
        """
        check = self._open.pop(news.job, None)
        session = news.session
        if session.withdrawn or session.rule != RULE or session.terms is not None or len(session.receipts) != 1:
            return []
        (receipt,) = session.receipts.values()
        known = self._known_of(session.task) if check is None else check.known
        if known is None or receipt.node in known.witness.agreeing | known.witness.dissenting:
            return []
        one, nobody = frozenset({receipt.node}), frozenset[PeerId]()
        if claim_of(receipt) == known.claim:
            passed = Witness(task=session.task, agreeing=one, dissenting=nobody)
            return self.trust.note(passed, known.record, among=len(known.witness.agreeing))
        log.warning("%s answered a check with something else than was agreed", receipt.node)
        failed = Witness(task=session.task, agreeing=nobody, dissenting=one)
        return self.trust.note(failed, known.record, receipts={receipt.node: store_node(blocks, receipt)})

    def _known_of(self, task: CID) -> Known | None:
        for record in self.records(task):
            try:
                known = self._known(record)
            except BacalhauError:
                continue
            if known is not None:
                return known
        return None

    def _known(self, record_cid: CID) -> Known | None:
        """Return what a record shows; None if a single node said so, which is not known for sure.

        Raises:
            UnavailableError, VerificationError: as `witness_of`.
        """
        witness = witness_of(record_cid, self.store)
        if len(witness.agreeing) < 2:
            return None
        first = load_node(self.store, record_cid, Record).receipts[0]
        return Known(record=record_cid, claim=claim_of(load_node(self.store, first, Receipt)), witness=witness)


def check_rate(rate: float) -> None:
    """Check a rate of checks.

    Raises:
        UserError: it is no number from 0 to 1.
    """
    if not 0 <= rate <= 1:
        raise UserError("must be 0 to 1: checks for each task", where=f"--spot-checks {rate}", fix="try 0.05")
