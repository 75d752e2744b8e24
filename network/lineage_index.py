"""Filing records: from the blocks in the store to the rows of the lineage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from network.lineage_store import Filed, LineageRow, LineageStore, Part
from storage import dag_cbor
from storage.blocks import BlockMissingError, BlockStore
from storage.cid import CID, DAG_CBOR, cid_text, codec_of
from storage.errors import BacalhauError, VerificationError
from storage.unixfs_load import is_raw
from storage.unixfs_read import UnixfsReader
from verifier.graph_reading import RecordFacts, read_facts
from verifier.model import Input, Lock, load_node

AT_ONCE: Final = 256
"""Records of one transaction."""
MAX_ENTRIES: Final = 1000
"""Entries that are filed of one directory and what is below it; of what is beyond, the directory alone is known."""
MAX_DEPTH: Final = 8
"""Directories inside one another that are looked into."""
_MERGE: Final = "merge"
"""Role of the statement that an output is merged."""
_TAKEN: Final = frozenset({"data", "volume", "entry", "wheel", _MERGE})
"""Roles that mean something else than a link of a function."""
_OF_EVERY_OUTPUT: Final = frozenset({"exit_code", "stderr", "stdout"})
"""Mostly empty, and the same in many outputs: where such a file came from nobody asks."""


class Filer:
    """Files records; reads what several have in common once. For one thread."""

    def __init__(self, store: BlockStore, lineage: LineageStore) -> None:
        self._store = store
        self._lineage = lineage
        self._reader = UnixfsReader(store)
        self._seen: set[CID] = set()
        """Functions, inputs and directories whose parts were filed."""

    def catch_up(self, told: Callable[[int], None] = lambda _done: None) -> int:
        """File what was made here since; return how many records. told: called with how many so far.

        A record that is not in the store, or is none, is struck off: nothing is known of it but its CID.

        Raises:
            UnavailableError: the lineage cannot be written, or the store cannot be read: then it is to be filed still.
        """
        done = 0
        while batch := self._lineage.pending(AT_ONCE):
            self._lineage.file(self._filed(batch), done=batch)
            done += len(batch)
            told(done)
        return done

    def add(self, records: Iterable[RecordFacts], *, merged: bool) -> None:
        """File records that were read already.

        Raises:
            UnavailableError: the lineage cannot be written.
        """
        self._lineage.file([self._of(facts, merged=merged) for facts in records])

    def add_merge(self, merge: CID, output: CID) -> None:
        """File a statement of what a job over shards gave, under its output.

        Raises:
            UnavailableError: the lineage cannot be written.
        """
        self._lineage.file_part(Part(owner=output, role=_MERGE, path=cid_text(merge), cid=merge))

    def _filed(self, records: Iterable[CID]) -> Iterator[Filed]:
        for record in records:
            try:
                facts = read_facts(self._store, record)
            except (BlockMissingError, VerificationError):
                continue
            yield self._of(facts, merged=False)

    def _of(self, facts: RecordFacts, *, merged: bool) -> Filed:
        row = LineageRow(
            record=facts.cid,
            tier=facts.tier,
            task=facts.task,
            function=facts.function,
            input=facts.input,
            output=facts.output,
            receipts=facts.receipts,
            dissent=facts.dissent,
            merged=merged,
        )
        return Filed(row=row, parents=facts.parents, parts=tuple(self._parts(facts)))

    def _parts(self, facts: RecordFacts) -> Iterator[Part]:
        """Yield what is here of what a record's function, input and output are made of."""
        yield from self._once(facts.function, self._of_function)
        yield from self._once(facts.input, self._of_input)
        yield from self._once(facts.output, self._entries)

    def _once(self, owner: CID, parts: Callable[[CID], Iterator[Part]]) -> Iterator[Part]:
        if owner in self._seen:
            return
        self._seen.add(owner)
        try:
            yield from parts(owner)
        except BacalhauError:  # not here, or of a kind that is not known: its parts are not
            return

    def _of_function(self, cid: CID) -> Iterator[Part]:
        """Yield what a function of any kind names: source, lock, runtime, module, …; and the wheels of a lock."""
        node = dag_cbor.decode(self._store.get(cid)) if codec_of(cid) == DAG_CBOR else None
        named = {name: value for name, value in node.items() if type(value) is bytes} if isinstance(node, dict) else {}
        for role, value in sorted(named.items()):
            if role not in _TAKEN:
                yield Part(owner=cid, role=role, path="", cid=CID(value))
        if "lock" in named:
            for wheel in load_node(self._store, CID(named["lock"]), Lock).wheels:
                yield Part(owner=cid, role="wheel", path=wheel.file_name, cid=wheel.wheel)

    def _of_input(self, cid: CID) -> Iterator[Part]:
        x = load_node(self._store, cid, Input)
        contents = [] if x.data is None else [("data", "", x.data)]
        contents += [("volume", volume.path, volume.cid) for volume in x.volumes]
        for role, path, content in contents:
            yield Part(owner=cid, role=role, path=path, cid=content)
            yield from self._once(content, self._entries)

    def _entries(self, root: CID) -> Iterator[Part]:
        """Yield what is in a directory, the upper levels first, up to a bound."""
        room, level, prefix_of = MAX_ENTRIES, [root], {root: ""}
        for _ in range(MAX_DEPTH):
            below: list[CID] = []
            for directory in level:
                if is_raw(directory) or self._reader.stat(directory).kind != "directory":
                    continue
                names = self._reader.listing(directory)[: room + len(_OF_EVERY_OUTPUT)]
                is_output = directory == root and {link.name.decode() for link in names} >= _OF_EVERY_OUTPUT
                for link in names:
                    name = link.name.decode()
                    if is_output and name in _OF_EVERY_OUTPUT:
                        continue
                    if room == 0:
                        return
                    room -= 1
                    path = f"{prefix_of[directory]}{name}"
                    yield Part(owner=root, role="entry", path=path, cid=link.cid)
                    if link.cid not in prefix_of:
                        prefix_of[link.cid] = f"{path}/"
                        below.append(link.cid)
            level = below
