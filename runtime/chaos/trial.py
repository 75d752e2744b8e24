"""One run of a function in a world that differs in chosen ways, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

ALL = "*"
Lines = tuple[tuple[str, int], ...]
"""(file, line)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How the world of a run differs; without fields it does not."""

    seed: str | None = None
    """Hex; None: the plan's."""
    epoch: int | None = None
    """Seconds; None: the plan's."""
    hash_seed: int = 0
    engine: str = ""
    """Empty: the usual one."""
    padding: int = 0
    """Objects that are allocated before the function is loaded."""
    entries: str = ""
    """"reversed": the members of the input's tar stream come from the end."""
    part: str = ""
    """Name of the one entry of the input that is given; empty: all of it."""
    vary: tuple[tuple[str, str | Lines], ...] = ()
    """Kind of request -> ALL, or the lines whose requests get another answer."""
    is_traced: bool = False

    def settings(self, ledger: str) -> dict[str, Any]:
        """Return the settings of `runtime.watch.guest.entry`. ledger: path of the ledger, if it is traced."""
        settings: dict[str, Any] = {}
        if self.padding:
            settings["padding"] = self.padding
        if self.entries:
            settings["entries"] = self.entries
        if self.vary:
            settings["vary"] = {
                kind: where if isinstance(where, str) else [list(line) for line in where] for kind, where in self.vary
            }
        if self.is_traced:
            settings["ledger"] = ledger
        return settings

    def merged(self, other: Trial) -> Trial:
        """Return a trial that differs in what either differs in."""
        return replace(
            self,
            seed=other.seed or self.seed,
            epoch=self.epoch if other.epoch is None else other.epoch,
            hash_seed=other.hash_seed or self.hash_seed,
            engine=other.engine or self.engine,
            padding=other.padding or self.padding,
            entries=other.entries or self.entries,
            vary=tuple(dict((*self.vary, *other.vary)).items()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An entry of the ledger: who asked for what."""

    kind: str
    what: str
    file: str
    """Relative to the function's directory; empty: none of its own lines was on the stack."""
    line: int

    @property
    def place(self) -> str:
        """Return `file:line`."""
        return f"{self.file}:{self.line}" if self.file else "outside the function's own lines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a trial gave."""

    output: str
    """CID."""
    exit_code: int
    state_digest: str
    requests: tuple[Request, ...] = field(default=())
    """Of a traced trial."""
