"""Values of the protocol for tests: one of each message, and machines of both sides without a world."""

from network.compute_node import ComputeNode
from network.message_codec import decode, encode, session_id, sign_assign, sign_capacity, sign_close, sign_commit
from network.messages import (
    READS_SIGNED_ASSIGN,
    Accepted,
    Ack,
    Assign,
    Bid,
    Cancel,
    Decline,
    Demand,
    EngineKind,
    Failed,
    Offer,
    Refuse,
    Reveal,
    Say,
    Settled,
)
from network.participant import Participant
from network.protocol_events import Broadcast, Forget, Heard, Persist, Received, Send, Submitted
from network.requester import Requester
from network.statement import Statement
from tests.unit.network.personas import TASK, execution
from tests.vectors.records.world import identity, nonce
from verifier.commitment import close_round
from verifier.compare import make_rule

REQUESTER = identity(50)
JOB = "ab" * 16
SESSION = session_id(REQUESTER.peer, JOB, TASK)
UNIT = Demand(cpu_milli=1000, memory=1 << 30, disk=0, gpus=0)
KIND = EngineKind(engine="noop", arch="x86_64")


def participant(number: int, text: str = "y") -> Participant:
    return Participant.commit(identity(number), execution(text), nonce(number))


def stated(text: str = "y", exit_code: int = 0, **more) -> Statement:
    """Return what a node says of a container that gave an output."""
    made = execution(text)
    values = {
        "output": made.output, "exit_code": exit_code, "engine": made.engine, "was_out_of_memory": False,
        "reason": None, "stdout": "", "stderr": "",
    }  # fmt: skip
    return Statement(**(values | more))


def ended_early(reason: str = "took longer than 1 s", stdout: str = "so far") -> Statement:
    return stated(output=None, exit_code=None, engine=None, reason=reason, stdout=stdout)


def one_of_each():
    """Return (sender, message) for every kind."""
    me, node, them = participant(0), identity(0), REQUESTER
    commitments = close_round(TASK, [me.commitment])
    return [
        (them, Offer(session=SESSION, job=JOB, task=TASK, demand=UNIT)),
        (node, Bid(session=SESSION, engine="noop", arch="x86_64")),
        (node, Refuse(session=SESSION, reason="policy")),
        (them, Decline(session=SESSION)),
        (them, Assign(session=SESSION, job=JOB, task=TASK, demand=UNIT)),
        (them, sign_assign(them, Assign(session=SESSION, job=JOB, task=TASK, demand=UNIT), resumes=True)),
        (node, Accepted(session=SESSION)),
        (node, sign_commit(node, SESSION, me.commitment)),
        (node, Failed(session=SESSION, reason="disk full")),
        (them, sign_close(them, SESSION, 1, commitments)),
        (node, Reveal(session=SESSION, receipt=me.reveal(commitments, "requester")[1])),
        (node, Say(session=SESSION, statement=stated("y"))),
        (them, Ack(session=SESSION, of="commit/1")),
        (them, Cancel(session=SESSION)),
        (them, Settled(session=SESSION)),
        (node, sign_capacity(node, sequence=1, total=UNIT, free=UNIT, engines=(KIND,))),
    ]


def total(slots: int) -> Demand:
    return Demand(cpu_milli=1000 * slots, memory=slots << 30, disk=0, gpus=0)


def make_node(number: int = 0, *, slots: int = 1, **options) -> ComputeNode:
    return ComputeNode(identity(number), total=total(slots), engines=(KIND,), **options)


def requester_with(*nodes: int, readers=(), trust=None) -> Requester:
    """Return a requester that has heard of these nodes. readers: those that read `SignedAssign`."""
    requester = Requester(REQUESTER, trust=trust)
    for number in nodes:
        engines = (KIND, READS_SIGNED_ASSIGN) if number in readers else (KIND,)
        record = sign_capacity(identity(number), sequence=1, total=total(4), free=total(4), engines=engines)
        requester.handle(Heard(message=encode(record), via=identity(number).peer))
    return requester


def job(*, tasks=(TASK,), rule=None, **options) -> Submitted:
    return Submitted(job=JOB, tasks=tasks, rule=rule or make_rule(), demand=UNIT, seed="cd" * 32, **options)


def sent(actions, peer=None):
    """Return the messages that are sent, decoded; to one peer or to all."""
    return [
        decode(action.message, REQUESTER.peer)
        for action in actions
        if isinstance(action, Send) and peer in (None, action.peer)
    ]


def said(number: int, message) -> Received:
    return Received(peer=identity(number).peer, message=encode(message))


def told(message) -> Received:
    """Return what the requester sent to a node."""
    return Received(peer=REQUESTER.peer, message=encode(message))


def disk(actions, before=()) -> dict[str, bytes]:
    kept = dict(before)
    for action in actions:
        if isinstance(action, Persist):
            kept[action.key] = action.value
        elif isinstance(action, Forget):
            kept.pop(action.key, None)
    return kept


def records(actions):
    return [action.message for action in actions if isinstance(action, Broadcast)]
