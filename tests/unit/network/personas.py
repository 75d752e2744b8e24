"""In-memory nodes, honest and not, and a driver that joins them to a session back to back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from network.participant import Participant
from network.session import start, step
from network.session_events import (
    AskNodes,
    Assigned,
    Committed,
    DeadlinePassed,
    Event,
    Execute,
    Finish,
    Phase,
    PublishRound,
    Revealed,
    Undetermined,
)
from network.session_state import Session
from runtime.engine import Execution
from storage.cid import CID, RAW, make_cid
from tests.vectors.records.world import STATE, identity, nonce
from verifier.commitment import list_cid, sign_commitment
from verifier.compare import Decision
from verifier.model import Commitment, CommitmentList, EngineInfo, PeerId, Rule

TASK = make_cid(RAW, b"the task")
ENGINE = EngineInfo(name="noop", version="1", arch="x86_64", isolation=())


def output(text: str) -> CID:
    return make_cid(RAW, text.encode())


def execution(text: str = "y") -> Execution:
    return Execution(task=TASK, output=output(text), exit_code=0, fuel=None, state_digest=STATE, engine=ENGINE)


class Honest:
    """Commits to y and reveals it."""

    answer = "y"

    def __init__(self, number: int) -> None:
        self.number = number
        self.identity = identity(number)
        self.peer: PeerId = self.identity.peer
        self.overheard: list[Commitment] = []

    def committed(self, text: str, *, other_nonce: int = 0) -> Committed:
        self.participant = Participant.commit(self.identity, execution(text), nonce(self.number + other_nonce))
        return Committed(peer=self.peer, commitment=self.participant.commitment)

    def on_execute(self) -> list[Event]:
        return [self.committed(self.answer)]

    def after_deadline(self) -> list[Event]:
        return []

    def on_publish(self, commitments: CommitmentList) -> list[Event]:
        self.participant, receipt = self.participant.reveal(commitments, "requester")
        return [Revealed(peer=self.peer, receipt=receipt)]


class Liar(Honest):
    """Plays by the rules with a wrong output, the same as every other liar."""

    answer = "a lie"


class Copycat(Honest):
    """Sends on the first commitment it overhears, as its own connection's."""

    def on_execute(self) -> list[Event]:
        return [Committed(peer=self.peer, commitment=self.overheard[0])]

    def on_publish(self, commitments: CommitmentList) -> list[Event]:
        return []


class Resigner(Honest):
    """A copycat that puts its own name and signature on the digest it overheard, then reveals what others revealed."""

    def on_execute(self) -> list[Event]:
        stolen = {"v": "commitment/1", "task": TASK, "node": self.peer, "digest": self.overheard[0].digest}
        self.committed("y")
        return [Committed(peer=self.peer, commitment=Commitment.from_node(self.identity.sign(stolen)))]

    def on_publish(self, commitments: CommitmentList) -> list[Event]:
        return [Revealed(peer=self.peer, receipt=self.participant._sign(list_cid(commitments)))]


class BaitAndSwitch(Honest):
    """Commits to one output and reveals another."""

    def on_publish(self, commitments: CommitmentList) -> list[Event]:
        switched = Participant.commit(self.identity, execution("switched"), nonce(self.number))
        return [Revealed(peer=self.peer, receipt=switched._sign(list_cid(commitments)))]


class Mute(Honest):
    """Commits and never reveals."""

    def on_publish(self, commitments: CommitmentList) -> list[Event]:
        return []


class Late(Honest):
    """Commits after the deadline."""

    def on_execute(self) -> list[Event]:
        return []

    def after_deadline(self) -> list[Event]:
        return [self.committed("y")]


class Equivocator(Honest):
    """Commits twice, to two outputs."""

    def on_execute(self) -> list[Event]:
        return [self.committed("other", other_nonce=100), self.committed("y")]

    def on_publish(self, commitments: CommitmentList) -> list[Event]:
        return [Revealed(peer=self.peer, receipt=self.participant._sign(list_cid(commitments)))]


class DoubleRevealer(Honest):
    """Reveals two different receipts for the same commitment."""

    def on_publish(self, commitments: CommitmentList) -> list[Event]:
        first = self.participant._sign(list_cid(commitments))
        second = self.identity.sign(first.to_node() | {"exit_code": 1})
        return [
            Revealed(peer=self.peer, receipt=first),
            Revealed(peer=self.peer, receipt=type(first).from_node(second)),
        ]


class Broken(Honest):
    """Its host fails."""

    def on_execute(self) -> list[Event]:
        return [Undetermined(peer=self.peer, reason="worker died")]


@dataclass(kw_only=True)
class Table:
    """A session at work: nodes are assigned in their order, deadlines pass when nothing else is under way."""

    nodes: list[Honest]
    session: Session
    trace: list[object] = field(default_factory=list)
    published: list[CommitmentList] = field(default_factory=list)
    decision: Decision | None = None

    def play(self, actions: tuple[object, ...]) -> None:
        waiting: deque[Event] = deque()
        queue = deque(actions)
        while queue or waiting or self.decision is None:
            if queue:
                waiting.extend(self._perform(queue.popleft()))
                continue
            event = waiting.popleft() if waiting else self._deadline()
            self.session, more = step(self.session, event)
            queue.extend(more)
            if isinstance(event, DeadlinePassed) and event.phase is Phase.COMMITTING:
                waiting.extend(
                    extra for node in self.nodes if isinstance(node, Late) for extra in node.after_deadline()
                )

    def _deadline(self) -> DeadlinePassed:
        return DeadlinePassed(round_number=self.session.round_number, phase=self.session.phase)

    def _perform(self, action: object) -> list[Event]:
        self.trace.append(action)
        if isinstance(action, AskNodes):
            free = [node.peer for node in self.nodes if node.peer not in self.session.asked]
            return [Assigned(nodes=tuple(free[: action.count]))]
        if isinstance(action, Execute):
            return self._execute(action.nodes)
        if isinstance(action, PublishRound):
            self.published.append(action.commitments)
            return [
                event
                for node in self.nodes
                if node.peer in action.nodes
                for event in node.on_publish(action.commitments)
            ]
        assert isinstance(action, Finish)
        self.decision = action.decision
        return []

    def _execute(self, peers: tuple[PeerId, ...]) -> list[Event]:
        """Let the nodes commit one after another, each overhearing those before it."""
        events: list[Event] = []
        for node in (node for node in self.nodes if node.peer in peers):
            node.overheard = [event.commitment for event in events if isinstance(event, Committed)]
            events += node.on_execute()
        return events


def sit(kinds: list[type[Honest]], rule: Rule, *, max_nodes: int | None = None) -> Table:
    """Play a session with a node of each kind, in this order."""
    session, actions = start(TASK, rule, max_nodes=max_nodes)
    table = Table(nodes=[kind(number) for number, kind in enumerate(kinds)], session=session)
    table.play(actions)
    return table


def commitment_of(number: int, text: str = "y") -> Commitment:
    return sign_commitment(identity(number), task=TASK, nonce=nonce(number), output=output(text), state_digest=STATE)
