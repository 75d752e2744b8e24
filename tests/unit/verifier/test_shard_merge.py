import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import DAG_PB, RAW, make_cid
from storage.dag_pb import Link, encode_node
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_members import members
from storage.unixfs_node import NodeType, UnixfsNode, encode_unixfs
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from tests.counting_store import CountingBlockStore
from verifier.shard_merge import MAX_VERSIONS, Conflict, Version, merge_shards


@pytest.fixture
def store():
    return CountingBlockStore()


def output(store, files):
    builder = TreeBuilder(Importer(store))
    builder.add_directory("outputs")
    for path, content in files.items():
        if content is None:
            builder.add_directory(path)
        elif isinstance(content, str):
            builder.add_symlink(path, content)
        else:
            builder.add_file(path, content)
    return builder.finish().cid


def listing(store, cid, path):
    reader = UnixfsReader(store)
    return [member.path for member in members(reader, reader.resolve(cid, path)) if member.kind != "directory"]


def test_every_shard_has_its_output_and_all_have_one_tree(store):
    outputs = {
        0: output(store, {"result": b"0", "outputs/outputs/a": b"a", "outputs/plots/x.png": b"x"}),
        1: output(store, {"result": b"1", "outputs/outputs/b": b"b", "outputs/plots/sub/y.png": b"y"}),
        10: output(store, {"result": b"10"}),
    }
    merged = merge_shards(store, outputs)
    assert merged.conflicts == ()
    assert merged.conflict_count == 0
    expected = {
        "outputs/outputs/a": b"a",
        "outputs/outputs/b": b"b",
        "outputs/plots/sub/y.png": b"y",
        "outputs/plots/x.png": b"x",
        **{f"shards/{shard}/result": b"%d" % shard for shard in outputs},
        "shards/0/outputs/outputs/a": b"a",
        "shards/0/outputs/plots/x.png": b"x",
        "shards/1/outputs/outputs/b": b"b",
        "shards/1/outputs/plots/sub/y.png": b"y",
        "shards/10/outputs": None,
    }
    assert merged.output == output(MemoryBlockStore(), expected)


def test_the_order_of_shards_does_not_matter(store):
    outputs = {shard: output(store, {f"outputs/{shard % 3}/x": b"%d" % shard}) for shard in range(9)}
    merged = merge_shards(store, outputs)
    assert merge_shards(store, dict(sorted(outputs.items(), reverse=True))) == merged
    assert merged.conflict_count == 3


def test_how_a_directory_is_stored_does_not_matter(store):
    """A sharded directory, and two small ones that together are too large for one block."""
    names = [f"outputs/o/{number:05}-{'x' * 100}" for number in range(3000)]
    parts = {0: output(store, dict.fromkeys(names[::2], b"")), 1: output(store, dict.fromkeys(names[1::2], b""))}
    merged = merge_shards(store, parts).output
    whole = output(store, dict.fromkeys(names, b""))
    assert UnixfsReader(store).resolve(merged, "outputs") == UnixfsReader(store).resolve(whole, "outputs")


def test_the_same_content_is_no_conflict(store):
    outputs = {shard: output(store, {"result": b"%d" % shard, "outputs/o/same": b"same"}) for shard in range(5)}
    merged = merge_shards(store, outputs)
    assert merged.conflicts == ()
    assert listing(store, merged.output, "outputs") == ["o/same"]


def version(content, shard):
    return Version(cid=make_cid(RAW, content), shard=shard)


def test_different_content_is_a_conflict_and_nobody_wins(store):
    outputs = {
        shard: output(store, {"outputs/o/x": content, f"outputs/o/{shard}": b""})
        for shard, content in enumerate([b"a", b"b", b"a", b"c"])
    }
    merged = merge_shards(store, outputs)
    versions = (version(b"a", 0), version(b"b", 1), version(b"c", 3))
    assert merged.conflicts == (Conflict(path="o/x", versions=versions, has_more=False),)
    assert listing(store, merged.output, "outputs") == ["o/0", "o/1", "o/2", "o/3"]
    assert UnixfsReader(store).read_bytes(UnixfsReader(store).resolve(merged.output, "shards/3/outputs/o/x"), 1) == b"c"


KINDS = {"file": {"x": b"f"}, "directory": {"x/y": b"d"}, "empty": {"x": None}, "link": {"x": "to"}}


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_kinds_that_meet_at_a_path(store, first, second):
    outputs = {
        number: output(store, {f"outputs/o/{path}": content for path, content in KINDS[kind].items()})
        for number, kind in enumerate([first, second])
    }
    conflicts = [conflict.path for conflict in merge_shards(store, outputs).conflicts]
    fits = first == second or {first, second} == {"directory", "empty"}
    assert conflicts == ([] if fits else ["o/x"])


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0)])
def test_a_conflict_of_a_directory_takes_those_below_it(store, order):
    contents = [{"outputs/o/x/y": b"1"}, {"outputs/o/x/y": b"2"}, {"outputs/o/x": b"file"}]
    merged = merge_shards(store, {shard: output(store, contents[number]) for shard, number in enumerate(order)})
    [conflict] = merged.conflicts
    assert (conflict.path, len(conflict.versions), merged.conflict_count) == ("o/x", 3, 1)
    assert [version.shard for version in conflict.versions] == [0, 1, 2]
    assert listing(store, merged.output, "outputs") == []


@pytest.mark.parametrize(("count", "has_more"), [(MAX_VERSIONS, False), (MAX_VERSIONS + 1, True)])
@pytest.mark.parametrize("inner", ["", "/y"])
def test_versions_are_listed_up_to_a_bound(store, count, has_more, inner):
    outputs = {shard: output(store, {f"outputs/x{inner}": b"%d" % shard}) for shard in range(count - 1)}
    outputs[count] = output(store, {"outputs/x": b"last"})
    [conflict] = merge_shards(store, outputs).conflicts
    assert conflict.has_more is has_more
    assert len(conflict.versions) == MAX_VERSIONS


def test_conflicts_are_listed_up_to_a_bound_and_all_are_counted(store):
    outputs = {
        shard: output(store, {f"outputs/{number:04}": b"%d" % shard for number in range(1001)}) for shard in range(2)
    }
    merged = merge_shards(store, outputs)
    assert [conflict.path for conflict in merged.conflicts] == [f"{number:04}" for number in range(1000)]
    assert merged.conflict_count == 1001


def test_no_shard_at_all(store):
    merged = merge_shards(store, {})
    expected = output(MemoryBlockStore(), {"shards": None})
    assert merged.output == expected


def test_what_one_shard_has_alone_is_not_looked_into(store):
    gone = Importer(MemoryBlockStore()).directory({})
    importer = Importer(store)
    root = importer.directory({"outputs": importer.directory({"only": gone})}).cid
    assert UnixfsReader(store).resolve(merge_shards(store, {0: root}).output, "outputs/only") == gone.cid


def test_no_leaf_is_needed(store):
    importer, elsewhere = Importer(store), Importer(MemoryBlockStore())
    outputs = {
        shard: importer.directory({"outputs": importer.directory({"x": elsewhere.bytes(b"%d" % shard)})}).cid
        for shard in range(2)
    }
    assert [conflict.path for conflict in merge_shards(store, outputs).conflicts] == ["x"]


def test_outputs_that_are_no_directory_are_refused(store):
    importer = Importer(store)
    root = importer.directory({"outputs": importer.bytes(b"x")}).cid
    with pytest.raises(VerificationError, match="'outputs' is not a directory"):
        merge_shards(store, {0: root})


def test_an_output_that_is_not_here_is_told(store):
    with pytest.raises(UnavailableError):
        merge_shards(store, {0: output(MemoryBlockStore(), {})})


def test_too_many_entries_end(store, monkeypatch):
    monkeypatch.setattr("verifier.shard_merge.MAX_ENTRIES", 100)
    outputs = {shard: output(store, {f"outputs/o/{shard}": b""}) for shard in range(60)}
    with pytest.raises(UserError, match="more than 100 entries"):
        merge_shards(store, outputs)


def test_directories_inside_one_another_without_end_are_refused(store):
    importer = Importer(store)
    outputs = {}
    for shard in range(2):
        directory = importer.directory({"x": importer.bytes(b"%d" % shard)})
        for _ in range(130):
            directory = importer.directory({"d": directory})
        outputs[shard] = importer.directory({"outputs": directory}).cid
    with pytest.raises(VerificationError, match="128 directories deep"):
        merge_shards(store, outputs)


def test_sizes_that_cannot_be_are_refused(store):
    links = [Link(cid=make_cid(RAW, b"x"), name=b"x", tsize=(1 << 63) - 200)]
    block = encode_node(links, encode_unixfs(UnixfsNode(type=NodeType.DIRECTORY)))
    cid = make_cid(DAG_PB, block)
    store.put(cid, block)
    with pytest.raises(VerificationError, match="more bytes than there can be"):
        merge_shards(store, {0: cid, 1: cid})
