"""Request channels over streams of memory, with honest peers and others."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from network.transport import MAX_PAYLOAD_BYTES, PeerRefusedError, PeerUnreachableError
from network.transport_budget import MAX_EACH_BYTES, OWN_BYTES, PayloadBudget
from network.transport_channel import MAX_OUTSTANDING, AnsweringChannel, AskingChannel
from network.transport_frames import Kind, encode_frame
from network.transport_memory import MemoryStream, memory_streams
from network.transport_stream import StalledError, StreamBrokenError, read_exactly
from storage.errors import PeerError
from tests.unit.network.transport_world import Echo, identity, on_trio

ASKER, ANSWERER = identity(1).peer, identity(2).peer


class Pair:
    """An asking and an answering channel, or one of them and a raw stream."""

    def __init__(self, nursery: trio.Nursery, budget: PayloadBudget | None = None) -> None:
        self.nursery = nursery
        self.echo = Echo()
        self.refused = 0
        self.near, self.far = memory_streams()
        self.budget = budget or PayloadBudget()
        self.asking = AskingChannel(self.near, ANSWERER)
        self.answering = AnsweringChannel(
            stream=self.far,
            peer=ASKER,
            handler=self.echo,
            budget=self.budget,
            spawn=lambda task: nursery.start_soon(task),
            on_refused=self.count,
        )

    def count(self, _peer: object) -> None:
        self.refused += 1

    def start(self) -> None:
        self.nursery.start_soon(self.asking.run)
        self.nursery.start_soon(self.answering.run)


def with_nursery(test: Callable[[trio.Nursery], Awaitable[None]]) -> Callable[[], None]:
    @on_trio
    async def run() -> None:
        async with trio.open_nursery() as nursery:
            await test(nursery)
            nursery.cancel_scope.cancel()

    run.__name__ = test.__name__
    return run


@with_nursery
async def test_answers_find_their_questions_in_any_order(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    pair.start()
    answers: list[bytes] = []

    async def ask(payload: bytes) -> None:
        answers.append(await pair.asking.ask(Kind.REQUEST, payload))

    nursery.start_soon(ask, b"wait")
    await trio.testing.wait_all_tasks_blocked()
    await ask(b"second")
    assert answers == [b"echo second"]
    pair.echo.go_on.set()
    await trio.testing.wait_all_tasks_blocked()
    assert answers == [b"echo second", b"echo wait"]


@with_nursery
async def test_a_large_request_and_its_answer(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    pair.start()
    payload = bytes(MAX_PAYLOAD_BYTES - 5)
    assert await pair.asking.ask(Kind.REQUEST, payload) == b"echo " + payload
    with pytest.raises(ValueError, match="larger"):
        await pair.asking.ask(Kind.REQUEST, bytes(MAX_PAYLOAD_BYTES + 1))
    assert pair.budget.take(ASKER, MAX_EACH_BYTES), "all of it was given back"


@with_nursery
async def test_a_message_is_accepted_before_it_is_handled(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    pair.start()
    assert await pair.asking.ask(Kind.SEND, b"news") == b""
    await pair.echo.arrived.wait()
    assert pair.echo.received == [(ASKER, b"news")]


@with_nursery
async def test_failures_of_a_handler_are_answers(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    pair.start()
    for payload, reason in ((b"fail", r"cannot..\[31mdo that"), (b"bug", "internal error"), (b"large", "internal")):
        with pytest.raises(PeerRefusedError, match=reason) as caught:
            await pair.asking.ask(Kind.REQUEST, payload)
        assert "secret" not in str(caught.value)
    assert await pair.asking.ask(Kind.REQUEST, b"still here") == b"echo still here"


@with_nursery
async def test_whoever_gives_up_stops_nobody(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    pair.start()
    with trio.move_on_after(1):
        await pair.asking.ask(Kind.REQUEST, b"wait")
    assert await pair.asking.ask(Kind.REQUEST, b"next") == b"echo next"
    pair.echo.go_on.set()  # the late answer is known to be due
    assert await pair.asking.ask(Kind.REQUEST, b"last") == b"echo last"
    assert not pair.asking.closed


@with_nursery
async def test_a_peer_that_never_answers_has_its_stream_opened_anew(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    nursery.start_soon(pair.asking.run)
    for _ in range(2 * MAX_OUTSTANDING):
        with trio.move_on_after(1):
            await pair.asking.ask(Kind.REQUEST, b"x")
    with pytest.raises(PeerUnreachableError):
        await pair.asking.ask(Kind.REQUEST, b"x")
    assert pair.asking.closed


@with_nursery
async def test_the_end_of_a_stream_ends_all_waiting(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    pair.start()
    ended: list[str] = []

    async def ask() -> None:
        with pytest.raises(PeerUnreachableError) as caught:
            await pair.asking.ask(Kind.REQUEST, b"wait")
        ended.append(caught.value.where)

    for _ in range(3):
        nursery.start_soon(ask)
    await trio.testing.wait_all_tasks_blocked()
    await pair.far.reset()
    await trio.testing.wait_all_tasks_blocked()
    assert ended == [ANSWERER] * 3
    with pytest.raises(PeerUnreachableError):
        await pair.asking.ask(Kind.REQUEST, b"x")


@with_nursery
async def test_a_flood_of_questions_is_answered_busy_and_counted(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    nursery.start_soon(pair.answering.run)
    for number in range(MAX_OUTSTANDING):
        await pair.near.write(encode_frame(Kind.REQUEST, number, b"wait"))
    for number in range(10):
        await pair.near.write(encode_frame(Kind.SEND, 1000 + number, bytes(1000)))
    for number in range(10):
        assert await read_exactly(pair.near, 9) == encode_frame(Kind.BUSY, 1000 + number)
    assert (pair.refused, pair.echo.asked, pair.echo.received) == (10, MAX_OUTSTANDING, [])


@with_nursery
async def test_large_payloads_of_one_peer_leave_room_for_others(nursery: trio.Nursery) -> None:
    budget = PayloadBudget(shared=4000)
    pair, other = Pair(nursery, budget), Pair(nursery, budget)
    other.answering.peer = ANSWERER
    pair.start()
    other.start()
    assert budget.take(ASKER, OWN_BYTES + 1500)
    with pytest.raises(PeerRefusedError, match="too much to do"):
        await pair.asking.ask(Kind.REQUEST, bytes(1000))
    assert pair.refused == 1
    assert await other.asking.ask(Kind.REQUEST, b"x" * 400) == b"echo " + b"x" * 400


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 9, encode_frame(Kind.ANSWER, 1), bytes(9)])
def test_junk_is_a_broken_rule(junk: bytes) -> None:
    @on_trio
    async def run() -> None:
        async with trio.open_nursery() as nursery:
            pair = Pair(nursery)
            await pair.near.write(junk)
            with pytest.raises(PeerError) as caught:
                await pair.answering.run()
            assert caught.value.peer == ASKER
            with pytest.raises(StreamBrokenError):
                await pair.near.read(1)

    run()


@pytest.mark.parametrize(
    "junk", [b"\xff" * 9, encode_frame(Kind.ANSWER, 7), encode_frame(Kind.ACCEPTED, 1), encode_frame(Kind.REQUEST, 1)]
)
def test_an_answer_that_was_not_asked_for_is_a_broken_rule(junk: bytes) -> None:
    @on_trio
    async def run() -> None:
        async with trio.open_nursery() as nursery:
            pair = Pair(nursery)
            with trio.move_on_after(1):
                await pair.asking.ask(Kind.REQUEST, b"its id is 1")
            await pair.far.write(junk)
            with pytest.raises(PeerError):
                await pair.asking.run()

    run()


@with_nursery
async def test_an_answer_counts_once(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    with trio.move_on_after(1):
        await pair.asking.ask(Kind.REQUEST, b"its id is 1")
    await pair.far.write(encode_frame(Kind.ANSWER, 1, b"a") * 2)
    with pytest.raises(PeerError):
        await pair.asking.run()


@with_nursery
async def test_a_stream_that_trickles_is_ended_and_one_that_is_quiet_is_not(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    nursery.start_soon(trickle, pair.near, encode_frame(Kind.REQUEST, 1, bytes(1000)))
    with pytest.raises(StalledError):
        await pair.answering.run()
    quiet = Pair(nursery)
    quiet.start()
    await trio.sleep(100_000)
    assert await quiet.asking.ask(Kind.REQUEST, b"x") == b"echo x"


async def trickle(stream: MemoryStream, data: bytes) -> None:
    try:
        for byte in data:
            await stream.write(bytes([byte]))
            await trio.sleep(1)
    except StreamBrokenError:
        return


@with_nursery
async def test_a_peer_that_does_not_read_its_answers_costs_its_stream(nursery: trio.Nursery) -> None:
    pair = Pair(nursery)
    nursery.start_soon(pair.answering.run)
    await pair.near.write(encode_frame(Kind.REQUEST, 1, bytes(300 << 10)))
    await trio.sleep(20)
    with pytest.raises(StreamBrokenError):
        await pair.near.read(1)
    assert pair.budget.take(ASKER, MAX_EACH_BYTES), "all of it was given back"
