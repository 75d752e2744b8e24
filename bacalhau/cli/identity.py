"""`bacalhau id`: who this machine's nodes are."""

from __future__ import annotations

import click

from bacalhau.cli.options import json_option, services_of
from bacalhau.exit_codes import ExitCode
from verifier.compare import DEFAULT_REPLICATION


@click.command("id", short_help="Show the peer ids of this machine's nodes.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool) -> int:
    """Show the peer ids that sign receipts here; keys are made on first use."""
    from bacalhau.render import print_json, print_text
    from network import key_store

    home = services_of(ctx).home
    home.create()
    wanted = {home.keys_dir / f"embedded-{number + 1}.key" for number in range(DEFAULT_REPLICATION)}
    paths = sorted(wanted | set(home.keys_dir.glob("*.key")))
    peers = [{"name": path.stem, "peer": key_store.load_or_create(path).peer} for path in paths]
    if as_json:
        print_json({"peers": peers})
    else:
        for one in peers:
            print_text(f"{one['name']}  {one['peer']}")
    return ExitCode.DONE
