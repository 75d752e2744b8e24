"""An operator's command as a probe: real processes, each of which ends, or is ended with all that it started."""

import os
import select
import sys
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from network.node.probe_command_client import ask_command
from tests.unit.network.node.offers import on_real_time

LONG_S = 50.0


def shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


@on_real_time
async def test_exit_code_0_takes_the_job() -> None:
    assert await ask_command(shell("echo chatter; echo more >&2"), b"{}", limit_s=LONG_S) == ""


@on_real_time
async def test_the_job_is_on_stdin_and_the_arguments_are_the_commands() -> None:
    code = "import sys; sys.exit(f'{sys.argv[1:]} {sys.stdin.read()}')"
    said = await ask_command((sys.executable, "-I", "-c", code, "$HOME", "a b"), b'{"x": 1}', limit_s=LONG_S)
    assert said == """['$HOME', 'a b'] {"x": 1}"""


@on_real_time
async def test_another_exit_code_refuses_with_the_first_line_of_stderr() -> None:
    assert await ask_command(shell("echo not today >&2; echo why >&2; exit 3"), b"", limit_s=LONG_S) == "not today"
    assert await ask_command(shell("exit 3"), b"", limit_s=LONG_S) == "refused by the operator's probe"


@on_real_time
async def test_a_signal_refuses() -> None:
    assert await ask_command(shell("kill -9 $$"), b"", limit_s=LONG_S) == "the operator's probe was ended by signal 9"


@on_real_time
async def test_a_command_that_is_not_there_refuses_and_tells_no_path() -> None:
    said = await ask_command(("/no/such/command",), b"", limit_s=LONG_S)
    assert said == "the operator's probe cannot be started: no such file or directory"


@on_real_time
async def test_a_command_need_not_read_what_it_is_told(tmp_path) -> None:
    assert await ask_command(shell("exit 0"), bytes(1 << 20), limit_s=LONG_S) == ""
    os.mkfifo(tmp_path / "go")

    async def let_go() -> None:
        go = await trio.to_thread.run_sync(os.open, tmp_path / "go", os.O_WRONLY)  # when stdin is closed there
        await trio.testing.wait_all_tasks_blocked()
        os.close(go)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_go)
        deaf = shell(f"exec 0<&-; cat {tmp_path / 'go'}; echo no >&2; exit 1")
        assert await ask_command(deaf, bytes(1 << 20), limit_s=LONG_S) == "no"


@on_real_time
async def test_what_was_said_before_anybody_listened_is_heard() -> None:
    start = trio.lowlevel.open_process

    async def start_and_wait(*args: Any, **options: Any) -> trio.Process:
        process = await start(*args, **options)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return process

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.lowlevel, "open_process", start_and_wait)
        assert await ask_command(shell("echo no >&2; exit 1"), b"{}", limit_s=LONG_S) == "no"


@on_real_time
async def test_of_much_that_is_said_the_beginning_is_kept() -> None:
    said = await ask_command(shell("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1"), b"", limit_s=LONG_S)
    assert said == "x" * 255


@on_real_time
async def test_nobody_waits_for_what_the_command_leaves_running(tmp_path) -> None:
    os.mkfifo(tmp_path / "go")
    script = f"cat <{tmp_path / 'go'} >/dev/null & echo no >&2; exit 1"
    assert await ask_command(shell(script), b"", limit_s=LONG_S) == "no"
    (tmp_path / "go").write_text("on")  # blocks until that process reads, and ends it


class Lifeline:
    """A pipe with a name that processes hold open: shows that one is there, and that all of them have ended."""

    def __init__(self, path) -> None:
        self.path = path
        os.mkfifo(path)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def command(self) -> tuple[str, ...]:
        """Return a command that is told a line, and whose child then says that it is there; neither ends by itself."""
        return shell(f"exec 9>{self.path}; read line; (echo here >&9; sleep 1000000) & wait")

    async def read(self) -> bytes:
        """Return what a process wrote, or nothing when all of them have ended."""
        ready = await trio.to_thread.run_sync(select.select, [self.descriptor], [], [], 30)
        assert ready[0], "a process is still there, and says nothing"
        return os.read(self.descriptor, 100)


@pytest.fixture
def lifeline(tmp_path):
    made = Lifeline(tmp_path / "lifeline")
    yield made
    os.close(made.descriptor)


def test_out_of_time_it_is_killed_with_its_children_and_refuses(lifeline) -> None:
    clock = MockClock()  # stands still until it is told to jump

    async def out_of_time() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            assert await lifeline.read() == b"here\n"
            clock.jump(5.0)
        assert said == ["the operator's probe did not answer within 5 s"]
        assert await lifeline.read() == b""

    async def ask() -> None:
        said.append(await ask_command(lifeline.command(), b"{}\n", limit_s=5.0))

    said: list[str] = []
    trio.run(out_of_time, clock=clock)


@on_real_time
async def test_cancelled_it_is_killed_with_its_children(lifeline) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: ask_command(lifeline.command(), b"{}\n", limit_s=LONG_S))
        assert await lifeline.read() == b"here\n"
        nursery.cancel_scope.cancel()
    assert await lifeline.read() == b""
