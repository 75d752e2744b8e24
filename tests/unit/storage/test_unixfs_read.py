import io

import pytest

from storage.cid import CID, DAG_CBOR, DAG_PB, RAW, make_cid
from storage.dag_pb import Link, encode_node
from storage.errors import UnavailableError, UserError, VerificationError
from storage.hamt import MURMUR3_X64_64, bitfield_of, hash_name, prefix_of, slot_of
from storage.unixfs_file import MAX_FILE_DEPTH
from storage.unixfs_import import Importer
from storage.unixfs_node import NodeType, UnixfsNode, encode_unixfs
from storage.unixfs_profile import V0_2015
from storage.unixfs_read import UnixfsReader
from tests.counting_store import CountingBlockStore


@pytest.fixture
def store():
    return CountingBlockStore()


@pytest.fixture
def reader(store):
    return UnixfsReader(store)


@pytest.fixture
def importer(store):
    return Importer(store)


def raw(store, data):
    cid = make_cid(RAW, data)
    store.put(cid, data)
    return cid


def pb(store, links, fs):
    block = encode_node(links, encode_unixfs(fs) if fs is not None else None)
    cid = make_cid(DAG_PB, block)
    store.put(cid, block)
    return cid


def file_node(store, children, sizes, **fields):
    links = [Link(cid=child, tsize=1) for child in children]
    fields.setdefault("filesize", sum(sizes) + len(fields.get("data") or b""))
    return pb(store, links, UnixfsNode(type=NodeType.FILE, blocksizes=tuple(sizes), **fields))


def directory(store, *entries):
    links = [Link(cid=cid, name=name, tsize=1) for name, cid in entries]
    return pb(store, links, UnixfsNode(type=NodeType.DIRECTORY))


def shard(store, *slots, fanout=256, bits=None, hash_type=MURMUR3_X64_64):
    links = [Link(cid=cid, name=prefix_of(index, fanout) + name, tsize=1) for index, name, cid in slots]
    data = bitfield_of(sorted({index for index, _, _ in slots})) if bits is None else bits
    return pb(store, links, UnixfsNode(type=NodeType.SHARD, data=data, hash_type=hash_type, fanout=fanout))


# ---- what well-formed content gives


def test_stat_tells_kind_and_size(reader, importer):
    big = importer.bytes(bytes(1 << 20) + b"tail")
    assert (reader.stat(big.cid).kind, reader.stat(big.cid).size) == ("file", (1 << 20) + 4)
    small = reader.stat(importer.bytes(b"abc").cid)
    assert (small.kind, small.size, small.executable) == ("file", 3, False)
    link = reader.stat(importer.symlink("to/there").cid)
    assert (link.kind, link.size) == ("symlink", 8)
    assert reader.stat(importer.directory({}).cid).kind == "directory"


def test_entries_are_sorted_by_utf8_bytes_whatever_the_block_says(reader, store):
    one = raw(store, b"1")
    names = ["Z", "a", "é", "\uffee", "\U0001f41f"]
    links = b"".join(
        encode_node([Link(cid=one, name=name.encode(), tsize=1)], None)
        for name in ["a", "\U0001f41f", "Z", "\uffee", "é"]
    )
    block = links + encode_node([], encode_unixfs(UnixfsNode(type=NodeType.DIRECTORY)))
    cid = make_cid(DAG_PB, block)
    store.put(cid, block)
    assert [name for name, _ in reader.entries(cid)] == names


def test_resolve_walks_names_and_ignores_slashes_around(reader, importer):
    file = importer.bytes(b"x")
    root = importer.directory({"a": importer.directory({"b c": file})})
    assert reader.resolve(root.cid, "a/b c") == file.cid
    assert reader.resolve(root.cid, "/a/b c/") == file.cid
    assert reader.resolve(root.cid, "") == root.cid


@pytest.mark.parametrize("path", ["nope", "a/nope", "a/f/deeper", "..", "a/../a", ".", "a/\udcff", "l/f"])
def test_resolve_blames_the_user_for_what_is_not_there(reader, importer, path):
    inner = importer.directory({"f": importer.bytes(b"x")})
    root = importer.directory({"a": inner, "l": importer.symlink("a")})
    with pytest.raises(UserError):
        reader.resolve(root.cid, path)


def test_a_missing_name_is_named(reader, importer):
    root = importer.directory({})
    with pytest.raises(UserError, match="'nope' is not there"):
        reader.resolve(root.cid, "nope")


def test_a_sharded_directory_lists_resolves_and_misses(reader, importer, store):
    file = importer.bytes(b"x")
    names = [f"file number {n}" for n in range(6000)]
    root = importer.directory(dict.fromkeys(names, file))
    assert [name for name, _ in reader.entries(root.cid)] == sorted(names)
    assert all(link.name == name.encode() for name, link in reader.entries(root.cid))
    store.reads = 0
    assert UnixfsReader(store).resolve(root.cid, names[77]) == file.cid
    assert store.reads <= 4
    with pytest.raises(UserError, match="is not there"):
        reader.resolve(root.cid, "file number 6001")


def test_seeking_reads_only_the_blocks_it_needs(importer, store):
    data = b"".join(bytes([n]) * (1 << 20) for n in range(20))
    cid = importer.bytes(data).cid
    stream = UnixfsReader(store).open(cid)
    store.reads = 0
    stream.seek(13 << 20)
    assert stream.read(10) == bytes([13]) * 10
    assert stream.seek(-1, io.SEEK_END) == len(data) - 1
    assert stream.read() == bytes([19])
    assert store.reads == 2


def test_reading_behind_the_end_gives_nothing_and_negative_positions_are_errors(reader, importer):
    stream = reader.open(importer.bytes(b"abc").cid)
    assert stream.seek(100) == 100
    assert stream.read() == b""
    with pytest.raises(ValueError, match="negative seek"):
        stream.seek(-1)
    assert stream.seek(1) == 1
    assert stream.read(1) == b"b"


def test_dag_pb_leaves_and_inline_bytes_before_links_are_read(reader, store):
    data = bytes(range(256)) * 3000
    old = Importer(store, V0_2015).bytes(data)
    assert reader.read_bytes(old.cid, len(data)) == data
    mixed = file_node(store, [raw(store, b"cd"), raw(store, b"e")], [2, 1], data=b"ab")
    assert reader.read_bytes(mixed, 10) == b"abcde"
    stream = reader.open(mixed)
    stream.seek(3)
    assert stream.read() == b"de"


def test_a_limit_is_kept_before_anything_is_read(reader, importer, store):
    cid = importer.bytes(bytes(3 << 20)).cid
    store.reads = 0
    with pytest.raises(UserError, match="limit"):
        reader.read_bytes(cid, (3 << 20) - 1)
    assert store.reads == 1
    assert len(reader.read_bytes(cid, 3 << 20)) == 3 << 20


def test_the_wrong_kind_is_the_users_fault(reader, importer):
    file, folder, link = importer.bytes(b"x").cid, importer.directory({}).cid, importer.symlink("t").cid
    for call, cid in [
        (reader.open, folder),
        (reader.open, link),
        (reader.entries, file),
        (reader.entries, link),
        (reader.read_link, file),
        (reader.read_link, folder),
    ]:
        with pytest.raises(UserError):
            call(cid)


def test_missing_blocks_are_unavailable(reader, importer, store):
    with pytest.raises(UnavailableError):
        reader.stat(make_cid(DAG_PB, b"?"))
    root = file_node(store, [raw(store, b"a"), make_cid(RAW, b"b")], [1, 1])
    stream = reader.open(root)
    with pytest.raises(UnavailableError):
        stream.read()


def test_an_execute_bit_in_the_mode_is_seen(reader, store):
    assert reader.stat(file_node(store, [], [], data=b"#!", mode=0o755)).executable
    assert not reader.stat(file_node(store, [], [], data=b"#!", mode=0o644)).executable


# ---- hostile content


def test_sizes_that_lie_are_found(reader, store):
    ab, c = raw(store, b"ab"), raw(store, b"c")
    liars = {
        "leaf shorter than claimed": file_node(store, [ab, c], [3, 1]),
        "leaf longer than claimed": file_node(store, [ab, c], [1, 1]),
        "node shorter than claimed": file_node(store, [file_node(store, [ab], [2]), c], [3, 1]),
        "sum is not the file size": file_node(store, [ab, c], [2, 1], filesize=4),
        "fewer sizes than links": file_node(store, [ab, c], [2], filesize=2),
        "more sizes than links": file_node(store, [ab], [2, 1]),
        "a hidden leaf": file_node(store, [ab, c], [2, 0]),
        "inline bytes not counted": file_node(store, [ab], [2], data=b"x", filesize=2),
        "larger than any file": file_node(store, [ab] * 3, [1 << 62] * 3, filesize=None),
    }
    for what, cid in liars.items():
        with pytest.raises(VerificationError):
            pytest.fail(f"{what}: {reader.read_bytes(cid, 100)!r}")


def test_parts_of_a_file_must_be_files(reader, store, importer):
    for part in (importer.directory({}).cid, importer.symlink("x").cid, make_cid(DAG_CBOR, b"\xa0")):
        store.put(make_cid(DAG_CBOR, b"\xa0"), b"\xa0")
        with pytest.raises(VerificationError):
            reader.read_bytes(file_node(store, [part], [1]), 10)


def test_file_trees_have_a_bounded_depth(reader, store):
    cid = raw(store, b"x")
    for _ in range(MAX_FILE_DEPTH - 1):
        cid = file_node(store, [cid], [1])
    assert reader.read_bytes(cid, 1) == b"x"
    with pytest.raises(VerificationError, match="deep"):
        reader.read_bytes(file_node(store, [cid], [1]), 1)


def test_a_file_of_exabytes_in_a_few_blocks_costs_no_memory(reader, store):
    cid, size = raw(store, bytes(1 << 20)), 1 << 20
    for _ in range(4):
        cid, size = file_node(store, [cid] * 1000, [size] * 1000), size * 1000
    stream = reader.open(cid)
    stream.seek(size - 5)
    assert stream.read(100) == bytes(5)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/etc", b"a\0", b"\xff\xfe"])
def test_unsafe_names_are_refused(reader, store, name):
    cid = directory(store, (name, raw(store, b"x")), (b"fine", raw(store, b"x")))
    with pytest.raises(VerificationError):
        reader.entries(cid)
    with pytest.raises(VerificationError):
        reader.resolve(cid, "fine")


def test_a_repeated_name_is_refused(reader, store):
    cid = directory(store, (b"a", raw(store, b"1")), (b"a", raw(store, b"2")))
    with pytest.raises(VerificationError, match="twice"):
        reader.entries(cid)


def place(name, depth=0, fanout=256):
    return slot_of(hash_name(name), depth, fanout)


def test_shards_of_another_fanout_are_read(reader, store):
    x = raw(store, b"x")
    names = [b"n%d" % n for n in range(6)]
    assert len({place(name, fanout=1024) for name in names}) == 6
    cid = shard(store, *((place(name, fanout=1024), name, x) for name in names), fanout=1024)
    assert [name for name, _ in reader.entries(cid)] == [name.decode() for name in names]
    assert reader.resolve(cid, "n3") == x


def test_malformed_shards_are_refused(reader, store):
    x = raw(store, b"x")
    at = place(b"a")
    good = (at, b"a", x)
    below = shard(store, (place(b"a", 1), b"a", x))
    assert [name for name, _ in reader.entries(shard(store, (at, b"", below)))] == ["a"]
    cases = {
        "name in the wrong slot": shard(store, ((at + 1) % 256, b"a", x)),
        "name in the wrong slot below": shard(store, ((at + 1) % 256, b"", below)),
        "shard linked twice": shard(store, (at, b"", below), ((at + 1) % 256, b"", below)),
        "slot used twice": shard(store, good, good),
        "two names in one slot": shard(store, good, (at, twin_of(b"a"), x)),
        "bit field that lies": shard(store, good, bits=b"\x01"),
        "another hash": shard(store, good, hash_type=0x12),
        "fanout 0": zero_fanout(store, x),
        "fanout 100": shard(store, (1, b"a", x), fanout=100),
        "fanout 2048": shard(store, (1, b"a", x), fanout=2048),
        "lower-case prefix": lower_case_prefix(store, x),
        "empty shard below": shard(store, (at, b"", shard(store))),
        "a directory below": shard(store, (at, b"", directory(store, (b"a", x)))),
        "a file below": shard(store, (at, b"", x)),
        "another fanout below": shard(store, (at, b"", shard(store, (place(b"a", 1), b"a", x), fanout=1024))),
        "unsafe name": shard(store, (place(b".."), b"..", x)),
    }
    for what, cid in cases.items():
        with pytest.raises(VerificationError):
            pytest.fail(f"{what}: {list(reader.entries(cid))!r}")


def twin_of(name):
    return next(b"%d" % n for n in range(10_000) if place(b"%d" % n) == place(name))


def zero_fanout(store, x):
    links = [Link(cid=x, name=b"0Aa", tsize=1)]
    return pb(store, links, UnixfsNode(type=NodeType.SHARD, data=b"", hash_type=MURMUR3_X64_64, fanout=0))


def lower_case_prefix(store, x):
    name = next(b"%d" % n for n in range(1000) if place(b"%d" % n) == 0xAB)
    fs = UnixfsNode(type=NodeType.SHARD, data=bitfield_of([0xAB]), hash_type=MURMUR3_X64_64, fanout=256)
    return pb(store, [Link(cid=x, name=b"ab" + name, tsize=1)], fs)


def test_a_chain_of_shards_ends_where_the_hash_ends(reader, store):
    name = b"a"
    chain = shard(store, (place(name, 7), name, raw(store, b"x")))
    for depth in range(6, -1, -1):
        chain = shard(store, (place(name, depth), b"", chain))
    assert [found for found, _ in reader.entries(chain)] == ["a"]
    assert reader.resolve(chain, "a") == raw(store, b"x")
    too_deep = shard(store, (0, b"a", raw(store, b"x")))
    for depth in range(7, -1, -1):
        too_deep = shard(store, (place(name, depth), b"", too_deep))
    with pytest.raises(VerificationError, match="deep"):
        reader.entries(too_deep)
    with pytest.raises(VerificationError, match="deep"):
        reader.resolve(too_deep, "a")


def test_a_shard_that_is_too_deep_is_not_even_fetched(reader, store):
    below = make_cid(DAG_PB, b"not here")
    for depth in range(7, -1, -1):
        below = shard(store, (place(b"a", depth), b"", below))
    with pytest.raises(VerificationError, match="deep"):
        reader.entries(below)


def test_a_directory_with_too_many_entries_is_refused(reader, importer, monkeypatch):
    file = importer.bytes(b"x")
    root = importer.directory({str(n): file for n in range(6)})
    monkeypatch.setattr("storage.unixfs_read.MAX_ENTRIES", 6)
    assert len(list(reader.entries(root.cid))) == 6
    monkeypatch.setattr("storage.unixfs_read.MAX_ENTRIES", 5)
    with pytest.raises(VerificationError, match="more than 5"):
        reader.entries(root.cid)


def test_what_is_not_unixfs_is_refused(reader, store):
    cbor = make_cid(DAG_CBOR, b"\xa0")
    store.put(cbor, b"\xa0")
    cases = [
        cbor,
        pb(store, [], None),
        pb(store, [], UnixfsNode(type=NodeType.METADATA)),
        CID(make_cid(DAG_PB, b"\xff")),
    ]
    store.put(cases[-1], b"\xff")
    for cid in cases:
        with pytest.raises(VerificationError):
            reader.stat(cid)


def test_a_file_of_one_block_is_loaded_once(reader, store):
    one, other = raw(store, b"one"), raw(store, b"other")
    assert reader.stat(one).size == 3
    with reader.open(one) as file:
        assert file.read() == b"one"
    assert store.reads == 1
    with reader.open(other) as file:
        assert file.read() == b"other"
    assert store.reads == 2


def test_a_symlink_target_that_is_not_text_is_refused(reader, store):
    with pytest.raises(VerificationError, match="UTF-8"):
        reader.read_link(pb(store, [], UnixfsNode(type=NodeType.SYMLINK, data=b"\xff")))


def test_a_changed_block_is_never_read(store, reader):
    cid = raw(store, b"good")
    store.put(cid, b"evil")
    with pytest.raises(VerificationError):
        reader.stat(cid)
