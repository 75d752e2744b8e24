"""`Sharded`: what a function gave over the shards of a directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bacalhau.call_errors import NotVerifiedError, function_error
from bacalhau.result_value import read_result
from bacalhau.stored_output import read_output
from bacalhau.verified import Verified
from storage.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharded:
    """A job over shards: each is verified by itself, and the output of the job is put together of theirs."""

    report: Mapping[str, Any] = field(repr=False)
    """What `bacalhau run --json` prints for a job over shards."""
    returns: str = "auto"
    home: Path | None = None

    @property
    def verified(self) -> bool:
        """Every shard ended with 0, and enough nodes agree on each."""
        return bool(self.report["tier"] == "verified" and self.report["exit_code"] == 0)

    @property
    def output(self) -> str | None:
        """CID of a directory: `shards/<i>/…`, and `outputs/…` merged; None if no shard has an output."""
        output = self.report["output"]
        return None if output is None else str(output)

    @property
    def shards(self) -> tuple[Mapping[str, Any], ...]:
        """What came of each shard: `index`, `first`, `picks`, `task`, `output`, `record`, `verdict`, `exit_code`, …"""
        return tuple(self.report["shards"])

    def values(self) -> Iterator[Any]:
        """Yield what the function returned for each shard, in order.

        Raises:
            FunctionError: it failed for one. NotVerifiedError: the nodes did not agree on one.
        """
        for shard in self.shards:
            yield self.result(shard["index"])

    def result(self, index: int) -> Any:
        """Return what the function returned for one shard; raises as `values`."""
        shard = next((one for one in self.shards if one["index"] == index), None)
        if shard is None:
            raise UserError(f"there is no shard {index}", where=f"job {self.report['job'][:8]}")
        if shard["output"] is None:
            raise NotVerifiedError({**self.report, "reason": f"shard {index}: {shard['reason']}"})
        if shard["exit_code"] != 0:
            stderr = read_output(self.home, shard["output"], "stderr").decode("utf-8", "replace")
            raise function_error(self._as_verified(shard), stderr)
        return read_result(read_output(self.home, shard["output"], "result"), self.returns)

    def read(self, path: str) -> bytes:
        """Return a file of the output, such as `outputs/outputs/table.csv` or `shards/0/result`; at most 1 GiB.

        Raises:
            UserError: there is no output, no such file, or it is larger.
            UnavailableError, VerificationError: it is not here, or damaged.
        """
        if self.output is None:
            raise UserError("gave no output", where=f"job {self.report['job'][:8]}", fix=str(self.report["reason"]))
        return read_output(self.home, self.output, path)

    def _as_verified(self, shard: Mapping[str, Any]) -> Verified[Any]:
        """Return one shard as what a call of its own would give."""
        own = ("task", "input", "output", "record", "verdict", "exit_code", "fuel")
        report = {**self.report, **{name: shard[name] for name in own}, "shards": []}
        return Verified(report=report, returns=self.returns, home=self.home)
