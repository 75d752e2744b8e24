import hashlib
import io

import httpx
import pytest

from storage import dag_cbor, dag_fetch
from storage.blocks import MemoryBlockStore
from storage.car import write_car
from storage.cid import DAG_CBOR, DAG_PB, RAW, cid_text, make_cid
from storage.dag_fetch import fetch_dag
from storage.dag_walk import walk
from storage.errors import PeerError, UnavailableError, VerificationError
from storage.unixfs_import import Importer
from tests.unit.storage.peers import Body, Gateway, Kubo


def random_bytes(seed, size):
    return hashlib.shake_128(seed).digest(size)


@pytest.fixture
def there():
    return MemoryBlockStore()


@pytest.fixture
def root(there):
    importer = Importer(there)
    inner = importer.directory({f"f{n}": importer.bytes(random_bytes(b"%d" % n, 10_000)) for n in range(20)})
    return importer.directory({"inner": inner, "big": importer.bytes(random_bytes(b"big", 5_000_000))}).cid


def blocks(store, root):
    return dict(walk(store, root))


def test_a_dag_that_is_new_comes_as_one_car(there, root):
    gateway, here = Gateway(there), MemoryBlockStore()
    fetched = fetch_dag(here, root, [gateway.client()])
    assert gateway.asked == [("car", cid_text(root))]
    assert blocks(here, root) == blocks(there, root)
    assert (fetched.blocks, fetched.size) == (len(blocks(there, root)), sum(map(len, blocks(there, root).values())))


def test_what_is_here_asks_nobody(there, root):
    gateway = Gateway(there)
    assert fetch_dag(there, root, [gateway.client()]).blocks == 0
    assert gateway.asked == []


@pytest.mark.parametrize("kept", [1, 7, 20])
def test_an_interrupted_fetch_goes_on_and_asks_for_no_block_that_is_here(there, root, kept):
    gateway, here = Gateway(there), MemoryBlockStore()
    everything = list(walk(there, root))
    here.put_many(everything[:kept])
    fetch_dag(here, root, [gateway.client()])
    assert blocks(here, root) == blocks(there, root)
    assert sorted(gateway.asked) == sorted(("raw", cid_text(cid)) for cid, _ in everything[kept:])


def test_a_shared_part_that_is_here_ends_the_car(there, root):
    gateway, here = Gateway(there), MemoryBlockStore()
    big = Importer(here).bytes(random_bytes(b"big", 5_000_000))
    counted = []
    gateway.change = lambda request, response: counted.append(request.url.params["format"]) or response
    fetched = fetch_dag(here, root, [gateway.client()])
    assert blocks(here, root) == blocks(there, root)
    assert fetched.blocks == len(blocks(there, root)) - len(blocks(here, big.cid))
    assert counted[0] == "car"
    assert set(counted[1:]) == {"raw"}


def test_a_small_shared_part_does_not_slow_a_fetch(there, root):
    gateway, here = Gateway(there), MemoryBlockStore()
    Importer(here).bytes(random_bytes(b"3", 10_000))
    fetch_dag(here, root, [gateway.client()])
    assert [kind for kind, _ in gateway.asked] == ["car"]


def test_a_car_that_ends_well_and_is_not_whole_is_noticed(there, root):
    kubo, here = Kubo(), MemoryBlockStore()
    everything = list(walk(there, root))
    kubo.store.put_many(everything[:-3])
    with pytest.raises(UnavailableError, match="could not find") as caught:
        fetch_dag(here, root, [kubo.client()])
    assert caught.value.where == "http://kubo.test:5001"
    assert all(here.has(cid) for cid, _ in everything[:-3])
    assert not any(here.has(cid) for cid, _ in everything[-3:])
    kubo.store.put_many(everything)
    assert fetch_dag(here, root, [kubo.client()]).blocks == 3


def test_a_connection_that_breaks_off_keeps_what_came(there, root):
    gateway, here = Gateway(there), MemoryBlockStore()

    def cut(request, response):
        def pieces():
            yield response.read()[:3_000_000]
            raise UnavailableError("power cut")

        if request.url.params["format"] == "raw":
            raise httpx.ConnectError("gone")
        return httpx.Response(200, headers={"Content-Type": "application/vnd.ipld.car"}, stream=Body(pieces()))

    gateway.change = cut
    with pytest.raises(UnavailableError, match="nothing answers there"):
        fetch_dag(here, root, [gateway.client()])
    came = [cid for cid in blocks(there, root) if here.has(cid)]
    assert 2 <= len(came) < len(blocks(there, root))
    gateway.change = lambda _request, response: response
    assert fetch_dag(here, root, [gateway.client()]).blocks == len(blocks(there, root)) - len(came)


def test_sources_that_have_a_part_each_are_enough_together(there, root):
    everything = list(walk(there, root))
    one, two, here = MemoryBlockStore(), MemoryBlockStore(), MemoryBlockStore()
    one.put_many(everything[:10])
    two.put_many(everything[10:])
    fetched = fetch_dag(here, root, [Gateway(one).client(), Gateway(two, name="http://two.test").client()])
    assert blocks(here, root) == blocks(there, root)
    assert [fault.where for fault in fetched.faults] == ["http://gateway.test"]


def lying(store, cid):
    gateway = Gateway(store, name="http://liar.test")

    def lie(request, response):
        data = response.read()
        return httpx.Response(
            200, headers=response.headers, content=data.replace(store.get(cid), b"x" * len(store.get(cid)))
        )

    gateway.change = lie
    return gateway


def test_a_liar_is_named_and_the_next_source_is_asked(there, root):
    leaf = list(walk(there, root))[-1][0]
    here, honest = MemoryBlockStore(), Gateway(there)
    fetched = fetch_dag(here, root, [lying(there, leaf).client(), honest.client()])
    assert blocks(here, root) == blocks(there, root)
    assert [type(fault) for fault in fetched.faults] == [PeerError]
    assert fetched.faults[0].where == "http://liar.test"
    assert ("raw", cid_text(leaf)) in honest.asked


def test_a_liar_alone_ends_the_fetch_and_its_lie_is_not_kept(there, root):
    leaf = list(walk(there, root))[-1][0]
    here = MemoryBlockStore()
    with pytest.raises(PeerError, match="wrong bytes") as caught:
        fetch_dag(here, root, [lying(there, leaf).client()])
    assert caught.value.peer == "http://liar.test"
    assert not here.has(leaf)


def test_sources_that_all_fail_are_all_named(there, root):
    empty = MemoryBlockStore()
    with pytest.raises(UnavailableError, match=r"http://gateway\.test: .*404.*; http://two\.test: .*404"):
        fetch_dag(
            empty,
            root,
            [Gateway(MemoryBlockStore(), name=name).client() for name in ("http://gateway.test", "http://two.test")],
        )


def test_without_a_source_what_lacks_is_told(root):
    with pytest.raises(UnavailableError, match="name a source: --from"):
        fetch_dag(MemoryBlockStore(), root, [])


def test_blocks_that_nobody_wanted_are_not_kept(there, root):
    stranger = make_cid(RAW, b"stranger")
    kubo, here = Kubo(), MemoryBlockStore()
    kubo.store = there
    out = io.BytesIO()
    write_car(out, [root], [(stranger, b"stranger"), *walk(there, root)])
    kubo.answers["/dag/export"] = lambda _request: httpx.Response(200, content=out.getvalue())
    fetch_dag(here, root, [kubo.client()])
    assert not here.has(stranger)
    assert blocks(here, root) == blocks(there, root)


def test_a_car_in_another_order_is_taken_with_blocks_asked_for_afterwards(there, root):
    kubo, here = Kubo(), MemoryBlockStore()
    kubo.store = there
    out = io.BytesIO()
    write_car(out, [root], reversed(list(walk(there, root))))
    kubo.answers["/dag/export"] = lambda _request: httpx.Response(200, content=out.getvalue())
    fetch_dag(here, root, [kubo.client()])
    assert blocks(here, root) == blocks(there, root)


def test_a_car_full_of_strangers_is_not_read_to_its_end(there, root, monkeypatch):
    monkeypatch.setattr(dag_fetch, "MAX_STRAY_BYTES", 100_000)
    here, taken = MemoryBlockStore(), []

    class Flood:
        name = "flood"

        def block(self, cid):
            return there.get(cid)

        def dag(self, _root):
            for n in range(1000):
                data = b"%5000d" % n
                taken.append(n)
                yield make_cid(RAW, data), data

        def close(self):
            pass

    fetch_dag(here, root, [Flood()])
    assert len(taken) == 20
    assert blocks(here, root) == blocks(there, root)


def test_a_damaged_block_here_is_put_right(there, root):
    here = MemoryBlockStore()
    here.put_many(walk(there, root))
    leaf = list(walk(there, root))[-1][0]
    here.put(leaf, b"damage")
    assert fetch_dag(here, root, [Gateway(there).client()]).blocks == 1
    assert blocks(here, root) == blocks(there, root)


def test_a_block_that_is_right_and_malformed_is_nobodys_lie(there):
    bad = make_cid(DAG_PB, b"\xff")
    there.put(bad, b"\xff")
    node = dag_cbor.encode([bad])
    top = make_cid(DAG_CBOR, node)
    there.put(top, node)
    with pytest.raises(VerificationError):
        fetch_dag(MemoryBlockStore(), top, [Gateway(there).client()])


def test_records_and_their_trees_come_whole(there, root):
    node = dag_cbor.encode({"output": root, "n": 1})
    top = make_cid(DAG_CBOR, node)
    there.put(top, node)
    here = MemoryBlockStore()
    fetch_dag(here, top, [Gateway(there).client()])
    assert blocks(here, top) == blocks(there, top)
