"""`bacalhau list`: the jobs that ran here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from bacalhau.cli.options import json_option, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import cid_text

if TYPE_CHECKING:
    from network.job_store import Job


@click.command("list", short_help="List the jobs that ran here, the newest first.")
@click.option(
    "-n", "--number", type=click.IntRange(1, 1 << 31), default=20, show_default=True, help="How many at most."
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, number: int, as_json: bool) -> int:
    """List jobs: id, time, verdict, exit code, record and labels. With --json, one object a line."""
    from bacalhau.render import print_json, print_text

    with services_of(ctx).open_jobs() as jobs:
        rows = [summary(job) for job in jobs.newest(number)]
    for row in rows:
        print_json(row) if as_json else print_text(_line(row))
    return ExitCode.DONE


def summary(job: Job) -> dict[str, Any]:
    """Return what `list` says of a job; `describe` says the rest."""
    return {
        "job": job.id,
        "created_at": datetime.fromtimestamp(job.created_at, UTC).isoformat(timespec="seconds"),
        "labels": list(job.labels),
        "task": cid_text(job.task),
        "output": cid_text(job.output) if job.output else None,
        "record": cid_text(job.record) if job.record else None,
        "verdict": job.verdict,
        "tier": job.tier,
        "exit_code": job.exit_code,
    }


def _line(row: dict[str, Any]) -> str:
    from bacalhau.terminal_text import visible

    code = "-" if row["exit_code"] is None else row["exit_code"]
    labels = ",".join(visible(label) for label in row["labels"])
    line = f"{row['job'][:8]}  {row['created_at']}  {row['verdict']:<8} {code:>3}  {row['record'] or '-'}  {labels}"
    return line.rstrip()
