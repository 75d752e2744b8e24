"""Whether a node takes an offer: what is looked at, who is asked, and how often."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from network.messages import Refuse
from network.node import selection
from network.node.selection import (
    MAX_ASKING,
    MAX_ASKING_EACH,
    MAX_PROBES,
    REMEMBERED_S,
    JobSelection,
    absence,
)
from network.node.selection_policy import DataLocality, OfferedTask, SelectionPolicy
from runtime.engine import Plan
from storage.blocks import MemoryBlockStore
from storage.cid import CID, DAG_PB, RAW, make_cid
from storage.errors import UnavailableError
from storage.unixfs_import import Importer
from tests.unit.network.node.offers import ALICE, BOB, DEMAND, offered, on_real_time, plan, store
from tests.unit.network.node.probe_server import probe_server, status
from tests.vectors.records.world import identity, tree
from verifier.model import Volume

URL = "http://127.0.0.1:1/"
ASKS = SelectionPolicy(probe_http=URL)


def select(policy: SelectionPolicy, **options: Any) -> JobSelection:
    return JobSelection(policy, options.pop("store", store()), **({"knows_runtime": lambda _: True} | options))


def shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


def another(number: int, **changes: Any) -> OfferedTask:
    """Return an offer of another task."""
    return offered(plan=dataclasses.replace(plan(), task=make_cid(RAW, str(number).encode())), **changes)


class StandIn:
    """In place of probes over HTTP: says when one is asked, and holds its answer back until it is let go."""

    def __init__(self, patch: pytest.MonkeyPatch, refusal: str = "no") -> None:
        self.refusal = refusal
        self.calls = 0
        self.go_on = trio.Event()
        self._began, self.began = trio.open_memory_channel[None](10_000)
        patch.setattr(selection, "ask_url", self.ask)

    async def ask(self, url: str, question: bytes, *, limit_s: float) -> str:
        assert url == URL
        self.calls += 1
        self._began.send_nowait(None)
        await self.go_on.wait()
        return self.refusal

    async def begun(self, count: int = 1) -> None:
        for _ in range(count):
            await self.began.receive()


async def into(answers: list[str], chosen: JobSelection, offer: OfferedTask) -> None:
    answers.append(await chosen.refusal(offer))


# What is looked at.


@on_real_time
async def test_a_refusal_can_be_sent_however_long_the_name_of_the_runtime_is() -> None:
    made = plan()
    runtime = CID(bytes([1, RAW, 0]) + b"\x80\x01" + bytes(128))
    strange = dataclasses.replace(made, function=dataclasses.replace(made.function, runtime=runtime))
    refusal = await select(SelectionPolicy(), knows_runtime=lambda _: False).refusal(offered(plan=strange))
    assert Refuse(session="ab" * 32, reason=refusal).reason.startswith("not run: its runtime")


@on_real_time
async def test_without_a_word_of_the_operator_an_ordinary_job_is_taken() -> None:
    assert await select(SelectionPolicy()).refusal(offered()) == ""


@on_real_time
async def test_a_runtime_that_somebody_made_up_is_refused_whatever_the_operator_says() -> None:
    asked: list[CID] = []

    def knows(cid: CID) -> bool:
        asked.append(cid)
        return False

    policy = SelectionPolicy(probe_exec=shell("exit 0"))
    assert "neither this release's" in await select(policy, knows_runtime=knows).refusal(offered())
    assert asked == [plan().function.runtime]


@on_real_time
async def test_a_runtime_of_which_nothing_can_be_told_is_refused_without_telling_of_this_machine() -> None:
    def knows(cid: CID) -> bool:
        raise UnavailableError("cannot be read", where="/home/operator/cache")

    said = await select(SelectionPolicy(), knows_runtime=knows).refusal(offered())
    assert said == "cannot tell whether the task's runtime may be started here"


@on_real_time
async def test_what_is_plain_is_refused_before_anything_is_looked_at() -> None:
    def knows(cid: CID) -> bool:
        raise AssertionError("asked")

    chosen = select(SelectionPolicy(denied_requesters=frozenset({ALICE})), knows_runtime=knows)
    assert "takes no jobs of this requester" in await chosen.refusal(offered())


@on_real_time
async def test_with_local_data_a_job_is_taken_whose_data_is_here_as_a_whole() -> None:
    local = SelectionPolicy(data_locality=DataLocality.LOCAL)
    absent = offered(plan=plan(data=make_cid(RAW, b"not here")))
    assert await select(local).refusal(offered()) == ""
    assert await select(SelectionPolicy()).refusal(absent) == ""
    assert await select(local).refusal(absent) == "its data is not here as a whole: block is not in this store"


def test_data_is_whole_with_all_its_blocks_and_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    full = MemoryBlockStore()
    data = tree(full, {"a": b"a" * 3_000_000, "b": b"b"})
    volume = Volume(path="/ref", cid=Importer(full).bytes(b"volume").cid)
    the_plan = plan(data=data, volumes=(volume,))
    assert absence(the_plan, full) == ""
    assert absence(plan(data=None, volumes=()), MemoryBlockStore()) == ""
    for missing in full._blocks:  # each in its turn
        lacking = MemoryBlockStore()
        lacking._blocks = {key: block for key, block in full._blocks.items() if key != missing}
        assert "not in this store" in absence(the_plan, lacking)
    damaged = MemoryBlockStore()
    damaged.put(data, b"damaged")
    assert "its data is not here as a whole: " in absence(the_plan, damaged)
    monkeypatch.setattr(selection, "MAX_BLOCKS", len(full._blocks) - 1)
    assert "more than are looked for" in absence(the_plan, full)
    monkeypatch.setattr(selection, "MAX_BLOCKS", len(full._blocks))
    assert absence(the_plan, full) == ""


# Who is asked.


@on_real_time
async def test_a_command_is_told_of_the_job_and_decides() -> None:
    code = (
        "import json, sys; job = json.load(sys.stdin);"
        f"sys.exit(0 if job['requester'] == {ALICE!r} and job['demand']['cpu_milli'] == 1000 else 'not you')"
    )
    chosen = select(SelectionPolicy(probe_exec=(sys.executable, "-I", "-c", code)))
    assert await chosen.refusal(offered()) == ""
    assert await chosen.refusal(offered(requester=BOB)) == "not you"


@on_real_time
async def test_both_probes_must_take_the_job() -> None:
    async with probe_server(status("403 No", b"not here")) as server:
        yes_no = SelectionPolicy(probe_exec=shell("exit 0"), probe_http=server.url)
        assert await select(yes_no).refusal(offered()) == "not here"
        no_no = SelectionPolicy(probe_exec=shell("exit 1"), probe_http=server.url)
        assert await select(no_no).refusal(offered()) == "refused by the operator's probe"
        assert len(server.asked) == 1


# How often.


@on_real_time
async def test_an_answer_is_remembered_for_a_minute_by_requester_task_and_demand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probe, now = StandIn(monkeypatch), [0.0]
    probe.go_on.set()
    chosen = select(ASKS, clock=lambda: now[0])
    assert [await chosen.refusal(offered()) for _ in range(3)] == ["no"] * 3
    assert probe.calls == 1
    now[0] = REMEMBERED_S - 1
    assert await chosen.refusal(offered(job="cd" * 16)) == "no"
    assert probe.calls == 1
    probe.refusal = ""
    for number, offer in enumerate(
        [offered(requester=BOB), another(1), offered(demand=dataclasses.replace(DEMAND, disk=1 << 28))], start=2
    ):
        assert await chosen.refusal(offer) == ""
        assert probe.calls == number
    now[0] = REMEMBERED_S
    assert await chosen.refusal(offered()) == ""
    assert probe.calls == 5


@on_real_time
async def test_of_many_answers_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = StandIn(monkeypatch)
    probe.go_on.set()
    monkeypatch.setattr(selection, "MAX_REMEMBERED", 2)
    chosen = select(ASKS)
    for number in (1, 2, 3, 2, 3):
        await chosen.refusal(another(number))
    assert probe.calls == 3
    await chosen.refusal(another(1))
    assert probe.calls == 4


@on_real_time
async def test_offers_that_come_at_the_same_time_ask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    probe, answers = StandIn(monkeypatch), []
    chosen = select(ASKS)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(into, answers, chosen, offered())
        await probe.begun()
        probe.go_on.set()
    assert answers == ["no"] * 5
    assert probe.calls == 1


@on_real_time
async def test_when_whoever_asks_is_cancelled_another_one_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    probe, answers = StandIn(monkeypatch), []
    chosen = select(ASKS)
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as first:
                first.start_soon(into, answers, chosen, offered())
                await probe.begun()
                nursery.start_soon(into, answers, chosen, offered())
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert answers == []
        await probe.begun()
        probe.go_on.set()
    assert answers == ["no"]
    assert probe.calls == 2


@on_real_time
async def test_few_probes_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(look: Callable[[Plan], str], the_plan: Plan, **_: Any) -> str:
        return look(the_plan)  # so that "all are blocked" means all, no thread among them

    monkeypatch.setattr("trio.to_thread.run_sync", at_once)
    probe, answers = StandIn(monkeypatch), []
    chosen = select(ASKS)
    async with trio.open_nursery() as nursery:
        for number in range(3 * MAX_PROBES):
            nursery.start_soon(into, answers, chosen, another(number))
        await probe.begun(MAX_PROBES)
        await trio.testing.wait_all_tasks_blocked()
        assert probe.calls == MAX_PROBES
        probe.go_on.set()
    assert answers == ["no"] * 3 * MAX_PROBES


@pytest.mark.parametrize(
    ("requester_of", "bound"),
    [(lambda number: ALICE, MAX_ASKING_EACH), (lambda number: identity(100 + number).peer, MAX_ASKING)],
)
@on_real_time
async def test_offers_beyond_those_that_can_wait_are_refused_at_once(
    requester_of: Callable[[int], Any], bound: int
) -> None:
    answers: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        probe = StandIn(patch, refusal="")
        chosen = select(ASKS)
        async with trio.open_nursery() as nursery:
            for number in range(bound):
                nursery.start_soon(into, answers, chosen, another(number, requester=requester_of(number)))
            await probe.begun()
            late = another(bound, requester=requester_of(bound))
            assert await chosen.refusal(late) == "too many offers are being looked at"
            probe.go_on.set()
        assert answers == [""] * bound
        assert await chosen.refusal(late) == ""  # it was not remembered


@on_real_time
async def test_a_damaged_block_is_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    cid, damaged = make_cid(DAG_PB, b"whole"), MemoryBlockStore()
    damaged.put(cid, b"damaged")
    local = select(SelectionPolicy(data_locality=DataLocality.LOCAL), store=damaged)
    assert "its data is not here as a whole" in await local.refusal(offered(plan=plan(data=cid)))
