"""`bacalhau events`: what happened to a job, and what is happening."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from bacalhau.cli.completion import job_ids
from bacalhau.cli.options import json_option, node_of, services_of
from bacalhau.exit_codes import ExitCode
from bacalhau.services import Services


@click.command("events", short_help="Show what happened to a job; -f follows it.")
@click.argument("target", metavar="JOB|CID", shell_complete=job_ids)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, target: str, follow: bool, as_json: bool) -> int:
    """Show the events of a job: number, time, node and what it was. With --json, one object a line.

    Of a job that ran without a node its report tells what is known.
    """
    from bacalhau.job_events import event_line
    from bacalhau.render import print_json, print_text
    from bacalhau.terminal_text import visible

    for event in _events(target, services_of(ctx), follow=follow):
        print_json(event) if as_json else print_text(visible(event_line(event)))
    return ExitCode.DONE


def _events(target: str, services: Services, *, follow: bool) -> Iterator[dict[str, Any]]:
    from bacalhau.job_events import events_of_report
    from bacalhau.targets import find_job

    node = node_of(services)
    if node is None:
        with services.open_jobs() as jobs:
            report = find_job(target, jobs).report
        yield from events_of_report(report)
        return
    with node:
        if not follow:
            yield from node.events(target)
            return
        from bacalhau.run_on_node import follow_job

        yield from follow_job(node.job(target)["job"], node, lambda: node_of(services))
