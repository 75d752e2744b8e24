"""`bacalhau devstack`: a whole network of nodes on this machine."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bacalhau.cli.container_options import container_arguments, container_options, read_containers
from bacalhau.cli.network_extra import require_network
from bacalhau.cli.options import json_option, named_path, services_of
from bacalhau.exit_codes import ExitCode


@click.command("devstack", short_help="Run a network of nodes on this machine.")
@click.option("--nodes", type=int, default=3, show_default=True, help="Nodes that execute.")
@click.option("--bad-actors", metavar="NAME,…", default="",
              help="Make the last nodes break the rules: liar, copycat, bait-and-switch, mute, late, equivocator, "
                   "flooder.")  # fmt: skip
@click.option("--hybrid", is_flag=True, help="Make each node a requester too, instead of one beside them.")
@click.option("--dir", "directory", type=named_path, help="Keep everything there.  [default: a temporary directory]")
@container_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    nodes: int,
    bad_actors: str,
    hybrid: bool,
    directory: Path | None,
    as_json: bool,
    **containers: bool,
) -> int:
    """Run nodes as processes on loopback until Ctrl-C, and say how to use them.

    They share the caches of BACALHAU_DIR, and nothing else.
    """
    require_network("devstack")
    from bacalhau.devstack import Devstack, stack_directory
    from bacalhau.devstack_plan import plan_stack, share_of
    from bacalhau.render import print_json
    from runtime.machine_room import machine_room

    home = services_of(ctx).home
    read_containers(containers)
    personas = tuple(name.strip() for name in bad_actors.split(",") if name.strip())
    plan_stack(Path(), nodes=nodes, bad_actors=personas, hybrid=hybrid)  # a wrong call makes no directory
    if not as_json:
        beside = "" if hybrid else "a requester and "
        _complain(f"starting {beside}{nodes} node{'' if nodes == 1 else 's'}, which takes some seconds each")
    with stack_directory(directory) as place:
        Devstack(
            plan=plan_stack(place, nodes=nodes, bad_actors=personas, hybrid=hybrid),
            home=home,
            share=share_of(machine_room(place / "none").total, nodes),
            containers=container_arguments(containers),
            environment=dict(os.environ),
            announce=print_json if as_json else _print_stack,
            complain=_complain,
        ).run()
    return ExitCode.DONE


def _print_stack(stack: Mapping[str, Any]) -> None:
    from bacalhau.render import print_text

    lines = ["the devstack is ready; Ctrl-C ends it", ""]
    for node in stack["nodes"]:
        kind = node["bad_actor"] or ", ".join(node["roles"])
        lines.append(f"  {node['name']:<10} {kind:<18} {node['peer']}")
    lines += [
        "",
        "in another terminal:",
        "",
        f"  export BACALHAU_DIR={shlex.quote(stack['submit_to'])}",
        "  bacalhau run python --deterministic -c 'print(6 * 7)'",
        "",
        f"API {stack['api']}, its token in {stack['submit_to']}/api-token; logs {stack['dir']}/*.log",
    ]
    print_text("\n".join(lines))


def _complain(line: str) -> None:
    from bacalhau.terminal_text import clean

    print(f"bacalhau: {clean(line)}", file=sys.stderr, flush=True)  # noqa: T201
