"""What was run and not verified: a record of its own type, so that nothing takes it for evidence.

It has no receipts, no commitments and no signature: whoever made it says so, and nobody else. `Record` refuses its
tier, and an audit of one is `unchecked`. Other records may name it among their parents: they are tainted then
(`verifier.taint`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import VerificationError
from verifier.bounds import ExitCode, Link, Peer, SortedLinks, at_most
from verifier.claim_types import EngineInfo, Record
from verifier.schema import ModelError, Schema

TIER: Final = "unverified"
MAX_RUNS: Final = 1000

UnverifiedTier = Annotated[str, lambda tier: "" if tier == TIER else f"must be {TIER!r}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedRun(Schema):
    """One run: what it gave, as the machine that ran it says."""

    output: Link
    """UnixFS directory of `result`, `stdout`, `stderr`, `exit_code`, `outputs/…`."""
    exit_code: ExitCode
    engine: EngineInfo
    node: Peer | None = None
    """Who said so, to the one who made the record; None: whoever made the record ran it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedRecord(Schema):
    """{f, x, y} on somebody's word alone."""

    VERSION: ClassVar[str] = "unverified-record/1"

    tier: UnverifiedTier
    task: Link
    function: Link
    """Of another type than `function/1`, such as `container-function/1`."""
    input: Link
    output: Link
    """What every run gave."""
    exit_code: ExitCode
    runs: Annotated[tuple[UnverifiedRun, ...], at_most(MAX_RUNS)]
    """At least one; all gave this output and exit code."""
    parents: SortedLinks
    """Records, of any tier, whose outputs are this task's inputs."""

    def __post_init__(self) -> None:
        """Check the fields, and that the runs say what the record says.

        Raises:
            ModelError: they do not.
        """
        Schema.__post_init__(self)
        if not self.runs:
            raise ModelError("must have at least one run", field="runs")
        for number, run in enumerate(self.runs):
            if (run.output, run.exit_code) != (self.output, self.exit_code):
                raise ModelError("gave something else than the record says", field=f"runs[{number}]")


AnyRecord = Record | UnverifiedRecord


def load_any_record(store: BlockStore, cid: CID) -> AnyRecord:
    """Read a record of either tier from its block; the type is the one that the block itself names.

    Raises:
        UnavailableError: the block is not here.
        VerificationError: it is no record.
    """
    if codec_of(cid) != DAG_CBOR:
        raise VerificationError("is no record", where=cid_text(cid))
    data = store.get(cid)
    try:
        node = dag_cbor.decode(data)
        return (UnverifiedRecord if is_unverified(node) else Record).from_node(node)
    except VerificationError as error:
        raise VerificationError(error.problem, where=f"{cid_text(cid)} {error.where}".strip()) from error


def is_unverified(node: object) -> bool:
    """Tell whether a decoded block says that it is an unverified record, well-formed or not."""
    return isinstance(node, dict) and node.get("v") == UnverifiedRecord.VERSION
