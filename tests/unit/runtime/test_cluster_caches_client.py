"""What workers have of each other: packs and images come by their CIDs; that they are used is in test_dask.py."""

import pytest

from runtime.cluster import LostWorkerError
from runtime.cluster_caches_client import Shared, WorkerCaches, _pack
from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.errors import UnavailableError, VerificationError
from tests.unit.runtime.cluster_world import plan_of

A, B = make_cid(RAW, b"a"), make_cid(RAW, b"b")


class Things(WorkerCaches):
    """Caches of two things, which say what becomes of them."""

    def __init__(self, tmp_path, here=(), error=None):
        super().__init__(runtimes_dir=tmp_path, wheels_dir=tmp_path, images_dir=tmp_path)
        object.__setattr__(self, "here", set(here))
        object.__setattr__(self, "error", error)
        object.__setattr__(self, "asked", [])

    def ask(self, name):
        self.asked.append(name)
        return {"a": A}.get(name)

    def _things(self, plan, store):
        for name in "ab":
            yield Shared(
                name=name,
                is_here=lambda name=name: name in self.here,
                bring=lambda cid, store, name=name: self._bring(name),
                give=lambda store, name=name: {"a": A, "b": B}[name],
            )

    def _bring(self, name):
        if self.error is not None:
            raise self.error
        self.here.add(name)


@pytest.fixture
def plan():
    return plan_of(MemoryBlockStore())


def test_what_the_node_knows_is_brought_and_the_rest_is_given_when_it_is_made(tmp_path, plan):
    caches, store = Things(tmp_path), MemoryBlockStore()
    unknown = caches.bring("node", plan, store, caches.ask)
    assert (caches.here, [shared.name for shared in unknown]) == ({"a"}, ["b"])
    assert caches.give("node", plan, unknown, store) == []
    caches.here.add("b")
    assert caches.give("node", plan, unknown, store) == [("b", B)]


def test_once_for_each_function_of_each_node(tmp_path, plan):
    caches, store = Things(tmp_path), MemoryBlockStore()
    caches.give("node", plan, caches.bring("node", plan, store, caches.ask), store)
    assert caches.bring("node", plan, store, caches.ask) == ()
    assert caches.asked == ["a", "b"]
    caches.bring("node, started again", plan, store, caches.ask)
    assert caches.asked == ["a", "b"] * 2


@pytest.mark.parametrize("error", [UnavailableError("full"), VerificationError("another one"), LostWorkerError("gone")])
def test_what_cannot_be_brought_is_made_here(tmp_path, plan, error):
    caches, store = Things(tmp_path, error=error), MemoryBlockStore()
    assert [shared.name for shared in caches.bring("node", plan, store, caches.ask)] == ["b"]
    assert caches.here == set()


def test_what_is_here_is_not_brought(tmp_path, plan):
    caches = Things(tmp_path, here="ab", error=UnavailableError("not asked for"))
    unknown = caches.bring("node", plan, MemoryBlockStore(), caches.ask)
    assert caches.give("node", plan, unknown, MemoryBlockStore()) == [("b", B)]


def test_a_pack_is_the_same_at_the_other_worker(tmp_path):
    store, name, content = MemoryBlockStore(), "0" * 64 + ".pack", bytes(range(256)) * 10_000
    mine, other = _pack(tmp_path / "mine" / name), _pack(tmp_path / "other" / name)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_bytes(content)
    assert (mine.name, mine.is_here(), other.is_here()) == (other.name, True, False)
    other.bring(mine.give(store), store)
    assert (tmp_path / "other" / name).read_bytes() == content
    with pytest.raises(UnavailableError):
        other.bring(A, store)
    assert [path.name for path in (tmp_path / "other").iterdir()] == [name]
