"""`bacalhau describe`: all that was kept of one job."""

from __future__ import annotations

from typing import Any

import click

from bacalhau.cli.options import json_option, services_of
from bacalhau.exit_codes import ExitCode

_FIELDS = (
    "job", "created_at", "verdict", "reason", "tier", "exit_code", "task", "function", "input", "output", "record",
    "state_digest", "seed", "epoch",
)  # fmt: skip


@click.command("describe", short_help="Show all that is known of a job.")
@click.argument("target", metavar="JOB|CID")
@json_option
@click.pass_context
def command(ctx: click.Context, /, target: str, as_json: bool) -> int:
    """Show a job, or the newest one of a record, output or task: what `run --json` printed."""
    from bacalhau.render import print_fields, print_json, print_text
    from bacalhau.targets import find_job
    from bacalhau.terminal_text import one_line

    with services_of(ctx).open_jobs() as jobs:
        report = find_job(target, jobs).report
    if as_json:
        print_json(report)
        return ExitCode.DONE
    print_fields(report, _FIELDS)
    for origin in report.get("origins", ()):  # jobs of older versions have none
        _print_origin(origin)
    for receipt in report["receipts"]:
        word = "agrees " if receipt["agrees"] else "DISSENT"
        print_text(one_line(f"{word} {receipt['node']} {receipt['engine']} {receipt['arch']} {receipt['output']}"))
    for fault in report["faults"]:
        print_text(one_line(f"FAULT {fault['kind']} {fault['node']} {fault['detail']}"))
    return ExitCode.DONE


def _print_origin(origin: dict[str, Any]) -> None:
    from bacalhau.render import print_text
    from bacalhau.terminal_text import one_line

    print_text(one_line(f"FETCHED {origin['path']} {origin['cid']} {origin['url']}"))
    moved = f" from {origin['final_url']}" if origin["final_url"] != origin["url"] else ""
    checksum = f", sha256 {origin['sha256']}" if origin["sha256"] else ""
    print_text("    " + one_line(f"{origin['size']} bytes at {origin['fetched_at']}{moved}{checksum}"))
    for name, value in origin["headers"]:
        print_text("    " + one_line(f"{name}: {value}"))
