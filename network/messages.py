"""The messages between requester and node: frozen types, one strict DAG-CBOR node each. No behaviour.

Every message but `Capacity` names its session: the work of one task for one requester's job (`session_id`), so sending
one twice is harmless. Only what may have to convince a third party is signed here (`Commit`, `Close`, the
commitments and receipts inside, and that a run need not be whole: `SignedAssign`); the rest is vouched for by the
connection, whose other end is authenticated.
A published version is never edited: a change of meaning is a new version (docs/protocol.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from network.statement import Statement
from verifier.bounds import Amount, Count, Hex32, Link, Peer, Signature, Word, at_most
from verifier.model import Commitment, CommitmentList, Receipt
from verifier.schema import Schema

_JOB: Final = re.compile(r"[0-9a-f]{32}")
_SMALL: Final = 4 << 10
MAX_IN_HAND: Final = 128
"""Tasks of one job that a node takes without bids."""

JobId = Annotated[str, lambda value: "" if _JOB.fullmatch(value) else "must be 32 lower-case hex digits"]
InHand = Annotated[int, lambda value: "" if 0 <= value <= MAX_IN_HAND else f"must be 0 to {MAX_IN_HAND}"]
Milliseconds = Annotated[int, lambda value: "" if 1 <= value <= 7 * 86_400_000 else "must be 1 ms to a week"]


class Message(Schema):
    """What travels between a requester and a node."""

    __slots__ = ()

    MAX_BYTES: ClassVar[int] = _SMALL
    """Longest encoding that is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand(Schema):
    """An amount of what a machine has: what a task takes, what a node has, what it has free."""

    cpu_milli: Count
    """Thousandths of a core."""
    memory: Count
    """Bytes."""
    disk: Count
    """Bytes."""
    gpus: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(Message):
    """Requester to node: would you execute this?"""

    VERSION: ClassVar[str] = "offer/1"

    session: Hex32
    job: JobId
    task: Link
    demand: Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Bid(Message):
    """Node to requester: yes, and room for it is kept for a while."""

    VERSION: ClassVar[str] = "bid/1"

    session: Hex32
    engine: Word
    arch: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Message):
    """Node to requester: no, and do not wait for a bid."""

    VERSION: ClassVar[str] = "refuse/1"

    session: Hex32
    reason: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Decline(Message):
    """Requester to node: your bid is not needed, the room is free again."""

    VERSION: ClassVar[str] = "decline/1"

    session: Hex32


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(Message):
    """Requester to node: execute the whole of it, and commit."""

    VERSION: ClassVar[str] = "assign/1"

    session: Hex32
    job: JobId
    task: Link
    demand: Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAssign(Assign):
    """The same, and whether the node may go on from a checkpoint of its own. Only to nodes that say they read it."""

    VERSION: ClassVar[str] = "assign/2"
    """1 means all of it, and all nodes read that."""

    requester: Peer
    resumes: bool
    """It may, and may leave some; without, it runs the whole and leaves none."""
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Message):
    """Node to requester: the assignment is on my disk, and so many of its job I take without a bid for each."""

    VERSION: ClassVar[str] = "accepted/2"
    """1 did not say how many."""

    session: Hex32
    in_hand: InHand = 0
    """Tasks of this job that the requester may have here at a time, assigned and not committed to; 0: it offers them
    as ever. What a node said last counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(Message):
    """Node to requester: my commitment in this session. Two different ones of one session convict their signer."""

    VERSION: ClassVar[str] = "commit/1"

    session: Hex32
    node: Peer
    commitment: Commitment
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Message):
    """Node to requester: my host failed (undetermined): no output, no vote."""

    VERSION: ClassVar[str] = "failed/1"

    session: Hex32
    reason: Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Message):
    """Requester to node: the round is closed, reveal. Two different lists for one round convict their signer."""

    VERSION: ClassVar[str] = "close/1"
    MAX_BYTES: ClassVar[int] = 2 << 20

    session: Hex32
    round: Amount
    requester: Peer
    commitments: CommitmentList
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Reveal(Message):
    """Node to requester: my receipt, which names the closed list."""

    VERSION: ClassVar[str] = "reveal/1"
    MAX_BYTES: ClassVar[int] = 32 << 10
    """A receipt lists up to 64 sandbox layers of up to 255 bytes."""

    session: Hex32
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Say(Message):
    """Node to requester: what the container gave here, on my word alone. In place of a commitment."""

    VERSION: ClassVar[str] = "say/1"
    MAX_BYTES: ClassVar[int] = 48 << 10
    """Two texts, and an engine with 64 words."""

    session: Hex32
    statement: Statement


ACKNOWLEDGED: Final = (Commit.VERSION, Failed.VERSION, Reveal.VERSION, Say.VERSION)
AcknowledgedKind = Annotated[str, lambda kind: "" if kind in ACKNOWLEDGED else "is never acknowledged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(Message):
    """Requester to node: what you said is on my disk; do not repeat it."""

    VERSION: ClassVar[str] = "ack/1"

    session: Hex32
    of: AcknowledgedKind
    """Version of the message, such as `commit/1`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Message):
    """Requester to node: forget this session."""

    VERSION: ClassVar[str] = "cancel/1"

    session: Hex32


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Message):
    """Requester to node: the session is over, you may forget it."""

    VERSION: ClassVar[str] = "settled/1"

    session: Hex32


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind(Schema):
    """An engine that a node has; what `--diverse` tells apart."""

    engine: Word
    arch: Word


READS_SIGNED_ASSIGN: Final = EngineKind(engine=SignedAssign.VERSION, arch="any")
"""Stands among the engines of a node that reads `SignedAssign`: others look for the engines that they know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity(Message):
    """Gossip, the latest wins: what a node has and what of it is free. Signed, because others pass it on."""

    VERSION: ClassVar[str] = "capacity/1"

    node: Peer
    sequence: Count
    """Ascending over the node's whole life, restarts included."""
    total: Demand
    free: Demand
    engines: Annotated[tuple[EngineKind, ...], at_most(8)]
    signature: Signature


MESSAGES: Final[tuple[type[Message], ...]] = (
    Offer, Bid, Refuse, Decline, Assign, SignedAssign, Accepted, Commit, Failed, Close, Reveal, Say, Ack, Cancel,
    Settled, Capacity,
)  # fmt: skip
"""All of them, in the order of a session."""
