"""`bacalhau doctor`: is everything here that is needed, and what protects this machine?"""

from __future__ import annotations

import click

from bacalhau.cli.options import json_option, services_of
from bacalhau.exit_codes import ExitCode


@click.command("doctor", short_help="Check what is needed here and what protects you.")
@click.option("--online", is_flag=True, help="Also ask the package index and the npm registry.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, online: bool, as_json: bool) -> int:
    """Look at Python, Node, Pyodide, uv, the stores, the keys and the sandbox; change and fetch nothing.

    Exit code 0 if all that is needed is here, else 4.
    """
    from bacalhau.checkup import check_up
    from bacalhau.render import print_findings, print_json

    findings = [finding.to_json() for finding in check_up(services_of(ctx).home, online=online)]
    sound = all(finding["ok"] is not False for finding in findings)
    print_json({"ok": sound, "checks": findings}) if as_json else print_findings(findings)
    return ExitCode.DONE if sound else ExitCode.UNCHECKED
