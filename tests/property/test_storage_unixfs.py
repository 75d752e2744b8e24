"""UnixFS: content comes back as it went in, in every profile, shape and order of reading."""

import io
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.blocks import MemoryBlockStore
from storage.dag_tar import DagTar
from storage.dag_walk import walk
from storage.unixfs_export import export
from storage.unixfs_import import Importer
from storage.unixfs_profile import LEGACY, V0_2015, V1_2025
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder

MIB = 1 << 20
deterministic = settings(deadline=None, derandomize=True, max_examples=60)

TINY = replace(V1_2025, name="tiny", chunk_bytes=3, links_per_node=2, shard_threshold_bytes=120)
"""Small enough that a few bytes make deep trees and a few names make shards."""
TINY_OLD = replace(V0_2015, name="tiny-old", chunk_bytes=4, links_per_node=3, shard_threshold_bytes=90)

profiles = st.sampled_from([TINY, TINY_OLD])


def pattern(size: int) -> bytes:
    """Return bytes in which no two chunks are alike."""
    return b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))[:size]


@pytest.mark.parametrize("profile", [V1_2025, LEGACY, V0_2015], ids=lambda profile: profile.name)
@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_files_of_telling_sizes_round_trip(profile, size):
    store, data = MemoryBlockStore(), pattern(size)
    entry = Importer(store, profile).file(io.BytesIO(data))
    reader = UnixfsReader(store)
    assert entry.size == size == reader.stat(entry.cid).size
    assert reader.read_bytes(entry.cid, size) == data
    # No two blocks are alike, so the cumulative size is the sum of all blocks.
    assert entry.tsize == sum(len(block) for _, block in walk(store, entry.cid))


@deterministic
@given(st.binary(max_size=200), profiles)
def test_deep_trees_round_trip_and_are_balanced(data, profile):
    store = MemoryBlockStore()
    entry = Importer(store, profile).bytes(data)
    assert UnixfsReader(store).read_bytes(entry.cid, 1000) == data


seeks = st.lists(
    st.tuples(st.integers(0, 250), st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END]), st.integers(-1, 40)),
    max_size=12,
)


@deterministic
@given(st.binary(max_size=200), profiles, seeks)
def test_random_seeks_read_what_a_file_in_memory_reads(data, profile, steps):
    store = MemoryBlockStore()
    entry = Importer(store, profile).bytes(data)
    ours, model = UnixfsReader(store).open(entry.cid), io.BytesIO(data)
    for offset, whence, size in steps:
        # BytesIO stops at 0 where a file raises, so both are kept at or behind the start.
        offset = offset if whence == io.SEEK_SET else -min(offset, model.tell() if whence == io.SEEK_CUR else len(data))
        assert ours.seek(offset, whence) == model.seek(offset, whence)
        assert ours.read(size) == model.read(size)
        assert ours.tell() == model.tell()


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and len(name.encode()) <= 255
)
trees = st.recursive(
    st.binary(max_size=20), lambda inner: st.dictionaries(names, inner, max_size=8), max_leaves=20
).filter(lambda tree: isinstance(tree, dict))


def put(importer, tree):
    if isinstance(tree, bytes):
        return importer.bytes(tree)
    return importer.directory({name: put(importer, child) for name, child in tree.items()})


def get(reader, cid):
    if reader.stat(cid).kind == "file":
        return reader.read_bytes(cid, 1000)
    return {name: get(reader, link.cid) for name, link in reader.entries(cid)}


def flat(tree, prefix=""):
    for name, child in tree.items():
        yield prefix + name, child if isinstance(child, bytes) else None
        if isinstance(child, dict):
            yield from flat(child, f"{prefix}{name}/")


@deterministic
@given(trees, profiles)
def test_random_directories_round_trip(tree, profile):
    store = MemoryBlockStore()
    root = put(Importer(store, profile), tree)
    reader = UnixfsReader(store)
    assert get(reader, root.cid) == tree
    for path, content in flat(tree):
        cid = reader.resolve(root.cid, path)
        assert reader.stat(cid).kind == ("directory" if content is None else "file")


@deterministic
@given(st.sets(names, min_size=1, max_size=60), profiles)
def test_sharded_names_are_listed_in_utf8_order_and_found(found, profile):
    store = MemoryBlockStore()
    importer = Importer(store, profile)
    file = importer.bytes(b"x")
    root = importer.directory(dict.fromkeys(found, file))
    reader = UnixfsReader(store)
    assert [name for name, _ in reader.entries(root.cid)] == sorted(found, key=str.encode)
    assert all(reader.resolve(root.cid, name) == file.cid for name in found)


@deterministic
@given(trees, st.randoms(use_true_random=False))
def test_the_order_of_adding_makes_no_difference(tree, random):
    importer = Importer(MemoryBlockStore(), TINY)
    builder, items = TreeBuilder(importer), list(flat(tree))
    random.shuffle(items)
    for path, content in items:
        if content is None:
            builder.add_directory(path)
        else:
            builder.add_file(path, content)
    assert builder.finish() == put(importer, tree)


@deterministic
@given(trees)
def test_a_tar_stream_is_what_tarfile_sees(tree):
    store = MemoryBlockStore()
    root = put(Importer(store, TINY), tree)
    with (
        DagTar(UnixfsReader(store), root.cid) as raw,
        tarfile.open(fileobj=io.BufferedReader(raw), mode="r:") as tar,
    ):
        seen = {member.name: tar.extractfile(member).read() if member.isreg() else None for member in tar}
    assert seen == dict(flat(tree))


@deterministic
@given(trees, st.data())
def test_any_slice_of_a_tar_stream_is_that_slice_of_the_whole(tree, draw):
    store = MemoryBlockStore()
    stream = DagTar(UnixfsReader(store), put(Importer(store, TINY), tree).cid)
    whole = stream.read()
    buffered = io.BufferedReader(stream, 7)
    for _ in range(5):
        start = draw.draw(st.integers(0, len(whole)))
        size = draw.draw(st.integers(0, 1500))
        buffered.seek(start)
        assert buffered.read(size) == whole[start : start + size]


plain = st.text("abcdefgh", min_size=1, max_size=3)
plain_trees = st.recursive(
    st.binary(max_size=20), lambda inner: st.dictionaries(plain, inner, max_size=4), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


@settings(deterministic, max_examples=25)
@given(tree=plain_trees)
def test_export_and_import_give_the_same_cid(tmp_path_factory, tree):
    store = MemoryBlockStore()
    importer = Importer(store, TINY)
    root = put(importer, tree)
    target = tmp_path_factory.mktemp("export") / "out"
    export(UnixfsReader(store), root.cid, target)
    assert importer.path(target) == root
