"""Watches a container from outside, and ends it: for its time, its disk, or because its engine is silent.

Few engines bound what all files of a volume take together, so they are looked at while the program runs: every two
seconds, and as soon as so much of the disk is gone that this program may be over its limit. What is left of the disk is
asked for twenty times a second, which costs some microseconds. So what a program writes beyond its limit is what the
disk takes in the twentieth of a second before it is seen, and until the engine has ended it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from runtime.disk_usage_client import TooManyEntriesError, allocated_bytes, disks_of, free_bytes, open_bytes
from runtime.docker_api_client import DockerApi, Places
from storage.errors import UnavailableError

LOOK_S: Final = 2.0
"""Between two looks at a container."""
GLANCE_S: Final = 0.05
"""Between two glances at what is left of the disk."""
SLOW_LOOK_S: Final = 30.0
"""Where the engine has to be asked how much it is: it adds up everything that it has."""
REST: Final = 4
"""Looks take at most one part of so many, and one: a walk through many files takes a second."""
MOST_SILENT: Final = 2
"""Looks that an engine may leave unanswered."""
GONE_S: Final = 10.0
"""From the end that an engine confirmed to the end of what the container writes."""
MAX_LAYER_BYTES: Final = 1 << 30
"""Of a program's own copy of the image, beyond what the image has."""
SLACK_BYTES: Final = 16 << 20
"""Directories, and what a file system rounds up: an output is counted again by its bytes when it is collected."""
RESERVE_BYTES: Final = 1 << 30
"""Of the engine's disk, that no container gets. Whose files are not found (without a name, and open through a socket or
a map alone) ends here with all others: nobody knows who it is."""


@dataclass(slots=True, kw_only=True)
class ContainerGuard:
    """The guard of one container; `watching` is its life."""

    connect: Callable[[], DockerApi]
    container: str
    limit_s: float
    output_bytes: int
    """Of all files on its volumes."""
    is_writable: bool
    """It may write to its own copy of the image."""
    reason: str = ""
    """Why it was ended; the first one counts. Empty: it was not."""
    is_of_engine: bool = False
    """The engine failed, and not the program."""
    has_hung_up: bool = False
    """Nothing is waited for any more: the engine did not end what it was told to."""
    _hang_up: Callable[[], None] = field(default=lambda: None)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _api: DockerApi | None = None
    _places: Places | None = None
    _disks: tuple[str, ...] = ()
    """What its places are on; none where they cannot be seen from here."""
    _free: dict[int, int] = field(default_factory=dict)
    """Of the disk at the last look, by device; empty: it cannot be seen from here."""
    _left: int = 0
    """What it might write from then on."""
    _silent: int = 0

    @contextmanager
    def watching(self, hang_up: Callable[[], None]) -> Iterator[None]:
        """Watch for the length of a block. hang_up: ends the reading of what the container writes, from any thread."""
        self._hang_up = hang_up
        threading.Thread(target=self._watch, name="watch-container", daemon=True).start()
        try:
            yield
        finally:
            self._over.set()

    def give_up(self, reason: str, *, is_of_engine: bool = False) -> None:
        """End it, without waiting for it."""
        with self._lock:
            if self.reason:
                return
            self.reason, self.is_of_engine = reason, is_of_engine
        threading.Thread(target=self._end, name="end-container", daemon=True).start()

    def end_now(self) -> bool:
        """Have the engine end it; tell whether it says that it did."""
        try:
            with self.connect() as api:
                return api.kill(self.container)
        except UnavailableError:
            return False

    def _end(self) -> None:
        """End the container over a connection of its own: the run's is in use by the run's thread."""
        if self.end_now() and self._over.wait(GONE_S):
            return
        if not self._over.is_set():
            self.has_hung_up = True
            self._hang_up()

    def _watch(self) -> None:
        ends_at, looks_at, rests_until = time.monotonic() + self.limit_s, time.monotonic() + LOOK_S, 0.0
        with ExitStack() as stack:
            self._begin(stack)
            while not self._over.wait(self._pause_s(min(ends_at, looks_at))):
                began = time.monotonic()
                if began >= ends_at:
                    self.give_up(f"took longer than {self.limit_s:g} s")
                if self.reason:
                    return
                if began < looks_at and (began < rests_until or not self._has_sunk()):
                    continue
                pause_s = self._look(stack, only_disk=began < looks_at)
                ended = time.monotonic()
                rests_until = ended + REST * (ended - began)
                looks_at = max(ended + pause_s, rests_until)

    def _begin(self, stack: ExitStack) -> None:
        """See where it writes, before it has written much; if that fails, the next look sees."""
        try:
            self._api = stack.enter_context(self.connect())
            self._find_places(self._api)
        except UnavailableError:
            return
        self._note(self.output_bytes)

    def _find_places(self, api: DockerApi) -> Places:
        self._places = places = api.places(self.container)
        self._disks = disks_of((*places.mounts, *places.layers)) if places.is_local else ()
        return places

    def _pause_s(self, next_s: float) -> float:
        until_s = max(0.0, next_s - time.monotonic())
        return min(GLANCE_S, until_s) if self._free else until_s

    def _note(self, left: int) -> None:
        """Note what there is of the disk now. left: bytes to the nearest of its limits."""
        self._left = max(left, SLACK_BYTES)
        self._free = free_bytes(self._disks)

    def _has_sunk(self) -> bool:
        """Tell whether so much of the disk has gone that a look is due."""
        now, then = free_bytes(self._disks), self._free
        return any(free < RESERVE_BYTES or then.get(one, free) - free > self._left for one, free in now.items())

    def _look(self, stack: ExitStack, *, only_disk: bool) -> float:
        """Look once; return how long to wait until the next time. only_disk: the engine is asked nothing."""
        try:
            if self._api is None:
                self._api = stack.enter_context(self.connect())
            places = self._places if only_disk and self._places is not None else self._find_places(self._api)
            pause_s = self._measure(self._api, places)
        except UnavailableError:
            self._api, self._silent = None, self._silent + 1
            if self._silent >= MOST_SILENT:
                self.give_up("the container engine does not answer", is_of_engine=True)
            return 0.0
        except TooManyEntriesError:
            self.give_up("made more files than an output may have")
            return LOOK_S
        self._silent = 0
        return pause_s

    def _measure(self, api: DockerApi, places: Places) -> float:
        free = free_bytes(self._disks)
        nameless = open_bytes(places.pid, free) if free else 0
        taken = allocated_bytes(places.mounts) if places.is_local else None
        pause_s = LOOK_S if taken is not None else SLOW_LOOK_S
        if taken is None:
            taken = _told(lambda: api.volume_bytes(places.volumes))
        if not self.is_writable:
            taken += nameless  # it has no other place on a disk
        if taken > self.output_bytes + SLACK_BYTES:
            self.give_up(f"wrote more than {self.output_bytes} bytes to its outputs")
        left = self.output_bytes + SLACK_BYTES - taken
        if self.is_writable:
            upper = allocated_bytes(places.layers) if places.is_local and places.layers else None
            layer = nameless + (_told(lambda: api.layer_bytes(self.container)) if upper is None else upper)
            pause_s = pause_s if upper is not None else SLOW_LOOK_S / 3
            if layer > MAX_LAYER_BYTES:
                self.give_up(f"wrote more than {MAX_LAYER_BYTES} bytes to its copy of the image")
            left = min(left, MAX_LAYER_BYTES - layer)
        self._note(left)
        if any(bytes_ < RESERVE_BYTES for bytes_ in free.values()):
            self.give_up("the disk of the container engine is nearly full", is_of_engine=True)
        return pause_s


def _told(ask: Callable[[], int]) -> int:
    """Return what an engine tells; 0 if it cannot tell now, as while it adds up for somebody else."""
    try:
        return ask()
    except UnavailableError:
        return 0
