"""The merge of shards' outputs by its definition: all trees at once, in no order, as dicts.

A tree is a file (bytes), a symlink (`Symlink`), content that is in a store already (`Entry`), or a dict of trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from storage.unixfs_import import Entry, Importer

CLASH: Final = object()
"""Stands where the trees contradict each other."""


@dataclass(frozen=True)
class Symlink:
    """A symlink."""

    target: str


def merged_tree(trees: Sequence[Any]) -> Any:
    """Return the merge of what several shards have at one path; CLASH where they contradict each other."""
    if all(tree == trees[0] for tree in trees):
        return trees[0]
    if not all(isinstance(tree, dict) for tree in trees):
        return CLASH
    names = {name for tree in trees for name in tree}
    return {name: merged_tree([tree[name] for tree in trees if name in tree]) for name in names}


def without_clashes(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {name: without_clashes(below) for name, below in tree.items() if below is not CLASH}


def entry_of(importer: Importer, tree: Any) -> Entry:
    """Import a tree."""
    if isinstance(tree, Entry):
        return tree
    if isinstance(tree, Symlink):
        return importer.symlink(tree.target)
    if isinstance(tree, bytes):
        return importer.bytes(tree)
    return importer.directory({name: entry_of(importer, below) for name, below in tree.items()})
