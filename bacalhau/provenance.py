"""What a record and the records before it say, as values that every export is made of.

Read from blocks as they are: a function, input or record of a kind that this release does not know is shown with what
can be read of it. Nothing here says that a record is valid (`audit` does); it says what is claimed, by whom, and on
what footing it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from storage import dag_cbor
from storage.blocks import BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import UnavailableError, VerificationError
from verifier.ancestry import walk_ancestors
from verifier.container_types import ContainerFunction
from verifier.graph_reading import RecordFacts, read_facts

MAX_RECORDS: Final = 10_000
"""Records of one export."""


class Footing(StrEnum):
    """What a record's output rests on."""

    VERIFIED = "verified"
    """It, and all records that it comes from, are of the tier `verified`."""
    TAINTED = "tainted"
    """It was verified; a record that it comes from is of the tier `unverified`."""
    UNVERIFIED = "unverified"
    """It is of the tier `unverified` itself."""
    UNKNOWN = "unknown"
    """It was verified; a record that it comes from is not here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one receipt says."""

    node: str
    output: CID
    exit_code: int
    engine: str
    """Name, version and architecture."""
    agrees: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One locked wheel."""

    name: str
    version: str
    file_name: str
    sha256: str
    wheel: CID


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a container was made of."""

    config_sha256: str
    """Of its configuration, hex: the image's id."""
    repository: str | None
    """Where a registry gives it; None where it came from none. So `manifest_sha256`."""
    manifest_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """One record: a function, what it was applied to, what it gave, and who says so."""

    record: CID
    tier: str
    footing: Footing
    task: CID | None
    function: CID | None
    input: CID | None
    output: CID
    parents: tuple[CID, ...]
    rule: Mapping[str, Any] = field(default_factory=dict)
    votes: tuple[Vote, ...] = ()
    """Of the receipts that are here; those that agree first."""
    agreeing: int = 0
    dissenting: int = 0
    """Receipts that the record lists as dissent, whether they are here or not."""
    kind: str = ""
    """Type and version of the function, such as `function/1`; empty if it is not here."""
    source: CID | None = None
    """Directory of a Python function."""
    module: CID | None = None
    """File of a WebAssembly module."""
    image: Image | None = None
    """Of a container."""
    exit_code: int | None = None
    """The function's, as those that agree or the record itself say; None where that is not here."""
    entry: str | None = None
    runtime: CID | None = None
    profile: str = ""
    packages: tuple[Package, ...] = ()
    data: CID | None = None
    volumes: tuple[tuple[str, CID], ...] = ()
    """Guest path and content."""
    args: Mapping[str, Any] = field(default_factory=dict)
    seed: str | None = None
    epoch: int | None = None
    """Where the task's own clock began, in seconds since 1970: not when it ran."""

    @property
    def name(self) -> str:
        """A short name for people: the entry point, or what there is instead of one."""
        return self.entry or ("script" if self.kind == "function/1" else self.kind.partition("/")[0] or "task")

    @property
    def inputs(self) -> tuple[tuple[str, CID], ...]:
        """Contents that it was applied to: `data`, and volumes by their paths."""
        return (*(() if self.data is None else (("data", self.data),)), *self.volumes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """A record with all that it comes from."""

    root: CID
    performed: tuple[Performed, ...]
    """Parents before their children; the root is the last."""
    missing: tuple[CID, ...]
    """Records that are named as parents and are not here, or cannot be read."""

    def __iter__(self) -> Iterator[Performed]:
        """Go through the records, the oldest first."""
        return iter(self.performed)

    @property
    def last(self) -> Performed:
        """The record that it is about."""
        return self.performed[-1]


def read_provenance(store: BlockStore, root: CID) -> Provenance:
    """Read a record and everything that it comes from, as far as it is here.

    Raises:
        UnavailableError: the record is not here, or there are more than MAX_RECORDS.
        VerificationError: it is no record.
    """
    found = {root: read_facts(store, root)}
    missing: list[CID] = []
    for step in walk_ancestors(store, [root]):
        if len(found) + len(missing) >= MAX_RECORDS:
            raise UnavailableError(
                f"comes from more than {MAX_RECORDS} records", where=cid_text(root), fix="export one of them"
            )
        if isinstance(step.found, RecordFacts):
            found[step.cid] = step.found
        else:
            missing.append(step.cid)
    footings: dict[CID, Footing] = {}
    for cid in _in_order(found, root):
        footings[cid] = _footing(found[cid], footings)
    performed = tuple(_performed(store, cid, found[cid], footing) for cid, footing in footings.items())
    return Provenance(root=root, performed=performed, missing=tuple(sorted(missing)))


def _in_order(found: Mapping[CID, RecordFacts], root: CID) -> list[CID]:
    """Sort records, parents first, and where that says nothing by their CIDs; the root is last, for all lead to it."""
    sorter: TopologicalSorter[CID] = TopologicalSorter()
    for cid in sorted(found):
        sorter.add(cid, *(parent for parent in found[cid].parents if parent in found))
    try:
        sorter.prepare()
    except CycleError as error:
        raise VerificationError("records name each other in a circle", where=cid_text(root)) from error
    ordered: list[CID] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += ready
        sorter.done(*ready)
    return ordered


def _footing(record: RecordFacts, known: Mapping[CID, Footing]) -> Footing:
    if record.tier != "verified":
        return Footing.UNVERIFIED
    above = {known.get(parent, Footing.UNKNOWN) for parent in record.parents}
    if above & {Footing.UNVERIFIED, Footing.TAINTED}:
        return Footing.TAINTED
    return Footing.UNKNOWN if Footing.UNKNOWN in above else Footing.VERIFIED


def _performed(store: BlockStore, cid: CID, record: RecordFacts, footing: Footing) -> Performed:
    node = _node(store, cid)
    function = _node(store, _link(node.get("function")))
    lock, runtime = _node(store, _link(function.get("lock"))), _node(store, _link(function.get("runtime")))
    x = _node(store, _link(node.get("input")))
    votes = (*_votes(store, node.get("receipts"), agrees=True), *_votes(store, node.get("dissent"), agrees=False))
    volumes = [(one.get("path"), _link(one.get("cid"))) for one in _maps(x.get("volumes"))]
    return Performed(
        record=cid,
        tier=record.tier,
        footing=footing,
        task=_link(node.get("task")),
        function=_link(node.get("function")),
        input=_link(node.get("input")),
        output=record.output,
        parents=record.parents,
        rule=_plain(_map(node.get("rule"))),
        votes=votes,
        agreeing=len(_links(node.get("receipts"))),
        dissenting=len(_links(node.get("dissent"))),
        kind=_text(function.get("v")) or "",
        source=_link(function.get("source")),
        module=_link(function.get("module")),
        image=_image(function),
        exit_code=next((vote.exit_code for vote in votes if vote.agrees), _number(node.get("exit_code"))),
        entry=_text(function.get("entry")),
        runtime=_link(function.get("runtime")),
        profile=_text(runtime.get("profile")) or "",
        packages=tuple(_packages(lock)),
        data=_link(x.get("data")),
        volumes=tuple((str(path), content) for path, content in volumes if content is not None),
        args=_plain(_map(x.get("args"))),
        seed=_text(x.get("seed")),
        epoch=_number(x.get("epoch")),
    )


def _image(function: Mapping[str, Any]) -> Image | None:
    if function.get("v") != ContainerFunction.VERSION:
        return None
    try:
        read = ContainerFunction.from_node(function)
    except VerificationError:
        return None
    repository, _, manifest = (read.repo_digest or "").partition("@sha256:")
    return Image(
        config_sha256=read.image.removeprefix("sha256:"),
        repository=repository or None,
        manifest_sha256=manifest or None,
    )


def _packages(lock: Mapping[str, Any]) -> Iterator[Package]:
    for one in _maps(lock.get("wheels")):
        wheel = _link(one.get("wheel"))
        texts = [_text(one.get(key)) for key in ("name", "version", "file_name", "sha256")]
        if wheel is not None and None not in texts:
            name, version, file_name, sha256 = (str(text) for text in texts)
            yield Package(name=name, version=version, file_name=file_name, sha256=sha256, wheel=wheel)


def _votes(store: BlockStore, receipts: Any, *, agrees: bool) -> Iterator[Vote]:
    for cid in _links(receipts):
        receipt = _node(store, cid)
        output, exit_code = _link(receipt.get("output")), receipt.get("exit_code")
        node, engine = _text(receipt.get("node")), _map(receipt.get("engine"))
        if output is not None and node is not None and type(exit_code) is int:
            told = " ".join(str(engine.get(key, "")) for key in ("name", "version", "arch")).strip()
            yield Vote(node=node, output=output, exit_code=exit_code, engine=told, agrees=agrees)


def _node(store: BlockStore, cid: CID | None) -> Mapping[str, Any]:
    """Return a DAG-CBOR map; an empty one for what is not here or is none."""
    if cid is None or codec_of(cid) != DAG_CBOR:
        return {}
    try:
        return _map(dag_cbor.decode(store.get(cid)))
    except (UnavailableError, VerificationError):
        return {}


def _link(value: Any) -> CID | None:
    return CID(value) if isinstance(value, bytes) else None  # in a decoded node all bytes are links


def _links(value: Any) -> list[CID]:
    return [CID(one) for one in value if isinstance(one, bytes)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _plain(value: Any) -> Any:
    """Return what JSON can hold: an input that is not sound may have links where there are none to be."""
    if isinstance(value, bytes):
        return cid_text(CID(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _number(value: Any) -> int | None:
    return value if type(value) is int else None


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _maps(value: Any) -> Iterable[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
