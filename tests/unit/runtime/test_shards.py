from dataclasses import replace

import pytest

from runtime.shard_pattern import parse_pattern
from runtime.shard_walk import picks
from runtime.shards import find_base, make_shards
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, DAG_PB, RAW, make_cid
from storage.dag_pb import Link, encode_node
from storage.dag_walk import walk
from storage.errors import UnavailableError, UserError, VerificationError
from storage.unixfs_import import Entry, Importer
from storage.unixfs_node import NodeType, UnixfsNode, encode_unixfs
from storage.unixfs_profile import V0_2015, V1_2025
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from tests.counting_store import CountingBlockStore

TINY = replace(V1_2025, name="tiny", shard_threshold_bytes=120)
"""A few names make a sharded directory."""
FILES = {
    "2022/01/a.csv": b"1",
    "2022/01/b.csv": b"2",
    "2022/01/notes.txt": b"3",
    "2022/02/a.csv": b"4",
    "2023/01/a.csv": b"5",
    ".hidden/x.csv": b"6",
    "readme": b"7",
}


@pytest.fixture
def store():
    return CountingBlockStore()


def tree(store, files, profile=V1_2025):
    builder = TreeBuilder(Importer(store, profile))
    for path, content in files.items():
        builder.add_file(path, content)
    return builder.finish().cid


def split(store, base, pattern, **more):
    return list(make_shards(store, base, parse_pattern(pattern), **more))


def paths(store, base, pattern):
    return [pick.path for pick in picks(UnixfsReader(store), base, parse_pattern(pattern))]


EXPECTED = {
    "/": [""],
    "/*": [".hidden", "2022", "2023", "readme"],
    "/*/": [".hidden", "2022", "2023"],
    "/[!.]*": ["2022", "2023", "readme"],
    "/*/*": [".hidden/x.csv", "2022/01", "2022/02", "2023/01"],
    "/**": [".hidden/x.csv", *(path for path in FILES if path[0] == "2"), "readme"],
    "/**/*.csv": [".hidden/x.csv", "2022/01/a.csv", "2022/01/b.csv", "2022/02/a.csv", "2023/01/a.csv"],
    "/**/01/": ["2022/01", "2023/01"],
    "/2022/01/*.csv": ["2022/01/a.csv", "2022/01/b.csv"],
    "/{2022,2022/01}": ["2022"],
    "/{2022/,**/a.csv}": ["2022", "2023/01/a.csv"],
    "/{readme,2023/01/a.csv,nothing}": ["2023/01/a.csv", "readme"],
    "/readme/x": [],
    "/readme/": [],
}


@pytest.mark.parametrize("profile", [V1_2025, TINY, V0_2015], ids=lambda profile: profile.name)
@pytest.mark.parametrize("pattern", EXPECTED)
def test_what_is_picked_in_order(store, pattern, profile):
    assert paths(store, tree(store, FILES, profile), pattern) == EXPECTED[pattern]


def test_the_order_is_that_of_archives(store):
    """By bytes, name by name: 'a/x' comes before 'a-b', though '-' is less than '/'."""
    base = tree(store, dict.fromkeys(["a-b", "a/x", "B", "é", "z", "￿", "𝄞"], b""))
    assert paths(store, base, "/**") == ["B", "a/x", "a-b", "z", "é", "￿", "𝄞"]


def test_a_shard_keeps_paths_and_blocks(store):
    [first, second] = split(store, tree(store, FILES), "/**/a.csv", batch_size=2)
    assert first.directory == tree(
        MemoryBlockStore(), {path: FILES[path] for path in ("2022/01/a.csv", "2022/02/a.csv")}
    )
    assert second.directory == tree(MemoryBlockStore(), {"2023/01/a.csv": b"5"})
    assert (first.index, first.picks, first.first, first.last) == (0, 2, "2022/01/a.csv", "2022/02/a.csv")
    assert (second.index, second.picks, second.first, second.last) == (1, 1, "2023/01/a.csv", "2023/01/a.csv")


def test_the_whole_is_the_base_itself(store):
    base = tree(store, FILES, TINY)
    assert [shard.directory for shard in split(store, base, "/", batch_size=7)] == [base]


def test_everything_at_the_top_in_one_batch_is_the_whole(store):
    base = tree(store, FILES)
    assert [shard.directory for shard in split(store, base, "/*", batch_size=100)] == [base]


def test_picked_directories_come_whole(store):
    builder = TreeBuilder(Importer(store))
    builder.add_directory("a/empty")
    builder.add_symlink("a/link", "../b/x")
    builder.add_file("b/x", b"x")
    base = builder.finish().cid
    [first, _] = split(store, base, "/*")
    expected = TreeBuilder(Importer(MemoryBlockStore()))
    expected.add_directory("a/empty")
    expected.add_symlink("a/link", "../b/x")
    assert first.directory == expected.finish().cid


def test_symlinks_are_picked_as_links_and_not_followed(store):
    builder = TreeBuilder(Importer(store))
    builder.add_file("d/x", b"x")
    builder.add_symlink("to-d", "d")
    builder.add_symlink("nowhere", "gone")
    base = builder.finish().cid
    assert paths(store, base, "/**") == ["d/x", "nowhere", "to-d"]
    assert paths(store, base, "/*/") == ["d"]
    assert paths(store, base, "/to-d/*") == []
    shards = split(store, base, "/to-d")
    assert UnixfsReader(store).read_link(UnixfsReader(store).resolve(shards[0].directory, "to-d")) == "d"


def test_shards_are_the_same_however_the_directory_is_stored(store):
    """A sharded directory lists its entries in the order of hashes, and a basic one in that of names."""
    files = {f"{number:03}.csv": b"%d" % number for number in range(50)}
    split_up = split(store, tree(store, files, TINY), "/*", batch_size=7)
    assert split_up == split(store, tree(store, files), "/*", batch_size=7)
    assert [shard.picks for shard in split_up] == [7] * 7 + [1]


def test_what_did_not_change_is_the_same_shard(store):
    before = split(store, tree(store, FILES), "/**/*.csv")
    after = split(store, tree(store, FILES | {"2022/01/b.csv": b"other"}), "/**/*.csv")
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, True, True]


def big_file(store):
    """Return a file of several leaves, none of which is in the store."""
    elsewhere = MemoryBlockStore()
    file = Importer(elsewhere).bytes(bytes(3 << 20))
    store.put(file.cid, elsewhere.get(file.cid))
    return file


@pytest.mark.parametrize("pattern", ["/*", "/**", "/**/*.bin", "/*/*", "/d/*"])
def test_no_leaf_is_needed(store, pattern):
    importer = Importer(store)
    small = Importer(MemoryBlockStore()).bytes(b"elsewhere")
    inner = importer.directory({"small.bin": small, "big.bin": big_file(store)})
    base = importer.directory({"d": inner, "small.bin": small}).cid
    assert split(store, base, pattern)


def test_cumulative_sizes_are_kept(store):
    big = big_file(store)
    base = Importer(store).directory({"big": big, "other": big}).cid
    [shard, _] = split(store, base, "/*")
    assert shard.directory == Importer(MemoryBlockStore()).directory({"big": big}).cid


def test_only_directories_on_the_way_are_opened(store):
    files = {f"{year}/{month:02}/{n}.csv": b"" for year in range(2000, 2050) for month in range(1, 13) for n in "ab"}
    base = tree(store, files)
    store.reads = 0
    assert len(paths(store, base, "/2022/01/*.csv")) == 2
    assert store.reads == 3


def test_one_name_in_a_directory_of_many_reads_a_few_shards(store):
    base = tree(store, {f"{number:04}": b"" for number in range(3000)}, TINY)
    store.reads = 0
    assert paths(store, base, "/{0001,2999,none}") == ["0001", "2999"]
    assert store.reads <= 1 + 3 * 2


def test_kinds_are_asked_for_only_where_they_matter(store):
    elsewhere = Importer(MemoryBlockStore())
    base = Importer(store).directory({"a": elsewhere.directory({}), "b": elsewhere.symlink("a")}).cid
    assert paths(store, base, "/*") == ["a", "b"]
    with pytest.raises(UnavailableError):
        paths(store, base, "/*/")


def test_a_name_that_cannot_lead_to_a_pick_is_not_even_asked_what_it_is(store):
    gone = Importer(MemoryBlockStore()).directory({})
    inner = Importer(store).directory({"x.csv": Importer(store).bytes(b"x")})
    base = Importer(store).directory({"2022": inner, "other": gone}).cid
    assert paths(store, base, "/20[0-9][0-9]/*") == ["2022/x.csv"]


def test_what_is_not_unixfs_is_refused(store):
    foreign = Entry(cid=make_cid(DAG_CBOR, b"\xa0"), size=1, tsize=1)
    base = Importer(store).directory({"x": foreign}).cid
    for pattern in ("/*", "/**", "/*/", "/*/*"):
        with pytest.raises(VerificationError, match="is no file, directory or symlink: codec 0x71"):
            paths(store, base, pattern)


def test_what_is_unixfs_but_no_content_is_refused_where_it_is_looked_at(store):
    block = encode_node([], encode_unixfs(UnixfsNode(type=NodeType.METADATA)))
    store.put(make_cid(DAG_PB, block), block)
    base = Importer(store).directory({"x": Entry(cid=make_cid(DAG_PB, block), size=1, tsize=1)}).cid
    with pytest.raises(VerificationError, match="metadata"):
        paths(store, base, "/**")


def test_no_pick_is_one_clear_error(store):
    with pytest.raises(UserError, match="picks nothing") as caught:
        split(store, tree(store, FILES), "/*.csv")
    assert caught.value.where == "--sharding-glob-pattern '/*.csv'"
    assert "bacalhau ls" in caught.value.fix


def test_an_empty_directory_has_one_shard_or_none(store):
    empty = Importer(store).directory({}).cid
    assert [shard.directory for shard in split(store, empty, "/")] == [empty]
    with pytest.raises(UserError, match="picks nothing"):
        split(store, empty, "/*")


def test_a_file_cannot_be_split(store):
    with pytest.raises(UserError, match="is a file"):
        paths(store, Importer(store).bytes(b"x").cid, "/")


def test_the_base_path(store):
    root = tree(store, FILES)
    reader = UnixfsReader(store)
    base = find_base(reader, root, "2022/01")
    assert paths(store, base, "/*.csv") == ["a.csv", "b.csv"]
    assert find_base(reader, root, "") == root
    with pytest.raises(UserError, match="--sharding-base-path readme: is a file"):
        find_base(reader, root, "readme")
    with pytest.raises(UserError, match="--sharding-base-path 2021: '2021' is not there"):
        find_base(reader, root, "2021")


def test_a_few_blocks_that_stand_for_very_many_entries_end(store, monkeypatch):
    monkeypatch.setattr("runtime.shard_walk.MAX_LOOKED_AT", 5000)
    importer = Importer(store)
    directory = importer.directory({})
    for _ in range(50):
        directory = importer.directory({"a": directory, "b": directory})
    with pytest.raises(VerificationError, match="tree has more than"):
        paths(store, directory.cid, "/**/x")


def test_large_directories_inside_one_another_end(store, monkeypatch):
    monkeypatch.setattr("runtime.shard_walk.MAX_HELD", 5000)
    importer = Importer(store)
    files = {f"{number:03}": importer.bytes(b"") for number in range(100)}
    directory = importer.directory(files)
    for _ in range(100):
        directory = importer.directory({"0": directory} | files)
    with pytest.raises(VerificationError, match="tree has more than"):
        paths(store, directory.cid, "/**/x")


def test_sizes_that_cannot_be_are_refused(store):
    """What links claim comes from anybody, and their sum is written down again: no single claim is at fault here."""
    almost = Entry(cid=make_cid(RAW, b"x"), size=1, tsize=(1 << 63) - 200)
    links = [Link(cid=almost.cid, name=name, tsize=almost.tsize) for name in (b"a", b"b")]
    block = encode_node(links, encode_unixfs(UnixfsNode(type=NodeType.DIRECTORY)))
    base = make_cid(DAG_PB, block)
    store.put(base, block)
    assert len(split(store, base, "/*")) == 2
    with pytest.raises(VerificationError, match="claims more bytes than there can be"):
        split(store, base, "/*", batch_size=2)


def test_a_tree_that_is_too_deep_is_refused(store):
    importer = Importer(store)
    directory = importer.directory({})
    for _ in range(130):
        directory = importer.directory({"d": directory})
    with pytest.raises(VerificationError, match="128 directories deep"):
        paths(store, directory.cid, "/**")


def test_shards_come_as_they_are_found(store):
    """Nobody waits for the last pick: the second directory is not even here."""
    gone = Importer(MemoryBlockStore()).directory({})
    first = Importer(store).directory({"x": Importer(store).bytes(b"x")})
    base = Importer(store).directory({"a": first, "b": gone}).cid
    shards = make_shards(store, base, parse_pattern("/*/*"))
    assert next(shards).first == "a/x"
    with pytest.raises(UnavailableError):
        next(shards)


def test_blocks_that_a_shard_adds_are_directories_only(store):
    base = tree(store, FILES)
    before = {cid for cid, _ in walk(store, base)}
    [shard] = split(store, base, "/2022/01/a.csv")
    assert len([cid for cid, _ in walk(store, shard.directory) if cid not in before]) == 3
    assert make_cid(RAW, b"1") in before
