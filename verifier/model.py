"""The nouns of the flow as frozen types: what a task is, what a node says about it, what was made of that.

This is the data model of docs/record.ipldsch. Each type with a `VERSION` is one DAG-CBOR block whose first key is `v`,
so that every hashed or signed preimage starts with its type and version. Types are checked when made (`ModelError`) and
when read (`VerificationError`). A published version is never edited: a change of meaning is a new version.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, TypeVar

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of, make_cid
from storage.errors import UserError, VerificationError
from verifier.bounds import (
    MAX_NODES,
    AbsolutePath,
    Amount,
    Count,
    Environment,
    Epoch,
    ExitCode,
    FileName,
    Hex32,
    Identifier,
    JsonMap,
    Link,
    Peer,
    ProjectName,
    RelativePath,
    Seed,
    Signature,
    SortedLinks,
    Tier,
    Votes,
    Word,
    Words,
    at_most,
    sorted_by,
)
from verifier.peer_id import PeerId
from verifier.schema import ModelError, Schema

__all__ = [
    "CID", "Commitment", "CommitmentList", "EngineInfo", "Function", "Input", "Limits", "Lock", "ModelError",
    "OutputMount", "PeerId", "Receipt", "Record", "Rule", "Runtime", "RuntimeFile", "Task", "Verdict", "Volume",
    "Wheel", "load_node", "store_node",
]  # fmt: skip


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
class Function(Schema):
    """f: what is computed."""

    VERSION: ClassVar[str] = "function/1"

    source: Link
    """UnixFS directory that holds `function.py`."""
    entry: Identifier | None
    """Name of the entry point; None for a script, whose output is what it prints."""
    lock: Link
    runtime: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel(Schema):
    """One locked package."""

    name: ProjectName
    """Normalised as PEP 503 says."""
    version: Word
    file_name: FileName
    sha256: Hex32
    """Of the whole file, as package indexes give it."""
    wheel: Link
    """The same bytes as a UnixFS file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock(Schema):
    """The exact packages of a function, its requirements and everything they require."""

    VERSION: ClassVar[str] = "lock/1"

    python: Word
    """Version of the guest's Python, such as `3.14`."""
    platform: Word
    """Wheel platform tag, such as `pyemscripten_2026_0_wasm32`."""
    wheels: Annotated[tuple[Wheel, ...], sorted_by("name")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFile(Schema):
    """One file of the prepared runtime."""

    path: RelativePath
    size: Count
    """Bytes."""
    cid: Link
    """UnixFS file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime(Schema):
    """Manifest of a prepared runtime: everything but the function that can change an output."""

    VERSION: ClassVar[str] = "runtime/1"

    profile: Word
    """Determinism profile, such as `pyodide-1`."""
    pyodide: Word
    """Version of Pyodide."""
    files: Annotated[tuple[RuntimeFile, ...], sorted_by("path")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Schema):
    """A further input, mounted read-only."""

    path: AbsolutePath
    cid: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputMount(Schema):
    """A guest directory that is collected as `outputs/<name>`."""

    name: FileName
    path: AbsolutePath


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Schema):
    """Bounds of one execution; counted, not timed."""

    fuel: Amount | None
    """None: not bounded by fuel."""
    memory: Amount
    """Bytes of linear memory."""
    output: Amount
    """Bytes of result, stdout, stderr and outputs together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Schema):
    """x: everything that the function is applied to."""

    VERSION: ClassVar[str] = "input/1"

    data: Link | None
    """UnixFS file or directory; None is an empty file."""
    volumes: Annotated[tuple[Volume, ...], sorted_by("path")]
    outputs: Annotated[tuple[OutputMount, ...], sorted_by("name")]
    args: JsonMap
    env: Environment
    seed: Seed | None
    """Hex; None: derived from the task's CID."""
    epoch: Epoch
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Schema):
    """{f, x}: its CID is known before anything runs, and is the key of everything that follows."""

    VERSION: ClassVar[str] = "task/1"

    function: Link
    input: Link


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


T = TypeVar("T", bound=Schema)


def store_node(store: BlockStore, thing: Schema) -> CID:
    """Keep a thing of the model as one block and return its CID.

    Raises:
        UserError: it is larger than a block may be (2 MiB), by arguments or environment.
    """
    data = dag_cbor.encode(thing.to_node())
    if len(data) > dag_cbor.MAX_NODE_BYTES:
        raise UserError("is larger than 2 MiB", where=thing.VERSION, fix="pass large values as data, not as arguments")
    cid = make_cid(DAG_CBOR, data)
    store.put(cid, data)
    return cid


def load_node(store: BlockStore, cid: CID, kind: type[T]) -> T:
    """Read a thing of the model from its block.

    Raises:
        UnavailableError: the block is not here.
        VerificationError: it does not match its CID, is not canonical, or is not of this type.
    """
    if codec_of(cid) != DAG_CBOR:
        raise VerificationError(f"is not a {kind.VERSION} node", where=cid_text(cid))
    data = store.get(cid)
    try:
        return kind.from_node(dag_cbor.decode(data))
    except VerificationError as error:
        raise VerificationError(error.problem, where=f"{cid_text(cid)} {error.where}".strip()) from error
