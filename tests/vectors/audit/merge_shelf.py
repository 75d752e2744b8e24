"""Published graphs with the merge of a job over shards: outputs of shards, and statements that can be false of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from storage.blocks import BlockStore, ForgetfulBlockStore
from storage.cid import CID
from storage.unixfs_graft import finished_entry
from storage.unixfs_import import Entry, Importer
from tests.vectors.audit.graph_shelf import Shelf, changed, filed, put
from tests.vectors.audit.merge_reference import entry_of, merged_tree, without_clashes
from tests.vectors.audit.shapes import Case
from tests.vectors.records.world import Edit, KeptStore, World

NO_OUTPUTS: Final = None
"""A shard whose output has no directory `outputs`."""
PART: Final = 4096
Shown = dict[int, CID]
"""Of shards by number: their outputs or their records."""


@dataclass(kw_only=True)
class ShardWorld(World):
    """As `World`, by one node; its output has the given tree as `outputs`."""

    nodes: int = 1
    confidence: int = 1
    tree: Any

    def _output(self, *, lying: bool) -> CID:
        del lying
        files = {"result": b"", "stdout": b"", "stderr": b"", "exit_code": b"0"}
        more = {} if self.tree is NO_OUTPUTS else {"outputs": self.tree}
        return entry_of(Importer(self.store), files | more).cid


def shard_world(store: KeptStore, number: int, tree: Any, edits: Mapping[str, Edit]) -> ShardWorld:
    """Return the world of one shard: the same function, another input."""
    own: dict[str, Edit] = {"input": lambda node: node.update(epoch=number, volumes=[])}
    return ShardWorld(store=store, tree=tree, edits={**own, **edits})


def merge_of(store: BlockStore, outputs: Shown, tree: Any) -> Any:
    """Return the tree of a merged output: shards as they are, and this as `outputs`."""
    return {"outputs": tree, "shards": {str(number): finished_entry(store, cid) for number, cid in outputs.items()}}


@dataclass(kw_only=True)
class JobShelf:
    """The graph of one job; each field changes one thing of it."""

    shards: Mapping[int, Any] = field(default_factory=dict)
    """Below `outputs`, by shard."""
    special: Callable[[Importer], Mapping[int, Any]] | None = None
    """Makes the shards of what needs a store."""
    expected: Callable[[Mapping[int, Any]], Any] = lambda shards: without_clashes(
        merged_tree([tree for tree in shards.values() if tree is not NO_OUTPUTS] or [{}])
    )
    """Below `outputs` of the merge; by definition."""
    seen: Callable[[Shown], Shown] = lambda outputs: outputs
    """Which outputs the merge has as which shard."""
    stated: Callable[[Shown], Shown] = lambda records: records
    """Which records the statement has as which shard."""
    listed: Callable[[Shown], Sequence[tuple[int, CID]]] = lambda records: list(records.items())
    output: Callable[[KeptStore, CID], CID] = lambda _store, output: output
    """What the statement names in place of the merge."""
    statement: Callable[[dict[str, Any]], None] = lambda _node: None
    edits: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Of the worlds, by shard."""
    more: Callable[[KeptStore], Sequence[CID]] = lambda _store: ()
    """Further records of the graph."""
    rivals: Callable[[KeptStore], Sequence[CID]] = lambda _store: ()
    """Records that contradict some of it."""
    log: Callable[[list[CID]], list[CID]] = list
    """What the log has of the records, in its order."""
    is_kept: bool = True
    """The merged output is in the file."""

    def made(self) -> tuple[Shelf, JobShelf]:
        """Return the graph to build, and this with what was made."""
        store = KeptStore()
        shards = self.shards if self.special is None else self.special(Importer(store))
        worlds = {n: shard_world(store, n, tree, self.edits.get(n, {})) for n, tree in shards.items()}
        self.records = {number: world.build() for number, world in worlds.items()}
        self.outputs = {number: world.outputs[0] for number, world in worlds.items()}
        records = [*self.records.values(), *self.more(store)]
        seen = self.seen(self.outputs)
        aside = store if self.is_kept else ForgetfulBlockStore()
        merged = entry_of(Importer(aside), merge_of(store, seen, self.expected(shards))).cid
        self.merge = self._state(store, self.output(store, merged))
        more = changed(v="graph/2", merges=[self.merge], rivals=sorted(self.rivals(store)))
        return Shelf(records=records, blocks=dict(store.kept), root=more, log=self.log), self

    def _state(self, store: KeptStore, output: CID) -> CID:
        shards = [{"number": n, "record": cid} for n, cid in self.listed(self.stated(self.records))]
        parts = [shards[start : start + PART] for start in range(0, len(shards), PART)]
        self.parts = [put(store.kept, {"v": "merge-part/1", "shards": part}) for part in parts]
        node = {"v": "merge/1", "output": output, "parts": self.parts}
        self.statement(node)
        return put(store.kept, node)


def job(about: str, check: int | None, *, first: int | None = None, without: Any = None, **changes: Any) -> Case:
    """Return the case of a job's graph; without: finds a block that is left out."""

    def data() -> bytes:
        shelf, made = JobShelf(**changes).made()
        return filed(lambda: shelf, without=None if without is None else lambda _: without(made))()

    return Case(about=about, check=check, first=first, data=data)


def with_size(entry: Entry, tsize: int) -> Entry:
    """Return an entry whose link will claim another size."""
    return replace(entry, tsize=tsize)
