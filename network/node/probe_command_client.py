"""Asks an operator's command whether to take a job: the job on stdin, the answer in the exit code. Runs on trio.

The command is the operator's and is trusted with this user's rights, environment and directory; what it is told of the
job is a stranger's. No shell reads any of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

import trio

from network.node.reasons import reason

_KEPT_BYTES: Final = 4096
"""Of stderr: one line is shown, of 255 bytes at most."""


async def ask_command(command: Sequence[str], question: bytes, *, limit_s: float) -> str:
    """Return why the command refuses the job: the first line of its stderr; empty if it takes it.

    A command that cannot be started, is killed by a signal or takes longer than `limit_s` seconds refuses. When it is
    out of time or this call is cancelled, it is killed with its process group.
    """
    try:
        process = await trio.lowlevel.open_process(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return f"the operator's probe cannot be started: {(error.strerror or 'no reason given').lower()}"
    said, code = bytearray(), None
    try:
        with trio.move_on_after(limit_s):
            code = await _talk(process, question, said)
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)
    if code is None:
        return f"the operator's probe did not answer within {limit_s:g} s"
    if code < 0:
        return f"the operator's probe was ended by signal {-code}"
    return "" if code == 0 else reason(said.decode("utf-8", "replace"), otherwise="refused by the operator's probe")


async def _talk(process: trio.Process, question: bytes, said: bytearray) -> int:
    """Return the exit code; `said` is what came on stderr until then."""
    stderr = cast("trio.lowlevel.FdStream", process.stderr)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tell, process, question)
        nursery.start_soon(_listen, stderr, said)
        code = await process.wait()
        # What the command left running may hold the pipe open for ever: nobody waits for its end.
        nursery.cancel_scope.cancel()
    _read_rest(stderr.fileno(), said)
    return code


async def _tell(process: trio.Process, question: bytes) -> None:
    if process.stdin is None:
        return
    async with process.stdin as stdin:
        with suppress(trio.BrokenResourceError):  # it need not read
            await stdin.send_all(question)


async def _listen(stderr: trio.lowlevel.FdStream, said: bytearray) -> None:
    """Read all of it, so that the command is never stopped by a full pipe, and keep the beginning."""
    async for piece in stderr:
        said += piece[: _KEPT_BYTES - len(said)]


def _read_rest(descriptor: int, said: bytearray) -> None:
    """Read what lies in the pipe; trio made reading from it return at once."""
    with suppress(BlockingIOError):
        while len(said) < _KEPT_BYTES and (piece := os.read(descriptor, _KEPT_BYTES - len(said))):
            said += piece


async def _end(process: trio.Process) -> None:
    """Kill what still runs, with its group, and let go of the pipes."""
    if process.returncode is None:  # so its id is its own still
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    for stream in (process.stdin, process.stderr):
        if stream is not None:
            await stream.aclose()
