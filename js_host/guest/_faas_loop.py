"""An asyncio event loop on virtual time: timers fire in (time, order) and sleeping costs nothing."""

import asyncio
import heapq
import itertools
import time
from asyncio import base_events, events


class _VirtualSelector:
    """Waits by moving the clock."""

    def select(self, timeout):
        """Return no events; nothing arrives from outside."""
        if timeout is None:
            raise RuntimeError("the event loop waits for something that can never happen: no task or timer is left")
        if timeout > 0:
            time.sleep(timeout)
        return []

    def close(self):
        """Do nothing."""


class _OrderedTimer(events.TimerHandle):
    """A timer that knows which of two at the same time came first: a heap alone forgets."""

    def __init__(self, when, callback, args, loop, context, order):
        super().__init__(when, callback, args, loop, context)
        self._order = order

    def __lt__(self, other):
        """Compare by time, then by order of creation."""
        return (self._when, self._order) < (other._when, other._order)


class VirtualTimeLoop(base_events.BaseEventLoop):
    """The only event loop of the guest."""

    def __init__(self):
        super().__init__()
        self._selector = _VirtualSelector()
        self._timers = itertools.count()

    def call_at(self, when, callback, *args, context=None):
        """Schedule a callback at a time of `loop.time()`."""
        if when is None:
            raise TypeError("when cannot be None")
        self._check_closed()
        timer = _OrderedTimer(when, callback, args, self, context, next(self._timers))
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def run_in_executor(self, executor, func, *args):
        """Refuse: executors are threads or processes."""
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        raise RuntimeError("there are no threads: call the function directly instead of in an executor")

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        pass


class _Policy(events._BaseDefaultEventLoopPolicy):
    _loop_factory = VirtualTimeLoop


def install():
    """Make it the loop of asyncio.run, new_event_loop and get_event_loop; no loop is running."""
    asyncio.run = asyncio.runners.run  # Pyodide puts its own in front
    events._set_running_loop(None)
    events._set_event_loop_policy(_Policy())
    asyncio.EventLoop = VirtualTimeLoop
