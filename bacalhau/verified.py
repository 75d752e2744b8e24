"""`Verified`: what a call gave, with the proof that enough nodes agree on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final, Generic, TypeVar, cast

from bacalhau.call_errors import function_error
from bacalhau.result_value import read_result
from bacalhau.stored_output import opened_output, read_output, services_at
from bacalhau.verified_html import card
from storage.cid import parse_cid
from storage.errors import UnavailableError, UserError

Value = TypeVar("Value")

_SHOWN: Final = 60


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Verified(Generic[Value]):
    """y of y = f(x), and where it says so. Nothing is read before it is asked for.

    Two are equal if they say the same: the same task gave the same output. They may be pickled; what they name is then
    read from the same home, or from that of whoever reads it.

    Examples:
        >>> r = total(bacalhau.add("prices.csv"), column="price")  # doctest: +SKIP
        >>> r.value, r.record  # doctest: +SKIP
        (112.5, 'bafyreib…')
    """

    report: Mapping[str, Any] = field(repr=False)
    """What `bacalhau run --json` prints."""
    returns: str = "auto"
    """How `value` reads the result: `auto`, `bytes`, `text`, `json`."""
    home: Path | None = None
    """Where its blocks were kept; None: the home of this environment."""

    @property
    def job(self) -> str:
        """Id of the job that asked, 32 hex digits."""
        return str(self.report["job"])

    @property
    def task(self) -> str:
        """CID of {f, x}."""
        return str(self.report["task"])

    @property
    def function(self) -> str:
        """CID of f: source, packages and runtime."""
        return str(self.report["function"])

    @property
    def input(self) -> str:
        """CID of x: data, arguments, seed, limits."""
        return str(self.report["input"])

    @property
    def output(self) -> str:
        """CID of y: a directory with `result`, `stdout`, `stderr`, `exit_code` and `outputs/`."""
        return str(self.report["output"])

    @property
    def record(self) -> str:
        """CID of the record that y = f(x), with its receipts: `bacalhau audit` checks it, anywhere."""
        return str(self.report["record"])

    @property
    def verdict(self) -> str:
        """`agreed`, or `cached` if it was agreed before and nothing ran."""
        return str(self.report["verdict"])

    @property
    def exit_code(self) -> int:
        """The function's: 0 unless it failed."""
        return int(self.report["exit_code"])

    @property
    def fuel(self) -> int | None:
        """Instructions that were counted; None if the nodes counted differently."""
        return cast(int | None, self.report["fuel"])

    @property
    def state_digest(self) -> str | None:
        """Digest of the whole memory after the run; None if it differs between nodes."""
        return cast(str | None, self.report["state_digest"])

    @property
    def receipts(self) -> tuple[Mapping[str, Any], ...]:
        """What each node signed: `node`, `engine`, `arch`, `output`, `state_digest`."""
        return tuple(self.report["receipts"])

    @cached_property
    def value(self) -> Value:
        """What the function returned.

        Bytes come back as they are, text and JSON as `returns` says. With `auto` the result is None if it is empty,
        else what it is as JSON, else text, else bytes: a function that returns the *text* `5` should say so, with
        `-> str` or `returns="text"`.

        Raises:
            FunctionError: it did not return but failed.
            UnavailableError: the output is not here.
        """
        if self.exit_code != 0:
            raise function_error(self, self.stderr)
        return cast(Value, read_result(self.raw, self.returns))

    @cached_property
    def raw(self) -> bytes:
        """The result, byte for byte."""
        return self.read("result")

    @cached_property
    def stdout(self) -> str:
        """What the function printed; bytes that are no UTF-8 as U+FFFD."""
        return self.read("stdout").decode("utf-8", "replace")

    @cached_property
    def stderr(self) -> str:
        """What it wrote to stderr, a traceback at the end if it raised."""
        return self.read("stderr").decode("utf-8", "replace")

    def read(self, path: str) -> bytes:
        """Return a file of the output, such as `outputs/outputs/table.csv`; at most 1 GiB.

        Raises:
            UserError: there is no such file, or it is larger.
            UnavailableError, VerificationError: it is not here, or damaged.
        """
        return read_output(self.home, self.output, path)

    @contextmanager
    def open(self, path: str = "result") -> Iterator[BinaryIO]:
        """Open a file of the output, of any size: it is read block by block, each checked. Raises as `read`.

        Examples:
            >>> with r.open("outputs/outputs/table.csv") as file:  # doctest: +SKIP
            ...     frame = pandas.read_csv(file)
        """
        with opened_output(self.home, self.output, path) as stream:
            yield stream

    def save(self, path: str | Path) -> Path:
        """Lay out the output at a path that is not there yet, with `record.car`, which audits anywhere and offline.

        Raises:
            UserError: the path is taken.
            UnavailableError, VerificationError: something is not here, or damaged.
        """
        from bacalhau.layout import lay_out

        target = Path(path).absolute()
        with services_at(self.home).open_store() as store:
            lay_out(store, parse_cid(self.output), parse_cid(self.record), target)
        return target

    def audit(self) -> dict[str, Any]:
        """Return what `bacalhau audit RECORD --json` prints: `verdict`, and numbered `checks`."""
        from bacalhau.audit_demand import Demand
        from bacalhau.auditing import audit_whole
        from bacalhau.graph_auditing import with_disputes_here

        services, record = services_at(self.home), parse_cid(self.record)
        with services.open_store() as store:
            found = audit_whole(store, record, Demand()).to_json()
        return with_disputes_here(found, [record], services)

    def __truediv__(self, path: str) -> VerifiedPath:
        """Return something in the output as the input of another call: `r / "outputs/outputs/table.csv"`."""
        if any(name in ("", ".", "..") for name in path.split("/")):
            raise UserError(f"{path!r} is not a plain path", where="Verified", fix="write names joined by '/'")
        return VerifiedPath(of=self, path=path)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Verified):
            return NotImplemented
        return (self.task, self.output) == (other.task, other.output)

    def __hash__(self) -> int:
        return hash((self.task, self.output))

    def __repr__(self) -> str:
        agree, of = self._votes()
        return f"Verified({self._shown()}, record={self.record!r}, {agree} of {of} agree)"

    def _repr_html_(self) -> str:
        """Return it as a notebook shows it; everything a stranger wrote is escaped."""
        return card(self.report, shown=self._shown(), votes=self._votes())

    def _votes(self) -> tuple[int, int]:
        """Return how many nodes say this, and how many said anything."""
        receipts = self.report["receipts"]
        return sum(one["output"] == self.output for one in receipts), len(receipts)

    def _shown(self) -> str:
        if self.exit_code != 0:
            return f"exit_code={self.exit_code}"
        try:
            text = repr(self.value)
        except (UnavailableError, UserError):
            return "value is not here"
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

    def __getstate__(self) -> dict[str, Any]:
        return {"report": dict(self.report), "returns": self.returns, "home": self.home}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPath:
    """Something in a verified output, as the input of another call."""

    of: Verified[Any]
    path: str
