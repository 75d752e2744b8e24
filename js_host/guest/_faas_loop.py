"""An asyncio event loop on virtual time: timers fire in (time, order) and sleeping costs nothing."""

import asyncio
import time
from asyncio import base_events, events


class _VirtualSelector:
    """Waits by moving the clock."""

    def __init__(self, sleep):
        self._sleep = sleep

    def select(self, timeout):
        """Return no events; nothing arrives from outside."""
        if timeout is None:
            raise RuntimeError("the event loop waits for something that can never happen: no task or timer is left")
        if timeout > 0:
            self._sleep(timeout)
        return []

    def close(self):
        """Do nothing."""


class VirtualTimeLoop(base_events.BaseEventLoop):
    """The only event loop of the guest."""

    def __init__(self):
        super().__init__()
        self._selector = _VirtualSelector(time.sleep)

    def close(self):
        """Close the loop."""
        if not self.is_closed():
            super().close()

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
