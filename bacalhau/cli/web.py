"""`bacalhau web`: the pages of the node that runs here, or of this home without one."""

from __future__ import annotations

import click

from bacalhau.cli.network_extra import require_network
from bacalhau.cli.options import json_option, node_of, services_of
from bacalhau.exit_codes import ExitCode


@click.command("web", short_help="Show jobs, records and files in a browser.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on loopback.  [default: a free one]")
@click.option("--open", "opens", is_flag=True, help="Open the browser.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, port: int, opens: bool, as_json: bool) -> int:
    """Print the address of the pages, with the token that opens them; everything stays on this machine.

    Where a node runs, it serves them and this ends at once. Without one they are served from here until Ctrl-C.
    """
    services = services_of(ctx)
    node = node_of(services)
    if node is not None:
        with node:
            _announce(f"{node.name}/#token={node.token}", opens=opens, as_json=as_json)
        return ExitCode.DONE
    require_network("web")
    # Before what takes a second to load: who has typed this waits for a sign.
    click.echo(f"bacalhau: no node runs here; serving the pages of {services.home.root} until Ctrl-C", err=True)
    from bacalhau.web.home_server import serve_home

    serve_home(services, port, lambda url: _announce(url, opens=opens, as_json=as_json))
    return ExitCode.DONE


def _announce(url: str, *, opens: bool, as_json: bool) -> None:
    from bacalhau.render import print_json, print_text

    print_json({"url": url}) if as_json else print_text(url)
    if opens:
        click.launch(url)
