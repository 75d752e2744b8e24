"""What nodes say about a task, and what is made of that. Import these from `verifier.model`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from verifier.bounds import (
    MAX_NODES,
    Count,
    ExitCode,
    Hex32,
    Link,
    Peer,
    Signature,
    SortedLinks,
    Tier,
    Votes,
    Word,
    Words,
    at_most,
    sorted_by,
)
from verifier.schema import Schema


class Verdict(StrEnum):
    """What the verifier makes of the receipts of one task."""

    AGREED = "agreed"
    SPLIT = "split"
    """Receipts name different outputs, and none is named by enough of them and a strict majority."""
    TOO_FEW = "too-few"
    """Nobody disagrees, but fewer agree than were asked for (or, with `diverse`, too much alike)."""
    CACHED = "cached"
    """Only the command line says this: a record that agreed earlier was found and passed its audit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment(Schema):
    """A node's signed promise that its output is fixed, made before it has seen anyone else's."""

    VERSION: ClassVar[str] = "commitment/1"

    task: Link
    node: Peer
    digest: Hex32
    """sha2-256 of the commitment preimage (`verifier.commitment`)."""
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentList(Schema):
    """All commitments up to the close of a round. Receipts are signed only once it is published, and link to it.

    When more nodes are asked after a round, the next round's list holds the earlier commitments as well.
    """

    VERSION: ClassVar[str] = "commitments/1"

    task: Link
    commitments: Annotated[tuple[Commitment, ...], at_most(MAX_NODES), sorted_by("node")]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo(Schema):
    """What executed a task. Stated by the node, not proven."""

    name: Word
    version: Word
    arch: Word
    isolation: Words
    """Sandbox layers in force, outermost first; empty when there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Schema):
    """A node's signed statement that the task gave this output; by naming the closed round it also reveals."""

    VERSION: ClassVar[str] = "receipt/1"

    task: Link
    output: Link
    """UnixFS directory of `result`, `stdout`, `stderr`, `exit_code`, `outputs/…`."""
    exit_code: ExitCode
    fuel: Count | None
    """None where the runtime does not meter."""
    state_digest: Hex32
    """Of the whole linear memory after the run."""
    engine: EngineInfo
    node: Peer
    nonce: Hex32
    """32 random bytes that kept the commitment from being guessed."""
    round: Link
    """The commitment list that closed before this was signed."""
    signature: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Schema):
    """What the requester asked for; `verifier.compare.make_rule` has the defaults."""

    replication: Votes
    """Nodes that execute the task at first; more may be asked while they do not agree."""
    confidence: Votes
    """Receipts that must name the same output."""
    diverse: bool
    """Distinct engines or architectures were required."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Schema):
    """The verified triple {f, x, y} with its evidence: a node of the result graph."""

    VERSION: ClassVar[str] = "record/1"

    tier: Tier
    task: Link
    function: Link
    input: Link
    output: Link
    rule: Rule
    commitments: Link
    receipts: SortedLinks
    """Receipts that name `output`."""
    dissent: SortedLinks
    """Receipts of the same rounds that claim something else."""
    parents: SortedLinks
    """Records whose outputs are this task's inputs."""
