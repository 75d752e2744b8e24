"""Watches a container from outside, and ends it: for its time, its disk, or because its engine is silent.

No engine bounds what all files of a volume take together, so they are looked at while the program runs: what it writes
between two looks is more than it may, and no more than the disk gives in that time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from runtime.disk_usage_client import TooManyEntriesError, allocated_bytes
from runtime.docker_api_client import DockerApi
from storage.errors import UnavailableError

LOOK_S: Final = 2.0
"""Between two looks at a container."""
SLOW_LOOK_S: Final = 30.0
"""Where the engine has to be asked how much it is: it adds up everything that it has."""
MOST_SILENT: Final = 2
"""Looks that an engine may leave unanswered."""
GONE_S: Final = 10.0
"""From the end that an engine confirmed to the end of what the container writes."""
MAX_LAYER_BYTES: Final = 1 << 30
"""Of a program's own copy of the image, beyond what the image has."""
SLACK_BYTES: Final = 16 << 20
"""Directories, and what a file system rounds up: an output is counted again by its bytes when it is collected."""


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
        ends_at, looks_at = time.monotonic() + self.limit_s, time.monotonic() + LOOK_S
        with ExitStack() as stack:
            while not self._over.wait(max(0.0, min(ends_at, looks_at) - time.monotonic())):
                if time.monotonic() >= ends_at:
                    self.give_up(f"took longer than {self.limit_s:g} s")
                if self.reason:
                    return
                began = time.monotonic()
                pause_s = self._look(stack)
                looks_at = time.monotonic() + max(pause_s, 4 * (time.monotonic() - began))

    def _look(self, stack: ExitStack) -> float:
        """Look once; return how long to wait until the next time."""
        try:
            if self._api is None:
                self._api = stack.enter_context(self.connect())
            pause_s = self._measure(self._api)
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

    def _measure(self, api: DockerApi) -> float:
        places = api.places(self.container)
        taken = allocated_bytes(places.mounts) if places.is_local else None
        pause_s = LOOK_S if taken is not None else SLOW_LOOK_S
        if taken is None:
            taken = _told(lambda: api.volume_bytes(places.volumes))
        if taken > self.output_bytes + SLACK_BYTES:
            self.give_up(f"wrote more than {self.output_bytes} bytes to its outputs")
        if self.is_writable:
            upper = allocated_bytes(places.layers) if places.is_local and places.layers else None
            layer = _told(lambda: api.layer_bytes(self.container)) if upper is None else upper
            pause_s = pause_s if upper is not None else SLOW_LOOK_S / 3
            if layer > MAX_LAYER_BYTES:
                self.give_up(f"wrote more than {MAX_LAYER_BYTES} bytes to its copy of the image")
        return pause_s


def _told(ask: Callable[[], int]) -> int:
    """Return what an engine tells; 0 if it cannot tell now, as while it adds up for somebody else."""
    try:
        return ask()
    except UnavailableError:
        return 0
