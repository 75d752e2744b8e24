"""Shards of any tree: together they are the tree again, in order, with nothing twice, however it is stored."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.shard_pattern import parse_pattern
from runtime.shards import make_shards
from storage.blocks import MemoryBlockStore
from storage.unixfs_import import Importer
from storage.unixfs_members import members
from storage.unixfs_profile import V1_2025
from storage.unixfs_read import UnixfsReader
from verifier.shard_merge import merge_shards

deterministic = settings(deadline=None, derandomize=True, max_examples=120)

TINY = replace(V1_2025, name="tiny", shard_threshold_bytes=120)
"""A few names make a sharded directory."""
names = st.text("a-/.é\U0001d11e\uffff", min_size=1, max_size=3).filter(
    lambda name: name not in (".", "..") and "/" not in name
)
contents = st.sampled_from([b"", b"1", b"2"])
directories = st.recursive(
    st.dictionaries(names, contents, min_size=1, max_size=8),
    lambda inner: st.dictionaries(names, contents | inner, min_size=1, max_size=6),
    max_leaves=12,
)


def entry(importer, tree):
    if isinstance(tree, bytes):
        return importer.bytes(tree)
    return importer.directory({name: entry(importer, below) for name, below in tree.items()})


@deterministic
@given(
    directories, st.sampled_from(["/", "/*", "/**", "/{**/,*}"]), st.integers(1, 5), st.sampled_from([V1_2025, TINY])
)
def test_what_is_cut_up_is_whole_together(tree, pattern, batch_size, profile):
    store = MemoryBlockStore()
    base = entry(Importer(store, profile), tree).cid
    shards = list(make_shards(store, base, parse_pattern(pattern), batch_size=batch_size))
    importer, reader = Importer(store), UnixfsReader(store)
    outputs = {
        shard.index: importer.directory({"outputs": entry_of(importer, reader, shard.directory)}).cid
        for shard in shards
    }
    merged = merge_shards(store, outputs)
    assert merged.conflicts == ()
    found = [(member.path, member.kind) for member in members(reader, reader.resolve(merged.output, "outputs"))]
    everything = [(member.path, member.kind) for member in members(reader, base)]
    assert found == everything
    assert sum(shard.picks for shard in shards) == 1 or all(shard.picks == batch_size for shard in shards[:-1])
    if pattern == "/**":
        files = [path for path, kind in everything if kind == "file"]
        assert [shard.first for shard in shards] == files[::batch_size]
        held = [member.path for shard in shards for member in members(reader, shard.directory) if member.kind == "file"]
        assert held == files
    if profile is V1_2025 and pattern != "/":
        assert reader.resolve(merged.output, "outputs") == base


def entry_of(importer, reader, cid):
    return importer.directory(
        {name: replace(importer.bytes(b""), cid=link.cid, tsize=link.tsize) for name, link in reader.entries(cid)}
    )


@deterministic
@given(directories, st.integers(1, 5))
def test_shards_do_not_depend_on_how_the_top_is_stored(tree, batch_size):
    plain, store = MemoryBlockStore(), MemoryBlockStore()
    below = {name: entry(Importer(store), content) for name, content in tree.items()}
    for content in tree.values():
        entry(Importer(plain), content)
    sharded = Importer(store, TINY).directory(below).cid
    basic = Importer(plain).directory(below).cid
    cut = [
        list(make_shards(blocks, base, parse_pattern("/**"), batch_size=batch_size))
        for blocks, base in ((store, sharded), (plain, basic))
    ]
    assert cut[0] == cut[1]
