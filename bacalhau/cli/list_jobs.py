"""`bacalhau list`: the jobs that ran here, and those under way."""

from __future__ import annotations

from typing import Any

import click

from bacalhau.cli.options import json_option, node_of, services_of
from bacalhau.exit_codes import ExitCode
from bacalhau.services import Services

_MOST_OF_A_NODE = 1000
"""What its API lists at once."""


@click.command("list", short_help="List the jobs that ran here, the newest first.")
@click.option(
    "-n", "--number", type=click.IntRange(1, 1 << 31), default=20, show_default=True, help="How many at most."
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, number: int, as_json: bool) -> int:
    """List jobs: id, time, verdict or state, exit code, record and labels. With --json, one object a line."""
    from bacalhau.render import print_json, print_text

    for row in _rows(services_of(ctx), number):
        print_json(row) if as_json else print_text(_line(row))
    return ExitCode.DONE


def _rows(services: Services, number: int) -> list[dict[str, Any]]:
    """Return the newest jobs: those of the node, and of this home unless the node has another."""
    from bacalhau.job_view import summary_of_job

    node = node_of(services)
    told: list[dict[str, Any]] = []
    if node is not None:
        with node:
            told = node.jobs(min(number, _MOST_OF_A_NODE))
            if node.is_elsewhere:
                return told
    with services.open_jobs() as jobs:
        here = [summary_of_job(job) for job in jobs.newest(number)]
    known = {row["job"] for row in told}
    rows = [*told, *(row for row in here if row["job"] not in known)]
    if told:
        rows.sort(key=lambda row: str(row["created_at"]), reverse=True)
    return rows[:number]


def _line(row: dict[str, Any]) -> str:
    from bacalhau.terminal_text import visible

    code = "-" if row["exit_code"] is None else row["exit_code"]
    labels = ",".join(visible(label) for label in row["labels"])
    given_up = row["cancelled"] and row["verdict"] not in ("agreed", "cached")
    state = "cancelled" if given_up else row["verdict"] or row["state"]
    # A job over shards has no task, and a record for each of them.
    proof = row["record"] or ("over shards" if row["task"] is None else "-")
    line = f"{row['job'][:8]}  {row['created_at']}  {state:<10} {code:>3}  {proof}  {labels}"
    return visible(line.rstrip())
