"""What a garbage collection keeps besides pins: everything that a job of this home needs or names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from network.job_store import Job, JobStore
from storage.cid import CID, is_cid_text, parse_cid

_ALL: Final = -1
_LONGEST_CID_TEXT: Final = 256
"""Characters; output that happens to be a report's text is not searched."""


class JobRoots:
    """The CIDs that jobs keep; asked for again and again while a collection runs, and then as cheap as a count."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._count = -1
        self._roots: tuple[CID, ...] = ()

    def __call__(self) -> tuple[CID, ...]:
        """Return the task, function, input, output and record of every job, and every CID that its report names.

        Jobs are added and never changed or removed, so their number tells whether there is anything new. It is read
        before them: one that is added in between is found the next time.
        """
        count = self._jobs.count()
        if count != self._count:
            self._roots = tuple(dict.fromkeys(cid for job in self._jobs.newest(_ALL) for cid in roots_of(job)))
            self._count = count
        return self._roots


def roots_of(job: Job) -> Iterator[CID]:
    """Yield what one job keeps; the output of a dissenting or lone receipt is named by the report alone."""
    yield from (job.task, job.function, job.input)
    yield from (cid for cid in (job.output, job.record) if cid is not None)
    yield from _named(job.report)


def _named(value: Any) -> Iterator[CID]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)
    elif isinstance(value, str) and 40 < len(value) <= _LONGEST_CID_TEXT and is_cid_text(value):
        yield parse_cid(value)
