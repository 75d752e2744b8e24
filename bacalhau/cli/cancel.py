"""`bacalhau cancel`: give a job up."""

from __future__ import annotations

from typing import Any

import click

from bacalhau.cli.completion import job_ids
from bacalhau.cli.options import json_option, node_of, services_of
from bacalhau.exit_codes import ExitCode
from bacalhau.services import Services


@click.command("cancel", short_help="Give up a job that is under way.")
@click.argument("target", metavar="JOB|CID", shell_complete=job_ids)
@json_option
@click.pass_context
def command(ctx: click.Context, /, target: str, as_json: bool) -> int:
    """Tell the nodes of a job to stop. One that has ended stays as it is, which is no error."""
    from bacalhau.render import print_json, print_text, stderr_console

    said = _cancel(target, services_of(ctx))
    if as_json:
        print_json(said)
        return ExitCode.DONE
    print_text(said["job"])
    stderr_console().print("cancelled" if said["cancelled"] else "it has ended, and stays as it is")
    return ExitCode.DONE


def _cancel(target: str, services: Services) -> dict[str, Any]:
    from bacalhau.job_view import ENDED
    from bacalhau.targets import find_job

    node = node_of(services)
    if node is not None:
        with node:
            return node.cancel(target)
    with services.open_jobs() as jobs:
        return {"job": find_job(target, jobs).id, "state": ENDED, "cancelled": False}
