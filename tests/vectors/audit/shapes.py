"""What a case of the audit is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    """One file, and what an audit of it must give."""

    about: str
    check: int | None
    """The check in charge, None if all are true: the first that is not true, but for those in `first`."""
    first: int | None = None
    """A check that comes before it and must say so too."""
    data: Callable[[], bytes]
    cid: Callable[[], str] | None = None
    """What the file is asked to prove; None: whatever its roots are."""
    deep: bool = False
    blind: int | None = None
    """How many nodes of the record are blind, of a graph in how many records some are not; None: not told by hand."""
