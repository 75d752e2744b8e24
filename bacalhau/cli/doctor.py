"""`bacalhau doctor`: is everything here that is needed, and what protects this machine?"""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from bacalhau.cli.options import json_option, services_of
from bacalhau.cli.room_options import room_flags, room_options
from bacalhau.exit_codes import ExitCode


@click.command("doctor", short_help="Check what is needed here and what protects you.")
@click.option("--online", is_flag=True, help="Also ask the package index and the npm registry.")
@room_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, online: bool, as_json: bool, **flags: Any) -> int:
    """Look at Python, Node, Pyodide, uv, the stores, the keys, the sandbox and the capacity; change and fetch nothing.

    Exit code 0 if all that is needed is here, else 4. With limits it tells what `serve` with these would give to jobs.
    """
    from bacalhau.checkup import check_up
    from bacalhau.render import print_findings, print_json
    from runtime.machine_room import machine_room

    home = services_of(ctx).home
    look_at_room = partial(machine_room, home.store_path, room_flags(flags))
    if any(value is not None for value in flags.values()):
        room = look_at_room()  # a wrong call is not a finding
        look_at_room = partial(lambda: room)
    findings = [finding.to_json() for finding in check_up(home, online=online, look_at_room=look_at_room)]
    sound = all(finding["ok"] is not False for finding in findings)
    print_json({"ok": sound, "checks": findings}) if as_json else print_findings(findings)
    return ExitCode.DONE if sound else ExitCode.UNCHECKED
