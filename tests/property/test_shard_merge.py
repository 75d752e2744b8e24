"""The merged tree of shards' outputs against a reference that merges dicts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.blocks import MemoryBlockStore
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from tests.vectors.audit.merge_reference import CLASH, entry_of, merged_tree, without_clashes
from verifier.shard_merge import merge_shards

deterministic = settings(deadline=None, derandomize=True, max_examples=300)

names = st.sampled_from("abc")
trees = st.recursive(
    st.sampled_from([b"1", b"2"]), lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=6
).filter(lambda tree: isinstance(tree, dict))
shards = st.dictionaries(st.integers(0, 20), trees, max_size=5)


def clashes(tree, prefix=""):
    for name, below in sorted(tree.items()):
        if below is CLASH:
            yield prefix + name
        elif isinstance(below, dict):
            yield from clashes(below, f"{prefix}{name}/")


@deterministic
@given(shards)
def test_the_merged_tree_is_that_of_the_reference(shards):
    store = MemoryBlockStore()
    importer = Importer(store)
    outputs = {shard: entry_of(importer, {"outputs": tree}).cid for shard, tree in shards.items()}
    merged = merge_shards(store, outputs)
    expected = merged_tree(list(shards.values())) if shards else {}
    reader = UnixfsReader(store)
    assert [conflict.path for conflict in merged.conflicts] == list(clashes(expected))
    assert reader.resolve(merged.output, "outputs") == entry_of(importer, without_clashes(expected)).cid
    assert {name: link.cid for name, link in reader.entries(reader.resolve(merged.output, "shards"))} == {
        str(shard): cid for shard, cid in outputs.items()
    }
