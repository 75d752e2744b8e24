"""The embedded default: nodes of one operator in this process, which run a task redundantly and compare.

Drives `session` and `participant` with threads in place of a network. Each node has a key of its own, but all of them
share a machine, a store and an operator: agreement shows that the function is deterministic here, not that strangers
would agree (docs/verification.md).
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path

from network import key_store
from network.participant import Participant
from network.session import start, step
from network.session_events import (
    Action,
    AskNodes,
    Assigned,
    Committed,
    Event,
    Execute,
    Fault,
    PublishRound,
    Revealed,
    Undetermined,
)
from network.session_state import Prior, Session
from network.session_trust import trust_note
from network.trust_terms import TrustNote, TrustTerms
from runtime.engine import Engine, Execution, Plan, Progress, UndeterminedError, silent
from storage.blocks import BatchingBlockStore, BlockStore
from storage.cid import CID
from verifier.commitment import list_cid
from verifier.compare import Decision
from verifier.identity import Identity
from verifier.model import PeerId, Receipt, Rule, Task, Verdict, store_node
from verifier.record import build_record

REQUESTER = "the embedded requester"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """What a session gave."""

    verdict: Verdict
    output: CID | None
    """The agreed output; None unless AGREED."""
    record: CID | None
    """The record, in the store; None unless AGREED."""
    receipts: tuple[Receipt, ...]
    """All accepted receipts by node, those that dissent included; all are in the store."""
    dissent: tuple[Receipt, ...]
    """Those that claim something else than what was agreed; all of them unless AGREED."""
    same_state: bool
    """The receipts of the leading claim also have the same state digest."""
    executions: tuple[Execution, ...]
    """Completed executions, by node."""
    undetermined: tuple[tuple[PeerId, str], ...]
    """Nodes whose host failed, with the reason: no output, no vote."""
    faults: tuple[Fault, ...]
    cached: bool = False
    """It is what an earlier session gave; nothing ran."""
    from_before: int = 0
    """Receipts that are of an earlier session, which this one went on from; all of them if it is cached."""
    trust: TrustNote | None = None
    """How far the answer is trusted; None if counts were all that was asked for."""

    @property
    def exit_code(self) -> int | None:
        """The function's, as agreed; None without agreement."""
        if self.verdict is not Verdict.AGREED:
            return None
        return next(one.exit_code for one in self.receipts if one not in self.dissent)


@dataclass(slots=True, kw_only=True)
class _Driver:
    plan: Plan
    engines: tuple[Engine, ...]
    """Nodes take them in turn."""
    store: BlockStore
    keys_dir: Path
    parallel: int
    progress: Progress
    evidence: BatchingBlockStore
    """Put into `store` at the end, in one transaction: a record that is there has its lists and receipts there too."""
    identities: dict[PeerId, Identity] = field(default_factory=dict)
    participants: dict[PeerId, Participant] = field(default_factory=dict)
    decision: Decision | None = None
    taken: frozenset[PeerId] = frozenset()
    """Nodes of an earlier session: each has one vote."""
    drawn: int = 0
    """Keys that were looked at."""
    resumes: bool = False
    """Each node may go on from a checkpoint of its own."""

    def perform(self, action: Action) -> Iterator[Event]:
        if isinstance(action, AskNodes):
            yield Assigned(nodes=tuple(self._new_node() for _ in range(action.count)))
        elif isinstance(action, Execute):
            yield from self._execute(action.nodes)
        elif isinstance(action, PublishRound):
            yield from self._reveal(action)
        else:
            self.decision = action.decision

    def _new_node(self) -> PeerId:
        while True:
            self.drawn += 1
            identity = key_store.load_or_create(self.keys_dir / f"embedded-{self.drawn}.key")
            if identity.peer not in self.taken:
                self.identities[identity.peer] = identity
                return identity.peer

    def _execute(self, nodes: tuple[PeerId, ...]) -> Iterator[Event]:
        pool = ThreadPoolExecutor(max_workers=min(self.parallel, len(nodes)), thread_name_prefix="node")
        try:
            futures = {pool.submit(self._run, peer): peer for peer in nodes}
            for done in as_completed(futures):
                yield self._commit(futures[done], done)
        except BaseException:  # an interrupt as well: nobody is left to take the others' outputs
            for engine in self.engines:
                engine.stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, peer: PeerId) -> Execution:
        index = list(self.identities).index(peer)
        # The earlier ones took the engines in turn as well.
        engine, label = self.engines[(index + len(self.taken)) % len(self.engines)], f"node {index + 1}"
        plan = replace(self.plan, checkpoints_of=peer) if self.resumes else self.plan
        return engine.execute(plan, self.store, lambda phrase: self.progress(f"{label}: {phrase}"))

    def _commit(self, peer: PeerId, done: Future[Execution]) -> Event:
        try:
            execution = done.result()
        except UndeterminedError as error:
            return Undetermined(peer=peer, reason=str(error))
        if execution.task != self.plan.task:
            raise ValueError("the engine executed another task")
        participant = Participant.commit(self.identities[peer], execution, secrets.token_hex(32))
        self.participants[peer] = participant
        return Committed(peer=peer, commitment=participant.commitment)

    def _reveal(self, action: PublishRound) -> Iterator[Event]:
        store_node(self.evidence, action.commitments)
        for peer in action.nodes:
            self.participants[peer], receipt = self.participants[peer].reveal(action.commitments, REQUESTER)
            yield Revealed(peer=peer, receipt=receipt)


def run_embedded(
    plan: Plan,
    *,
    engine: Engine,
    store: BlockStore,
    keys_dir: Path,
    rule: Rule,
    parallel: int,
    progress: Progress = silent,
    parents: tuple[CID, ...] = (),
    max_nodes: int | None = None,
    terms: TrustTerms | None = None,
    other_engines: tuple[Engine, ...] = (),
    prior: Prior | None = None,
    resumes: bool = False,
) -> SessionResult:
    """Execute a plan on local nodes until they agree or the bound on nodes is reached; keep the evidence in `store`.

    parallel: executions at the same time; parents: records whose outputs are inputs of this task;
    max_nodes: None gives `network.session.default_max_nodes(rule)`;
    terms: what the answer has to reach besides, as if it were of strangers of whom nothing is known;
    other_engines: nodes take `engine` and these in turn, for a rule that asks for diverse ones;
    prior: an earlier session over this task that did not meet the rule: only what is missing is executed;
    resumes: each node may go on from checkpoints that it has itself made of the same steps, and leaves some.

    Raises:
        UserError: a key file cannot be used. Whatever the engine raises besides `UndeterminedError` ends the session.
    """
    driver = _Driver(
        plan=plan,
        engines=(engine, *other_engines),
        store=store,
        keys_dir=keys_dir,
        parallel=max(1, parallel),
        progress=progress,
        evidence=BatchingBlockStore(store),
        resumes=resumes,
        taken=frozenset() if prior is None else prior.nodes,
    )
    session, actions = start(plan.task, rule, max_nodes=max_nodes, prior=prior, terms=terms)
    queue = deque(actions)
    while queue:
        for event in driver.perform(queue.popleft()):
            session, more = step(session, event)
            queue.extend(more)
    if driver.decision is None:
        raise RuntimeError("the session ended without a decision")
    before = () if prior is None else prior.parents
    return _conclude(driver, session, driver.decision, tuple(sorted({*parents, *before})))


def _conclude(driver: _Driver, session: Session, decision: Decision, parents: tuple[CID, ...]) -> SessionResult:
    receipts = tuple(sorted((*decision.agreeing, *decision.dissenting), key=lambda one: one.node.encode()))
    for receipt in receipts:
        store_node(driver.evidence, receipt)
    record = _keep_record(driver, session, decision, parents, driver.evidence)
    driver.evidence.flush()
    return SessionResult(
        verdict=decision.verdict,
        output=decision.claim[0] if decision.claim else None,
        record=record,
        receipts=receipts,
        dissent=decision.dissenting,
        same_state=decision.same_state,
        executions=tuple(driver.participants[peer].execution for peer in sorted(driver.participants)),
        undetermined=session.undetermined,
        faults=session.faults,
        from_before=sum(receipt.node in driver.taken for receipt in receipts),
        trust=trust_note(session),
    )


def _keep_record(
    driver: _Driver, session: Session, decision: Decision, parents: tuple[CID, ...], store: BlockStore
) -> CID | None:
    """Store the record, if there is one, and return its CID."""
    if decision.verdict is not Verdict.AGREED or session.published is None:
        return None
    parts = Task(function=driver.plan.function_cid, input=driver.plan.input_cid)
    record = build_record(
        decision,
        task=driver.plan.task,
        parts=parts,
        rule=session.rule,
        commitments=list_cid(session.published),
        parents=parents,
    )
    return store_node(store, record)
