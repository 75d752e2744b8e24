"""What the marks of `marks.Marker` do."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from .ledger import Ledger
from .marks import EACH, GIVEN, NOW, POPPED

_DAY: Final = datetime.timedelta(days=1, hours=1)


class BackwardSet(set):  # type: ignore[type-arg]
    """A set that is iterated over, and shown, the other way round."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate from the end."""
        yield from reversed(list(super().__iter__()))

    def __repr__(self) -> str:
        """Show as a set, from the end."""
        return "{" + ", ".join(map(repr, self)) + "}" if self else "set()"


class BackwardFrozenSet(frozenset):  # type: ignore[type-arg]
    """The same, frozen."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate from the end."""
        yield from reversed(list(super().__iter__()))

    def __repr__(self) -> str:
        """Show as a frozenset, from the end."""
        return "frozenset({" + ", ".join(map(repr, self)) + "})" if self else "frozenset()"


class Marks:
    """The marks, over one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def install(self, namespace: dict[str, object]) -> None:
        """Put the marks where marked code finds them."""
        namespace |= {EACH: self.each, GIVEN: self.given, POPPED: self.popped, NOW: self.now}

    def _is_other(self, value: Any, path: str, line: int) -> bool:
        return self._ledger.asked("set order", _of(value), (path, line))

    def each(self, value: Any, path: str, line: int) -> Any:
        """`for … in value`."""
        if _has_accidental_order(value) and self._is_other(value, path, line):
            return list(value)[::-1]
        return value

    def given(self, value: Any, path: str, line: int) -> Any:
        """`list(value)` and the like."""
        if _has_accidental_order(value) and self._is_other(value, path, line):
            return BackwardSet(value) if type(value) is set else BackwardFrozenSet(value)
        return value

    def popped(self, owner: Any, path: str, line: int) -> Any:
        """`owner.pop()`."""
        if type(owner) is set and _has_accidental_order(owner) and self._is_other(owner, path, line):
            last = list(owner)[-1]
            owner.remove(last)
            return last
        return owner.pop()

    def now(self, bound: Callable[..., Any], path: str, line: int) -> Callable[..., Any]:
        """`datetime.now`, `date.today`: classes in C, which nobody can put something else into."""
        owner = getattr(bound, "__self__", None)
        if not (isinstance(owner, type) and issubclass(owner, datetime.date)):
            return bound
        if self._ledger.asked("clock", f"{owner.__name__}.{bound.__name__}", (path, line)):
            return lambda *args, **words: bound(*args, **words) + _DAY
        return bound


def _has_accidental_order(value: Any) -> bool:
    """Tell whether a value is a set whose order does not follow from its elements alone, as that of ints does."""
    return type(value) in (set, frozenset) and len(value) > 1 and not all(type(one) is int for one in value)


def _of(value: Iterable[object]) -> str:
    """Name a set by what is in it: text and objects are ordered by what changes, numbers by themselves."""
    kinds = sorted({type(one).__name__ for one in value})
    return f"{type(value).__name__} of {', '.join(kinds[:3])}"
