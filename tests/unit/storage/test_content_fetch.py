"""Paths into DAGs that are elsewhere: only the blocks on the way are asked for."""

import hashlib

import httpx
import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import DAG_PB, cid_text, codec_of, make_cid
from storage.content_fetch import ContentFetcher
from storage.dag_walk import walk
from storage.errors import PeerError, UnavailableError, UserError, VerificationError
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from tests.unit.storage.peers import Gateway, Kubo

NAMES = 6000
"""In one directory: a HAMT of two levels and more."""


def content(number):
    return hashlib.shake_128(b"%d" % number).digest(300)


@pytest.fixture
def there():
    return MemoryBlockStore()


@pytest.fixture
def root(there):
    importer = Importer(there)
    large = importer.directory({f"{n:040d}": importer.bytes(content(n)) for n in range(NAMES)})
    big = importer.bytes(b"".join(content(n) for n in range(10_000)))
    return importer.directory(
        {"a": importer.directory({"large": large, "big": big}), "other": importer.bytes(b"o")}
    ).cid


class Here:
    def __init__(self, tmp_path, *sources):
        self.store = MemoryBlockStore()
        self.told = []
        self.fetcher = ContentFetcher(
            store=self.store, sources=lambda: sources, cache_dir=tmp_path, progress=self.told.append
        )


def test_a_path_costs_the_blocks_on_the_way(there, root, tmp_path):
    gateway = Gateway(there)
    here = Here(tmp_path, gateway.client())
    reader = UnixfsReader(there)
    found = here.fetcher.find(root, f"/a/large/{77:040d}/")
    assert found.cid == reader.resolve(root, f"a/large/{77:040d}")
    way = [cid_text(cid) for cid in (root, reader.resolve(root, "a"), reader.resolve(root, "a/large"))]
    assert [cid for _, cid in gateway.asked[:3]] == way
    # Of the shards, those that the name leads through; of the file, nothing yet.
    assert 4 <= found.blocks == len(gateway.asked) <= 5
    assert {kind for kind, _ in gateway.asked} == {"raw"}
    assert not here.store.has(found.cid)
    assert found.size == sum(len(there.get(cid)) for cid, _ in walk(there, root) if here.store.has(cid))
    # The way is here now.
    assert here.fetcher.find(root, f"a/large/{77:040d}").blocks == 0
    assert here.fetcher.fetch(found.cid).blocks == 1
    assert UnixfsReader(here.store).read_bytes(found.cid, 1000) == content(77)


def test_without_a_path_there_is_nothing_to_ask(root, tmp_path):
    assert Here(tmp_path).fetcher.find(root, "").cid == Here(tmp_path).fetcher.find(root, "//").cid == root


def test_looking_at_a_dag_does_not_keep_it_from_coming_as_one_car(there, root, tmp_path):
    gateway = Gateway(there)
    here = Here(tmp_path, gateway.client())
    big = here.fetcher.find(root, "a/big").cid
    gateway.asked.clear()
    assert UnixfsReader(here.fetcher.look(big)).stat(big).size == 3_000_000
    assert not here.store.has(big)
    fetched = here.fetcher.fetch(big)
    assert gateway.asked == [("raw", cid_text(big)), ("car", cid_text(big))]
    assert fetched.givers == ("http://gateway.test",)
    assert dict(walk(here.store, big)) == dict(walk(there, big))


def test_sources_that_have_different_blocks_of_the_way_are_enough_together(there, root, tmp_path):
    one, two = MemoryBlockStore(), MemoryBlockStore()
    one.put(root, there.get(root))
    for cid, block in walk(there, UnixfsReader(there).resolve(root, "a")):
        two.put(cid, block)
    sources = Gateway(one), Gateway(two, name="http://two.test")
    found = Here(tmp_path, *(source.client() for source in sources)).fetcher.find(root, "a/big")
    assert found.cid == UnixfsReader(there).resolve(root, "a/big")
    # Who does not have a block may have the next.
    assert found.faults == ()
    assert [len(source.asked) for source in sources] == [2, 1]


def test_who_lies_or_does_not_answer_is_named_and_not_asked_again(there, root, tmp_path):
    liar, dead, honest = Gateway(there, name="http://liar.test"), Kubo(), Gateway(there)
    liar.change = lambda _request, response: httpx.Response(200, headers=response.headers, content=b"lie")
    calls = []

    def refuse(_request):
        calls.append(1)
        raise httpx.ConnectError("gone")

    dead.answers["/version"] = refuse
    found = Here(tmp_path, liar.client(), dead.client(), honest.client()).fetcher.find(root, "a/big")
    assert found.cid == UnixfsReader(there).resolve(root, "a/big")
    assert [type(fault) for fault in found.faults] == [PeerError, UnavailableError]
    assert (len(liar.asked), len(calls), len(honest.asked)) == (1, 1, 2)


def test_a_liar_alone_is_named_and_nothing_of_his_is_kept(there, root, tmp_path):
    liar = Gateway(there, name="http://liar.test")
    liar.change = lambda _request, response: httpx.Response(200, headers=response.headers, content=b"lie")
    here = Here(tmp_path, liar.client())
    with pytest.raises(PeerError, match=r"http://liar\.test: sent bytes that are not"):
        here.fetcher.find(root, "a")
    assert not here.store.has(root)


def test_when_nobody_has_a_block_all_who_were_asked_are_named(root, tmp_path):
    sources = Gateway(MemoryBlockStore()).client(), Gateway(MemoryBlockStore(), name="http://two.test").client()
    said = r"http://gateway.test: .* \(404\); http://two.test: .*name another source"
    with pytest.raises(UnavailableError, match=said):
        Here(tmp_path, *sources).fetcher.find(root, "a")
    with pytest.raises(UnavailableError, match=r"not in this store.*name a source: --from"):
        Here(tmp_path).fetcher.find(root, "a")


def test_a_damaged_block_on_the_way_is_put_right(there, root, tmp_path):
    here = Here(tmp_path, Gateway(there).client())
    here.store.put(root, b"damaged")
    assert here.fetcher.find(root, "a").blocks == 1
    assert here.store.get(root) == there.get(root)
    alone = Here(tmp_path)
    alone.store.put(root, b"damaged")
    with pytest.raises(VerificationError, match="does not match"):
        alone.fetcher.find(root, "a")


def test_a_path_through_something_else_is_refused(there, root, tmp_path):
    fetcher = Here(tmp_path, Gateway(there).client()).fetcher
    for path, said in (("a/gone", "'gone' is not there"), ("other/x", "is not a directory"), ("a/..", "is not a name")):
        with pytest.raises(UserError, match=said):
            fetcher.find(root, path)
    malformed = make_cid(DAG_PB, b"\xff")
    there.put(malformed, b"\xff")
    with pytest.raises(VerificationError):
        fetcher.find(malformed, "x")
    assert codec_of(malformed) == DAG_PB


def test_sources_are_not_even_opened_when_all_is_here(there, root, tmp_path):
    def never():
        raise AssertionError("nobody need be asked")

    fetcher = ContentFetcher(store=there, sources=never, cache_dir=tmp_path, progress=lambda _: None)
    assert fetcher.find(root, "a/big").blocks == 0
    assert fetcher.look(root).has(root)
