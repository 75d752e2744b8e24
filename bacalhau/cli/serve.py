"""`bacalhau serve`: run a node."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from bacalhau.cli.container_options import container_options, read_containers
from bacalhau.cli.network_extra import require_network
from bacalhau.cli.options import json_option, services_of
from bacalhau.cli.run_stack import policy_option, was_said
from bacalhau.cli.serve_options import selection_options
from bacalhau.exit_codes import ExitCode

if TYPE_CHECKING:
    from bacalhau.services import Services

ROLES: Final = ("compute", "requester")
DEFAULT_SPOT_CHECKS: Final = 0.05
"""Every twentieth task more: docs/trust.md has what fewer and more of them find."""


@click.command("serve", short_help="Run a node.")
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, help="What it does.  [default: both]")
@click.option("--listen", multiple=True, metavar="MULTIADDR", default=("/ip4/127.0.0.1/tcp/0",), show_default=True,
              help="Where other nodes reach it; port 0 takes a free one.")  # fmt: skip
@click.option("--peer", "peers", multiple=True, metavar="MULTIADDR", help="A node to stay connected with.")
@click.option("--mdns", is_flag=True, help="Find nodes on the local network.")
@click.option("--api", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="Where its HTTP API is.")
@click.option("--api-name", "api_names", multiple=True, metavar="HOST[:PORT]",
              help="A further name that the API answers to.")  # fmt: skip
@click.option("--allow-network", "allowed", multiple=True, metavar="CIDR", help="Connect with these networks alone.")
@click.option("--deny-network", "denied", multiple=True, metavar="CIDR", help="Do not connect with these networks.")
@click.option("--engine", type=click.Choice(("node", "bun")), default="node", show_default=True,
              help="JavaScript engine of its executions.")  # fmt: skip
@click.option("--isolation", type=click.Choice(["best", "strict"]), default="best", show_default=True,
              help="strict: run nothing where a layer of the jail is missing.")  # fmt: skip
@container_options
@click.option("--spot-checks", type=float, default=DEFAULT_SPOT_CHECKS, show_default=True, metavar="RATE",
              help="Checks for each task of a job with --trust: tasks whose answer is known.")  # fmt: skip
@click.option("--bad-actor", metavar="NAME", hidden=True, help="Break the rules, for tests of a network.")
@click.option("--until-eof", is_flag=True, hidden=True, help="End when stdin does: with whoever started it.")
@click.option("--verbose", is_flag=True, help="Tell on stderr what happens.")
@policy_option
@selection_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Run a node until it is interrupted: it executes what others ask for, or asks others for what you submit.

    One line on stdout says that it is ready. While it runs, `bacalhau run` and the other commands use it.
    """
    require_network("serve")
    services = services_of(ctx)
    _set_up_logs(verbose=flags["verbose"])
    _sweep_containers(services)
    from dataclasses import replace
    from functools import partial

    from bacalhau.cli.serve_options import read_cluster, read_host_and_port, read_selection
    from bacalhau.container_stack import objection_to_container
    from bacalhau.node_process import NodeOptions, RunningNode, run_node
    from bacalhau.planning import host_name, jail_level, load_policy, objection, plan_node
    from bacalhau.render import print_json, print_text
    from network.libp2p_host import Libp2pSettings
    from network.node.spot_checks import check_rate
    from network.transport_lists import ConnectionLists, parse_networks

    check_rate(flags["spot_checks"])
    roles = flags["roles"] or ROLES
    cluster = read_cluster(flags)
    policy, room, labels = read_selection(flags, services.home.store_path)
    rules = load_policy(services.home, flags["policy"])
    stack = plan_node(
        rules,
        services,
        engine=flags["engine"],
        engine_said=was_said(ctx, "engine"),
        strict=flags["isolation"] == "strict",
        computes="compute" in roles,
    )
    host, port = read_host_and_port(flags["api"], "--api")
    lists = ConnectionLists(
        allowed_networks=parse_networks(flags["allowed"]), denied_networks=parse_networks(flags["denied"])
    )
    options = NodeOptions(
        computes="compute" in roles,
        requests="requester" in roles,
        transport=Libp2pSettings(listen=flags["listen"], bootstrap=flags["peers"], lists=lists, mdns=flags["mdns"]),
        api_host=host,
        api_port=port,
        api_names=flags["api_names"],
        policy=replace(policy, max_memory=stack.max_memory),
        room=room,
        cluster=cluster,
        labels=labels,
        engine=host_name(stack.part),
        level=jail_level(stack.part),
        max_wall_clock_s=stack.max_wall_clock_s,
        objection_to_job=partial(objection, rules, stack.machine),
        containers=read_containers(flags),
        objection_to_container=partial(objection_to_container, rules, stack.machine),
        strict=flags["isolation"] == "strict",
        until_eof=flags["until_eof"],
        spot_checks=flags["spot_checks"],
        make_persona=_persona(flags["bad_actor"]),
    )

    def ready(node: RunningNode) -> None:
        if flags["as_json"]:
            print_json({"peer": node.peer, "addresses": list(node.addresses), "api": node.api, "dir": node.dir})
        else:
            print_text(f"node {node.peer} is ready; API {node.api}; peers reach it at {', '.join(node.addresses)}")

    run_node(services, options, ready)
    return ExitCode.DONE


def _sweep_containers(services: Services) -> None:
    """Begin to remove what a kill left behind, before anything that takes long; the node does not wait for it."""
    if services.home.containers_dir.exists():
        from bacalhau.container_room import sweep_left_behind

        threading.Thread(target=sweep_left_behind, args=(services.home,), name="sweep", daemon=True).start()


def _persona(name: str | None) -> Any:
    if name is None:
        return None
    from network.node.bad_actors import persona_of

    return persona_of(name, os.environ)


def log_handler(environ: Mapping[str, str]) -> logging.Handler:
    """Return what writes logs to stderr, as lines of text or of JSON.

    Raises:
        UserError: BACALHAU_LOG_FORMAT is neither.
    """
    from bacalhau.log_lines import JSON, TEXT, VARIABLE, JsonLines
    from storage.errors import UserError

    asked = environ.get(VARIABLE) or TEXT
    if asked not in (JSON, TEXT):
        raise UserError(f"there is no format {asked!r} for logs", where=VARIABLE, fix=f"use {TEXT} or {JSON}")
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if asked == JSON else text)
    return handler


def _set_up_logs(*, verbose: bool) -> None:
    level = logging.DEBUG if os.environ.get("BACALHAU_DEBUG") else logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=logging.WARNING, handlers=[log_handler(os.environ)])
    for name in ("bacalhau", "network", "runtime", "storage"):
        logging.getLogger(name).setLevel(level)
