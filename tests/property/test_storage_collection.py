"""Every order in which the transactions of a collection and of the processes beside it can happen.

A process is a list of steps, each at most one transaction of the store; so is a collection. All interleavings are
tried (of three processes every fifth, and all with BACALHAU_SLOW_TESTS=1), on real stores: what a process acknowledged
(pinned, made a job of, or put and not yet let go) must be there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self

import pytest

from storage import dag_cbor
from storage.cid import CID, DAG_CBOR, RAW, make_cid
from storage.errors import UnavailableError
from storage.partial_file import PartialFile
from storage.sqlite_block_store import SqliteBlockStore
from storage.sqlite_collection import Collection, collect
from storage.sqlite_pins import Pin, check_whole, hold, pin, pins, unpin
from storage.url_client import Bounds, Came, Wanted
from storage.url_fetch import UrlFetcher
from storage.url_text import Url

LEAF = make_cid(RAW, b"leaf")
NODE = dag_cbor.encode([LEAF])
ROOT = make_cid(DAG_CBOR, NODE)
LOOSE = make_cid(RAW, b"loose")

Step = Callable[[], None]


class World:
    """One store in a folder, the processes that use it, and what they were promised."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs: list[CID] = []
        self.promised: list[CID] = []
        self._open: list[SqliteBlockStore] = []

    def open(self) -> SqliteBlockStore:
        store = SqliteBlockStore(self.path)
        self._open.append(store)
        return store

    def close(self) -> None:
        for store in self._open:
            store.close()

    def check(self) -> None:
        with SqliteBlockStore(self.path) as store:
            check_whole(store, self.promised)

    def check_after_all_are_gone(self) -> None:
        with SqliteBlockStore(self.path) as store:
            collect(store, lambda: self.jobs, lambda _phrase: None)
            check_whole(store, [pin.cid for pin in pins(store)] + self.jobs)
            assert not store.has(LOOSE)
            if not pins(store) and not self.jobs:
                assert store.size() == (0, 0)


def adder(world: World, finish: Callable[[SqliteBlockStore], None]) -> list[Step]:
    """Put a leaf and its parent, as an importer does, then have them kept and go."""
    store = world.open()

    def put_parent() -> None:
        store.put(ROOT, NODE)
        world.promised.append(ROOT)

    return [lambda: store.put(LEAF, b"leaf"), put_parent, lambda: finish(store), store.close]


def pinner(world: World) -> list[Step]:
    return adder(world, lambda store: pin(store, Pin(name="root", cid=ROOT, profile=None, created_at=0)))


def job(world: World) -> list[Step]:
    return adder(world, lambda _store: world.jobs.append(ROOT))


def quick(steps: list[Step]) -> list[Step]:
    """Do the first two steps, which put a leaf and its parent, at once: fewer orders."""
    put_leaf, put_parent, *rest = steps

    def put() -> None:
        put_leaf()
        put_parent()

    return [put, *rest]


def keeper(world: World) -> list[Step]:
    """Rely on blocks that are there already, without putting them; being told that they are gone is fine."""
    store = world.open()

    def keep() -> None:
        try:
            pin(store, Pin(name="kept", cid=ROOT, profile=None, created_at=0))
            world.promised.append(ROOT)
        except UnavailableError:
            pass

    return [keep, store.close]


def unpinner(world: World) -> list[Step]:
    """Have something pinned, and let go of it."""
    store = world.open()
    store.put(LEAF, b"leaf")
    store.put(ROOT, NODE)
    pin(store, Pin(name="old", cid=ROOT, profile=None, created_at=0))
    world.promised.append(ROOT)

    def let_go() -> None:
        unpin(store, "old")
        store.release()
        world.promised.remove(ROOT)

    return [let_go, store.close]


def collector(world: World, sweeps: int) -> list[Step]:
    """Collect; the last step sweeps until nothing is left to remove."""
    collection = Collection(world.open(), lambda: world.jobs)

    def sweep_all() -> None:
        while collection.sweep():
            pass
        collection.close()

    return [collection.begin, collection.mark, *[lambda: collection.sweep() and None] * (sweeps - 1), sweep_all]


def interleavings(*lengths: int) -> Iterator[tuple[int, ...]]:
    """Yield every order in which sequences of these lengths can be merged, as the numbers of the sequences."""
    if not any(lengths):
        yield ()
    for index, left in enumerate(lengths):
        if left:
            rest = [*lengths[:index], left - 1, *lengths[index + 1 :]]
            for order in interleavings(*rest):
                yield (index, *order)


SCENARIOS = {
    "an adder that pins": [pinner],
    "a job": [job],
    "somebody who pins what is there": [keeper],
    "an unpinner beside an adder": [unpinner, lambda world: quick(pinner(world))],
    "an unpinner beside somebody who pins the same": [unpinner, keeper],
    "a second collection": [lambda world: quick(job(world)), lambda world: collector(world, 1)],
}


# Of two collections there are more orders than of all else, and with nothing there before the first has little to do.
CASES = [(scenario, present) for scenario in SCENARIOS for present in (True, False)][:-1]


@pytest.mark.parametrize(("scenario", "present"), CASES)
def test_no_order_of_transactions_loses_what_was_acknowledged(tmp_path, scenario, present):
    beside = SCENARIOS[scenario]
    lengths = [4 if len(beside) == 1 else 3, *(len(make(World(tmp_path / "probe.sqlite"))) for make in beside)]
    stride = 5 if len(beside) > 1 and not os.environ.get("BACALHAU_SLOW_TESTS") else 1
    for number, order in enumerate(islice(interleavings(*lengths), 0, None, stride)):
        world = World(tmp_path / f"{number}" / "blocks.sqlite")
        if present:  # by a process that is gone, before any generation
            with SqliteBlockStore(world.path) as before:
                before.put_many([(LEAF, b"leaf"), (ROOT, NODE), (LOOSE, b"loose")])
        actors = [iter(collector(world, lengths[0] - 2)), *(iter(make(world)) for make in beside)]
        try:
            for actor in order:
                next(actors[actor])()
                world.check()
        finally:
            world.close()
        world.check_after_all_are_gone()


class Stepped(SqliteBlockStore):
    """A store that says before each of its transactions that something else may happen now."""

    def __init__(self, path: Path, between: Step) -> None:
        self.between: Step = lambda: None
        super().__init__(path)
        self.between = between

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        self.between()
        with super().writing() as connection:
            yield connection

    def get(self, cid: CID) -> bytes:
        self.between()
        return super().get(cid)

    def has(self, cid: CID) -> bool:
        self.between()
        return super().has(cid)


class Server:
    """Stands for the client of a server that has one file, in one version for ever."""

    def __init__(self, between: Step) -> None:
        self.between = between

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def download(self, wanted: Wanted, partial: PartialFile, _advance: object) -> Came:
        self.between()
        if wanted.known:
            return Came(is_known=True, final_url=wanted.url, headers=())
        partial.find()
        partial.begin('"1"', len(FILE))
        partial.write(FILE)
        partial.mark()
        return Came(is_known=False, final_url=wanted.url, headers=(("etag", '"1"'),))


FILE = bytes(3 << 20)
"""A root and a leaf, linked three times."""
URL = Url(text="https://host/file")


def fetch_and_make_a_job(world: World, cache: Path, between: Step, *, holds: bool = True) -> None:
    """Fetch a URL that may have been fetched before, and have a job keep it, as `run` does."""
    with Stepped(world.path, between) as store:

        def keep(cid: CID) -> None:
            hold(store, cid) if holds else check_whole(store, [cid])

        fetcher = UrlFetcher(
            store=store,
            directory=cache,
            bounds=Bounds(max_bytes=1 << 30),
            progress=lambda _phrase: None,
            report=lambda *_: None,
            hold=keep,
            make_client=lambda _bounds: Server(between),
        )
        cid = fetcher.fetch(URL, where="-i").cid
        world.promised.append(cid)
        between()
        world.jobs.append(cid)
        between()


def collect_while_fetching(folder: Path, order: tuple[int, ...], *, known: bool, holds: bool = True) -> None:
    """Let a collection go on whenever the fetcher is between two of its steps, as far as `order` says (1: its turn).

    known: an earlier process fetched the same; nothing needs what it left.
    """
    world = World(folder / "blocks.sqlite")
    if known:
        fetch_and_make_a_job(world, folder / "urls", lambda: None)
        world.jobs.clear()
        world.promised.clear()
    turns, steps = iter(order), iter(collector(world, 2))

    def between() -> None:
        world.check()
        for turn in turns:
            if turn:
                return
            next(steps)()
            world.check()

    try:
        fetch_and_make_a_job(world, folder / "urls", between, holds=holds)
        for step in steps:
            step()
        world.check()
    finally:
        world.close()


BETWEEN = {True: 6, False: 4}
"""How often a fetch can be interrupted, of what is known and of what is not; the end of its process included."""


@pytest.mark.parametrize("known", [True, False])
def test_no_collection_takes_what_a_url_brought_before_a_job_keeps_it(tmp_path, known):
    for number, order in enumerate(interleavings(4, BETWEEN[known])):
        collect_while_fetching(tmp_path / f"{number}", order, known=known)


def test_a_fetch_that_looks_without_holding_is_caught(tmp_path):
    def search():
        for number, order in enumerate(interleavings(4, BETWEEN[True])):
            collect_while_fetching(tmp_path / f"{number}", order, known=True, holds=False)

    with pytest.raises(UnavailableError):
        search()


def test_a_fetch_is_interrupted_wherever_it_can_be(tmp_path):
    world = World(tmp_path / "blocks.sqlite")
    for known in (False, True):
        turns = []
        fetch_and_make_a_job(world, tmp_path / "urls", lambda turns=turns: turns.append(1))
        assert len(turns) == BETWEEN[known]


def test_all_orders_are_tried():
    assert len(list(interleavings(4, 4))) == 70
    assert len(set(interleavings(2, 2, 1))) == 30


@pytest.mark.parametrize("broken", ["leases ignored", "roots asked for once"])
def test_a_collection_without_either_half_of_the_argument_is_caught(tmp_path, monkeypatch, broken):
    """The search above would be worth nothing if it could not find these."""
    if broken == "leases ignored":
        monkeypatch.setattr(
            "storage.sqlite_collection.end_dead_leases", lambda _dir, db: db.execute("DELETE FROM leases")
        )
    else:
        answers = {}
        fresh = Collection._fresh

        def only_once(self, roots):
            found = [] if self in answers else fresh(self, roots)
            answers[self] = True
            return found

        monkeypatch.setattr(Collection, "_fresh", only_once)

    def search():
        for scenario in ("an adder that pins", "a job"):
            test_no_order_of_transactions_loses_what_was_acknowledged(tmp_path / scenario, scenario, present=True)

    with pytest.raises(UnavailableError):
        search()
