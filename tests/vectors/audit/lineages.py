"""Records that come from records: three generations, each of which can be broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.cid import CID
from storage.unixfs_read import UnixfsReader
from tests.vectors.records.world import Edit, KeptStore, World


@dataclass(kw_only=True)
class Line:
    """A record, of another one's output, of another one's output: `oldest`, `parent`, `child`."""

    oldest: Mapping[str, Edit] = field(default_factory=dict)
    parent: Mapping[str, Edit] = field(default_factory=dict)
    child: Mapping[str, Edit] = field(default_factory=dict)
    takes: str = "outputs/outputs"
    """What each takes of the one before it."""

    def build(self) -> tuple[CID, dict[CID, bytes]]:
        """Return the child's record, and all blocks."""
        store = KeptStore()
        above: World | None = None
        for number, edits in enumerate((self.oldest, self.parent, self.child)):
            above = self._below(store, above, edits, number)
        assert above is not None
        return above.record, store.kept

    def _below(self, store: KeptStore, above: World | None, edits: Mapping[str, Edit], number: int) -> World:
        def after(name: str, own: Edit) -> Edit:
            def both(node: Any) -> None:
                own(node)
                edits.get(name, lambda same: None)(node)

            return both

        own: dict[str, Edit] = {"input": after("input", lambda node: node.update(epoch=number, volumes=[]))}
        if above is not None:
            taken = UnixfsReader(store).resolve(above.outputs[0], self.takes)
            parents = [above.record]
            own["input"] = after("input", lambda node: node.update(epoch=number, volumes=[], data=taken))
            own["record"] = after("record", lambda node: node.update(parents=parents))
        made = f"made by {number}".encode()
        own["output"] = after("output", lambda files: files.update({"outputs/outputs/made.txt": made}))
        world = World(store=store, edits={**edits, **own})
        world.build()
        return world


def forged(node: Any) -> None:
    node.update(fuel=1)
