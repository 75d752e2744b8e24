"""A span: something that was done for a job and has ended, in a trace whose id is made from the job's.

Offers carry the job's id anyway, so that spans of nodes that never spoke of tracing join. Nothing here knows a library
or a clock; whoever takes spans does not wait and does not raise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

JOB: Final = "job"
SUBMIT: Final = "submit"
BIDS: Final = "bids"
VERIFICATION: Final = "verification"
PUBLICATION: Final = "publication"
EXECUTION: Final = "execution"
STEP: Final = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that has ended."""

    job: str
    """32 hex digits."""
    name: str
    """JOB is the one that all others are below; its requester tells it."""
    key: str = ""
    """What spans below this one name it by, the same in all processes; empty: nothing is below it."""
    below: str = ""
    """The key of the span that this one is below; empty: JOB."""
    began_s: float
    """Seconds since 1970, like the next."""
    ended_s: float
    problem: str = ""
    """Why it failed; empty if it did not."""
    detail: Mapping[str, str | int | float] = field(default_factory=dict)


Tell: TypeAlias = Callable[[Span], None]


def trace_id(job: str) -> int:
    """Return the id of a job's trace: 16 bytes of the SHA-256 of its id's text."""
    return int.from_bytes(hashlib.sha256(job.encode("ascii")).digest()[:16], "big")


def root_id(job: str) -> int:
    """Return the id of the span JOB: the 8 bytes after those of the trace."""
    return int.from_bytes(hashlib.sha256(job.encode("ascii")).digest()[16:24], "big")


def span_id(job: str, key: str) -> int:
    """Return the id of the span with a key: bytes of the SHA-256 of `job/key`; that of JOB if it is empty."""
    if not key:
        return root_id(job)
    return int.from_bytes(hashlib.sha256(f"{job}/{key}".encode()).digest()[:8], "big")
