"""How jobs over shards look to a person; as in `render`, stdout gets the answer alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from bacalhau.disputed_tasks import print_disputes
from bacalhau.render import print_fields, print_text, stderr_console, stdout_console
from bacalhau.shard_report import ShardTotals, shards_phrase
from bacalhau.terminal_text import one_line, visible
from bacalhau.trust_report import trust_lines
from network.job_shards import JobShard

_GOOD: Final = "bold green"
_BAD: Final = "bold red"
_UNSURE: Final = "bold yellow"
SHOWN: Final = 20
"""Shards and conflicts that are listed for a person; --json has all."""


def totals_phrase(totals: ShardTotals, total: int | None) -> str:
    """Return the state of a job: `12 of 100 shards done, 3 of them known from before, 1 failed`."""
    done = shards_phrase(totals.shards) if total is None else f"{totals.shards} of {shards_phrase(total)}"
    return f"{done} done{_parts(totals.cached, totals.failed, totals.unverified)}"


def print_shards_run(report: Mapping[str, Any], rows: Iterable[JobShard]) -> None:
    """Print the output's CID on stdout, the rest on stderr."""
    if report["output"] is not None:
        print_text(report["output"])
    console = stderr_console()
    console.print(_verdict(report))
    for line in trust_lines(report.get("trust")):
        console.print(one_line(line))
    _print_failed(console, report, rows)
    _print_conflicts(console, report)
    print_disputes(console, report)
    print_fields(report, ("function", "input", "output"), console)
    name = report["job"][:8]
    first, rest = "next: ", "      "
    if report["sharding"]["failed"]:  # why it did is in what it wrote
        console.print(f"{first}bacalhau logs {name}")
        first = rest
    console.print(f"{first}bacalhau describe {name}")
    if report["output"] is not None:
        console.print(f"      bacalhau get {name}")
        console.print(f"      bacalhau audit {name}")


def print_shards_description(report: Mapping[str, Any], rows: Iterable[JobShard]) -> None:
    """Print a job over shards on stdout: its summary, its failed shards and its conflicts."""
    console = stdout_console()
    print_fields(
        report,
        ("job", "created_at", "verdict", "reason", "tier", "exit_code", "function", "input", "output", "fuel"),
    )
    sharding = report["sharding"]
    print_fields(sharding, ("glob_pattern", "base_path", "batch_size", "max_failures"))
    print_fields(sharding, ("shards", "verified", "cached", "failed", "split", "too_few"))
    for line in trust_lines(report.get("trust")):
        print_text(one_line(line))
    _print_failed(console, report, rows)
    _print_conflicts(console, report)
    print_disputes(console, report)


def print_shards_plan(plan: Mapping[str, Any]) -> None:
    """Print what would run: what shards have in common, how many there are, and the first of them."""
    print_fields(plan, ("function", "source", "entry", "runtime", "input", "data", "seed", "epoch"))
    for volume in plan["volumes"]:
        print_text(f"  volume  {volume['cid']}  {visible(volume['path'])}")
    for wheel in plan["lock"]:
        print_text(f"  package {visible(wheel['name'])} {visible(wheel['version'])}  {wheel['wheel']}")
    print_fields(plan["sharding"], ("glob_pattern", "base_path", "batch_size", "shards"))
    for shard in plan["shards"][:SHOWN]:
        last = "" if shard["picks"] == 1 else f" … {visible(shard['last'])}"
        print_text(
            f"  shard {shard['index']}  {shard['task']}  {visible(shard['first']) or '/'}{last} ({shard['picks']})"
        )
    _print_more(stdout_console(), plan["sharding"]["shards"], "shards")


def _verdict(report: Mapping[str, Any]) -> Text:
    counts = report["sharding"]
    if report["tier"] != "verified":
        return Text.assemble((f"not verified ({report['verdict']})", _BAD), f": {one_line(report['reason'])}")
    word = ("verified", _UNSURE if counts["failed"] else _GOOD)
    but = f"; {one_line(report['reason'])}" if report["reason"] else ""
    parts = _parts(counts["cached"], counts["failed"], 0)
    return Text.assemble(word, f": {shards_phrase(counts['shards'])}{parts}{but}")


def _parts(cached: int, failed: int, unverified: int) -> str:
    parts = (
        (cached, "known from before"),
        (failed, "with a function that failed"),
        (unverified, "not verified"),
    )
    return "".join(f", {number} {what}" for number, what in parts if number)


def _print_failed(console: Console, report: Mapping[str, Any], rows: Iterable[JobShard]) -> None:
    counts = report["sharding"]
    failed = counts["failed"] + counts["shards"] - counts["verified"]
    if not failed:
        return
    shown = 0
    for row in rows:
        if row.exit_code == 0:
            continue
        why = f"not verified ({row.verdict}): {row.reason}" if row.exit_code is None else f"exit code {row.exit_code}"
        console.print(Text(one_line(f"shard {row.number} ({visible(row.first) or '/'}): {why}"), _BAD))
        shown += 1
        if shown == SHOWN:
            break
    _print_more(console, failed, "failed shards")


def _print_conflicts(console: Console, report: Mapping[str, Any]) -> None:
    for conflict in report["conflicts"][:SHOWN]:
        shards = ", ".join(str(version["shard"]) for version in conflict["versions"])
        more = " and others" if conflict["has_more"] else ""
        said = f"conflict: outputs/{visible(conflict['path'])} differs between shards {shards}{more}"
        said += ": each has its own in shards/N, outputs has none"
        console.print(Text(one_line(said), _UNSURE))
    _print_more(console, report["conflict_count"], "conflicts")


def _print_more(console: Console, count: int, what: str) -> None:
    if count > SHOWN:
        console.print(f"… {count} {what} in all; --json lists them")
