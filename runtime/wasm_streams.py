"""Standard output and error of a run, kept until it has ended, and the limit that all outputs have together."""

from __future__ import annotations


class OutputExceededError(Exception):
    """More was put out than may be: the run ends."""


class OutputMeter:
    """Counts what a run puts out."""

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes

    def take(self, count: int) -> int:
        """Count bytes; return how many of them are within the limit."""
        taken = min(count, self.left_bytes)
        self.left_bytes -= taken
        return taken


class Stream:
    """What was written to one of them."""

    def __init__(self, meter: OutputMeter) -> None:
        self.content = bytearray()
        self._meter = meter

    def write(self, data: memoryview) -> None:
        """Take what the guest writes.

        Raises:
            OutputExceededError: it is more than there is room for; as much as there is was taken.
        """
        taken = self._meter.take(len(data))
        self.content += data[:taken]
        if taken < len(data):
            raise OutputExceededError
