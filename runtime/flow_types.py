"""A flow: steps, of which each is a function over contents, some of them the outputs of other steps.

Made by `flow_file` of a file and by `bacalhau.Flow` of calls; whether the steps fit together is `flow_graph`'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from runtime.request import Request
from runtime.shard_pattern import ShardPattern

MAX_STEPS: Final = 10_000
MAX_ENTRIES: Final = 10_000
"""Contents of one `data` that is put together."""
PARAMETERS: Final = "args"
"""No step's name: `${args.x}` is a parameter of the flow."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


APPLIED: Final = ("function", "code", "module")
"""What a step applies: one of these."""


def what_is_wrong(keys: Collection[str]) -> tuple[str, str] | None:
    """Return what is wrong with the keys of a step that say what it applies, and a fix; None: nothing.

    keys: those that are given, as a flow file calls them.
    """
    given = [name for name in APPLIED if name in keys]
    if len(given) != 1:
        problem = f"has {' and '.join(given)}" if given else "has neither function, code nor module"
        return problem, "give one of them"
    needs_other = ("arguments",) if given != ["module"] else ("requirements", "entry", "args")
    wrong = next((name for name in needs_other if name in keys), None)
    if wrong is None:
        return None
    if given == ["module"]:
        return f"is a module, and has {wrong!r}", "give a module a list of texts as 'arguments', or leave it out"
    return f"is no module, and has {wrong!r}", "give what a function is called with as 'args'"


def is_step_name(text: str) -> bool:
    """Tell whether a step may be called that."""
    return _NAME.fullmatch(text) is not None and text != PARAMETERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """Content that is there before the flow begins."""

    text: str
    """What `-i` takes: a CID, a path in one, a local path, a URL, @FILE; local paths are absolute."""
    at: str
    """Where it was written, for errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a step gives, or something in it."""

    step: str
    path: str
    """Names joined by '/', from the step's output directory on; empty for all of it."""
    at: str

    def __str__(self) -> str:
        return f"${{{self.step}/{self.path}}}" if self.path else f"${{{self.step}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A directory that is put together of contents."""

    entries: tuple[tuple[str, Literal | Reference], ...]
    """(path, content) in the order in which they were written."""
    at: str


Content: TypeAlias = Literal | Reference | Tree


class StepKind(StrEnum):
    """How many tasks a step is."""

    ONE = "step"
    """One task."""
    MAP = "map"
    """One for each batch of what a pattern picks."""
    REDUCE = "reduce"
    """The same, and again over what these gave, until one is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How the data of a step is split; the pattern means what docs/sharding.md says."""

    pattern: ShardPattern
    batch: int
    """Picks of one task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step."""

    name: str
    kind: StepKind
    request: Request
    """Function, arguments, environment, limits and so on; its data and volumes are not set."""
    data: Content | None
    """Of a map or reduce: the directory that is split."""
    split: Split | None
    """None of a step of one task."""
    volumes: tuple[tuple[str, Literal | Reference], ...]
    """(guest path, content)."""
    at: str
    """Where it was written, for errors."""

    def contents(self) -> Iterator[Literal | Reference]:
        """Yield what the step takes, in the order in which it was written."""
        if isinstance(self.data, Tree):
            yield from (content for _, content in self.data.entries)
        elif self.data is not None:
            yield self.data
        yield from (content for _, content in self.volumes)

    def references(self) -> Iterator[Reference]:
        """Yield what the step takes of other steps."""
        yield from (content for content in self.contents() if isinstance(content, Reference))


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Steps, as they were written."""

    name: str
    """The file, as the user calls it."""
    steps: tuple[Step, ...]
    """None of them twice."""
