"""Work that an auditor does is bounded by the blocks that were handed over, not by what they claim to stand for."""

import pytest

import verifier.audit_reading as reading
from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError, VerificationError
from storage.unixfs_import import Entry, Importer
from storage.unixfs_read import UnixfsReader
from tests.vectors.records.world import World, tree
from verifier import audit_claims
from verifier.audit import audit_record
from verifier.audit_reading import FileReading, TreeSearch

WANTED = make_cid(RAW, b"wanted")


class Counting(UnixfsReader):
    """Counts how often each directory is listed."""

    def __init__(self, store):
        super().__init__(store)
        self.listed = []

    def entries(self, cid):
        self.listed.append(cid)
        return super().entries(cid)


def test_files_are_read_up_to_a_bound_all_together(monkeypatch):
    monkeypatch.setattr(reading, "MAX_READ_BYTES", 10)
    store = MemoryBlockStore()
    four = Importer(store).bytes(b"four").cid
    files = FileReading(UnixfsReader(store))
    assert [files.count(four), files.count(four)] == [4, 4]
    with pytest.raises(UnavailableError, match="was not read"):
        files.count(four)


@pytest.mark.parametrize("check", ["wheels", "runtime", "output"])
def test_too_much_to_read_is_unknown_not_valid(monkeypatch, check):
    world = World()
    record = world.build()
    monkeypatch.setattr(reading, "MAX_READ_BYTES", 13)
    report = audit_record(world.store, record)
    assert report.verdict == "unchecked"
    assert {one.name: one.ok for one in report.checks}[check] is None


def test_a_directory_that_many_trees_share_is_listed_once():
    store = MemoryBlockStore()
    shared = tree(store, {f"{n}/file": b"x" for n in range(20)})
    own = [tree(store, {"own": b"%d" % n}) for n in range(5)]
    parents = [join(Importer(store), {"own": root, "shared": shared}) for root in own]
    reader = Counting(store)
    search = TreeSearch(reader, {WANTED})
    assert [search.finds_in(parent) for parent in parents] == [False] * 5
    assert reader.listed.count(shared) == 1


def join(importer, children):
    return importer.directory({name: Entry(cid=cid, size=0, tsize=0) for name, cid in children.items()}).cid


def test_what_is_wanted_is_found_at_any_depth_and_again():
    store = MemoryBlockStore()
    root = tree(store, {"a/b/c": b"wanted", "z": b"other"})
    search = TreeSearch(UnixfsReader(store), {WANTED})
    assert search.finds_in(root)
    assert search.finds_in(root)
    assert not search.finds_in(tree(store, {"a/b/c": b"other"}))


def test_a_missing_directory_is_unknown_each_time_and_a_hit_before_it_counts():
    store, elsewhere = MemoryBlockStore(), MemoryBlockStore()
    missing = tree(elsewhere, {"x": b"x"})
    importer = Importer(store)
    search = TreeSearch(UnixfsReader(store), {WANTED})
    root = join(importer, {"a": missing})
    for _ in range(2):
        with pytest.raises(UnavailableError):
            search.finds_in(root)
    assert search.finds_in(join(importer, {"a": missing, "b": WANTED}))


def test_trees_too_deep_are_refused():
    store = MemoryBlockStore()
    importer = Importer(store)
    root = tree(store, {"x": b"x"})
    for _ in range(130):
        root = join(importer, {"d": root})
    with pytest.raises(VerificationError, match="deep"):
        TreeSearch(UnixfsReader(store), {WANTED}).finds_in(root)


def test_a_round_is_opened_once_for_all_receipts_that_name_it(monkeypatch):
    world, opened = World(nodes=9), []
    record = world.build()

    def open_round(evidence, cid, final):
        opened.append(cid)
        return original(evidence, cid, final)

    original = audit_claims._open_round
    monkeypatch.setattr(audit_claims, "_open_round", open_round)
    assert audit_record(world.store, record).verdict == "valid"
    assert opened == [world.list]
