"""`bacalhau run flow`: a file and flags in, a `FlowOrder` out; the flow itself is `bacalhau.run_flow`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bacalhau.cli.options import from_option, json_option, named_path, services_of
from bacalhau.cli.run_python import read_rule
from bacalhau.cli.run_stack import policy_option, show_departures, was_said
from bacalhau.cli.trust_options import read_trust, trust_options
from bacalhau.exit_codes import ExitCode, of_run
from runtime.request import DEFAULT_URL_LIMIT
from storage.errors import UserError
from verifier.compare import DEFAULT_CONFIDENCE, DEFAULT_REPLICATION

if TYPE_CHECKING:
    from bacalhau.run_flow import FlowOrder
    from bacalhau.services import Services
    from verifier.credibility import TrustGoal

MOST_AT_ONCE = 256


@click.command("flow", short_help="Run a flow: steps whose inputs are other steps' outputs.")
@click.argument("file", metavar="FLOW.yaml", type=named_path)
@click.option("--target", "targets", metavar="STEP", multiple=True,
              help="What is wanted; only what it needs is done.  [default: steps that no other takes of]")  # fmt: skip
@click.option("--arg", "args", metavar="K=V", multiple=True, help="Set a parameter of the flow; JSON, or a bare word.")
@click.option("-j", "--at-once", type=click.IntRange(1, MOST_AT_ONCE),
              help="Tasks at the same time.  [default: as many as there are cores]")  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Run also what was verified here before.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and what is known already; run nothing.")
@from_option
@click.option("--url-limit", default=DEFAULT_URL_LIMIT, show_default=True,
              help="Most bytes that one URL or CID may bring.")  # fmt: skip
@click.option("--allow-private-urls", is_flag=True, envvar="BACALHAU_ALLOW_PRIVATE_URLS",
              help="Fetch from private addresses too, and through proxies.")  # fmt: skip
@click.option("--concurrency", type=int, default=DEFAULT_REPLICATION, show_default=True, help="Nodes that run a task.")
@click.option("--confidence", type=int, default=DEFAULT_CONFIDENCE, show_default=True, help="Nodes that must agree.")
@trust_options
@click.option("--diverse", is_flag=True, help="Require different engines: Node and Bun in turn.")
@click.option("--isolation", type=click.Choice(["best", "strict"]), default="best", show_default=True,
              help="strict: run nothing where a layer of the jail is missing.")  # fmt: skip
@click.option("--require-verified", is_flag=True, help="Refuse inputs that come from something unverified.")
@click.option("-l", "--label", "labels", multiple=True, help="Label the job.")
@click.option("--id-only", is_flag=True, help="Print the job id alone.")
@policy_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, file: Path, **flags: Any) -> int:
    """Run the steps of a file, each a function on several nodes that must agree, as soon as its inputs are known.

    What was verified here before is not run again: a flow that was ended goes on where it was. The format is in
    docs/flows.md. Runs on nodes of this process, also where a node runs.
    """
    order, services = read_order(file, flags, read_trust(ctx, flags)), services_of(ctx)
    if flags["dry_run"]:
        from bacalhau.planning import load_policy

        load_policy(services.home, flags["policy"])  # one that cannot be read is told of now
        return _show_plan(order, services, as_json=flags["as_json"])
    from bacalhau.flow_stack import with_flow_stack

    said = [name for name in ("concurrency", "confidence") if was_said(ctx, name)]
    order, wishes, chosen = with_flow_stack(order, services, said=said, policy=flags["policy"])
    show_departures(wishes, chosen)
    return _run(order, services, flags)


def read_order(file: Path, flags: dict[str, Any], trust: TrustGoal | None = None) -> FlowOrder:
    """Return what a file and flags ask for. trust: how far answers are to be trusted, in place of the flags' counts.

    Raises:
        UserError: the file cannot be read, something in it is wrong, or a flag is.
    """
    from bacalhau.prepared_parts import Fetching
    from bacalhau.run_flow import FlowOrder
    from bacalhau.trust_report import least_rule, words_among_newcomers
    from runtime.arguments import parse_args
    from runtime.flow_file import read_flow
    from runtime.flow_graph import make_graph

    if trust is None:
        rule = read_rule(flags["concurrency"], flags["confidence"], diverse=flags["diverse"])
    else:
        rule = words_among_newcomers(trust, least_rule(diverse=flags["diverse"]))
    flow = read_flow(_content(file), str(file), file.parent.absolute(), parse_args(flags["args"]))
    fetching = Fetching(
        sources=flags["places"], url_limit=flags["url_limit"], allow_private_urls=flags["allow_private_urls"]
    )
    return FlowOrder(
        graph=make_graph(flow, flags["targets"]),
        rule=rule,
        trust=trust,
        labels=flags["labels"],
        strict=flags["isolation"] == "strict",
        at_once=flags["at_once"],
        is_cached=not flags["no_cache"],
        require_verified=flags["require_verified"],
        fetching=fetching,
    )


def _content(file: Path) -> bytes:
    """Read the file, or as much of it as is needed to refuse it."""
    from runtime.flow_yaml import MAX_BYTES

    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot be read: {reason}", where=str(file), fix="check the path") from error


def _show_plan(order: FlowOrder, services: Services, *, as_json: bool) -> int:
    from bacalhau.flow_render import print_flow_plan
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json
    from bacalhau.run_flow import plan_flow

    with shown_progress() as display:
        report = plan_flow(order, services, display)
    print_json(report) if as_json else print_flow_plan(report)
    return ExitCode.DONE


def _run(order: FlowOrder, services: Services, flags: dict[str, Any]) -> int:
    from bacalhau.flow_render import print_flow
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json, print_text
    from bacalhau.run_flow import run_flow_job

    with shown_progress() as display:
        report = run_flow_job(order, services, display)
    if flags["as_json"]:
        print_json(report)
    elif flags["id_only"]:
        print_text(report["job"])
    else:
        print_flow(report)
    return of_run(report["verdict"], report["exit_code"])
