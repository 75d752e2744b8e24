"""`bacalhau id`: who this machine's nodes are."""

from __future__ import annotations

import click

from bacalhau.cli.options import json_option, node_of, services_of
from bacalhau.exit_codes import ExitCode
from verifier.compare import DEFAULT_REPLICATION


@click.command("id", short_help="Show the peer ids of this machine's nodes.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool) -> int:
    """Show the peer ids that sign receipts here, that of a running node first; keys are made on first use."""
    from network import key_store

    services = services_of(ctx)
    node = node_of(services)
    running: list[dict[str, str]] = []
    if node is not None:
        with node:
            running = [{"name": "node", "peer": node.status()["peer"]}]
            if node.is_elsewhere:
                return _show(running, as_json=as_json)
    home = services.home
    home.create()
    wanted = {home.keys_dir / f"embedded-{number + 1}.key" for number in range(DEFAULT_REPLICATION)}
    paths = sorted(wanted | set(home.keys_dir.glob("*.key")))
    kept = [{"name": path.stem, "peer": str(key_store.load_or_create(path).peer)} for path in paths]
    known = {one["peer"] for one in running}
    return _show([*running, *(one for one in kept if one["peer"] not in known)], as_json=as_json)


def _show(peers: list[dict[str, str]], *, as_json: bool) -> int:
    from bacalhau.render import print_json, print_text

    if as_json:
        print_json({"peers": peers})
    else:
        width = max(len(one["name"]) for one in peers)
        for one in peers:
            print_text(f"{one['name']:<{width}}  {one['peer']}")
    return ExitCode.DONE
