"""The calls of WASI preview 1 that are about no file: arguments, clocks, randomness, waiting, ending, sockets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runtime.wasi_abi import (
    ABSOLUTE_TIME,
    EVENT,
    EVENT_CLOCK,
    EVENT_READ,
    EVENT_WRITE,
    SUBSCRIBED_CLOCK,
    SUBSCRIBED_FD,
    SUBSCRIPTION,
    SUBSCRIPTION_BYTES,
    U32,
    Errno,
    Right,
    WasiError,
)
from runtime.wasi_clock import TICK_NS, Clock, Entropy
from runtime.wasi_descriptors import Descriptors
from runtime.wasi_memory import GuestMemory
from runtime.wasi_nodes import File

MAX_SUBSCRIPTIONS: Final = 4096


class GuestExitError(Exception):
    """The guest has ended by itself."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class _Wait:
    """One subscription."""

    number: int
    user_data: int
    kind: int
    due_ns: int
    """On the monotonic clock; of a descriptor: now."""
    errno: Errno = Errno.SUCCESS
    at_hand: int = 0
    """Bytes that can be read."""


class SystemCalls:
    """Numbers come as the guest's integers, signed; what goes wrong is a `WasiError`."""

    def __init__(
        self,
        memory: GuestMemory,
        descriptors: Descriptors,
        clock: Clock,
        entropy: Entropy,
        arguments: Sequence[str],
        environment: Sequence[str],
    ) -> None:
        """Make the calls. environment: `K=V` each."""
        self._memory = memory
        self._open = descriptors
        self._clock = clock
        self._entropy = entropy
        self._arguments = [text.encode() + b"\0" for text in arguments]
        self._environment = [text.encode() + b"\0" for text in environment]

    def args_sizes_get(self, count: int, size: int) -> None:
        """Tell how many arguments there are, and their bytes."""
        self._tell_sizes(self._arguments, count, size)

    def args_get(self, pointers: int, texts: int) -> None:
        """Write the arguments."""
        self._tell_texts(self._arguments, pointers, texts)

    def environ_sizes_get(self, count: int, size: int) -> None:
        """Tell how many variables there are, and their bytes."""
        self._tell_sizes(self._environment, count, size)

    def environ_get(self, pointers: int, texts: int) -> None:
        """Write the variables."""
        self._tell_texts(self._environment, pointers, texts)

    def _tell_sizes(self, texts: Sequence[bytes], count: int, size: int) -> None:
        self._memory.write_u32(count, len(texts))
        self._memory.write_u32(size, sum(map(len, texts)))

    def _tell_texts(self, texts: Sequence[bytes], pointers: int, address: int) -> None:
        at, listed = address & 0xFFFFFFFF, b""
        for text in texts:
            listed += U32.pack(at & 0xFFFFFFFF)
            at += len(text)
        self._memory.write(pointers, listed)
        self._memory.write(address, b"".join(texts))

    def clock_res_get(self, clock: int, address: int) -> None:
        """Tell how fine a clock is."""
        self._clock.peek(clock)
        self._memory.write_u64(address, TICK_NS)

    def clock_time_get(self, clock: int, _precision: int, address: int) -> None:
        """Read a clock."""
        self._memory.part(address, 8)
        self._memory.write_u64(address, self._clock.read(clock))

    def random_get(self, address: int, length: int) -> None:
        """Give random bytes."""
        self._entropy.fill(self._memory.part(address, length))

    def sched_yield(self) -> None:
        """Succeed: there is nobody else."""

    def proc_exit(self, code: int) -> None:
        """End: the exit code is the lowest eight bits, as in a shell."""
        raise GuestExitError(code & 0xFF)

    def proc_raise(self, signal: int) -> None:
        """End as by a signal; none has a handler. NONE only asks whether that could be done."""
        if not 0 <= signal <= 30:
            raise WasiError(Errno.INVAL)
        if signal:
            raise GuestExitError(128 + signal)

    def sock_accept(self, fd: int, _flags: int, _opened: int) -> None:
        """Refuse: there are no sockets."""
        self._refuse(fd)

    def sock_recv(self, fd: int, _pieces: int, _count: int, _flags: int, _received: int, _said: int) -> None:
        """Refuse: there are no sockets."""
        self._refuse(fd)

    def sock_send(self, fd: int, _pieces: int, _count: int, _flags: int, _sent: int) -> None:
        """Refuse: there are no sockets."""
        self._refuse(fd)

    def sock_shutdown(self, fd: int, _how: int) -> None:
        """Refuse: there are no sockets."""
        self._refuse(fd)

    def _refuse(self, fd: int) -> None:
        self._open.find(fd)
        raise WasiError(Errno.NOTSOCK)

    def poll_oneoff(self, subscriptions: int, events: int, count: int, happened: int) -> None:
        """Wait for the first of some events: descriptors are always ready, and clocks move on at once."""
        count &= 0xFFFFFFFF
        if not 0 < count <= MAX_SUBSCRIPTIONS:
            raise WasiError(Errno.INVAL)
        asked = self._memory.part(subscriptions, count * SUBSCRIPTION_BYTES)
        target = self._memory.part(events, count * EVENT.size)
        self._memory.part(happened, 4)
        now = self._clock.peek(1)
        waits = [self._wait(asked[i * SUBSCRIPTION_BYTES :], i, now) for i in range(count)]
        first = min(wait.due_ns for wait in waits)
        if first > now:
            self._clock.sleep_until(1, first)
        ready = sorted((wait for wait in waits if wait.due_ns <= max(first, now)), key=lambda wait: wait.due_ns)
        # Written when all was read: the two may overlap.
        told = b"".join(EVENT.pack(wait.user_data, wait.errno, wait.kind, wait.at_hand, 0) for wait in ready)
        target[: len(told)] = told
        self._memory.write_u32(happened, len(ready))

    def _wait(self, asked: memoryview, number: int, now: int) -> _Wait:
        user_data, kind = SUBSCRIPTION.unpack_from(asked)
        if kind == EVENT_CLOCK:
            clock, time_ns, _, flags = SUBSCRIBED_CLOCK.unpack_from(asked, 16)
            try:
                shown = self._clock.peek(clock)
            except WasiError as error:
                return _Wait(number, user_data, kind, now, error.errno)
            due = now + time_ns - (shown if flags & ABSOLUTE_TIME else 0)
            return _Wait(number, user_data, kind, max(due, now))
        if kind not in (EVENT_READ, EVENT_WRITE):
            raise WasiError(Errno.INVAL)
        return self._wait_for_descriptor(SUBSCRIBED_FD.unpack_from(asked, 16)[0], user_data, kind, number, now)

    def _wait_for_descriptor(self, fd: int, user_data: int, kind: int, number: int, now: int) -> _Wait:
        try:
            found = self._open.find(fd)
            found.need(Right.POLL if found.node is not None or kind == EVENT_WRITE else Right.READ)
        except WasiError as error:
            return _Wait(number, user_data, kind, now, error.errno)
        left = max(0, found.node.size - found.position) if isinstance(found.node, File) else 0
        at_hand = left if kind == EVENT_READ else 0
        return _Wait(number, user_data, kind, now, Errno.SUCCESS, at_hand)
