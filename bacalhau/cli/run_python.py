"""`bacalhau run python`: flags in, an `Order` out; the flow itself is `bacalhau.run_job`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bacalhau.cli.options import OnceOption, from_option, json_option, named_path, named_text, node_of, services_of
from bacalhau.cli.run_stack import explain, read_wishes, show_departures, stack_options, with_stack
from bacalhau.cli.shard_options import read_shard_flags, shard_options
from bacalhau.cli.trust_options import among_own, read_trust, trust_options
from bacalhau.exit_codes import ExitCode, of_run
from bacalhau.services import Services
from runtime.request import DEFAULT_EPOCH, DEFAULT_MEMORY, DEFAULT_TIMEOUT_S, DEFAULT_URL_LIMIT, Request
from storage.errors import UserError
from verifier.compare import DEFAULT_CONFIDENCE, DEFAULT_REPLICATION, make_rule
from verifier.model import ModelError, Rule

if TYPE_CHECKING:
    from runtime.shard_plan import Sharding


@click.command("python", short_help="Run a Python function deterministically.")
@click.argument("function", required=False, type=named_path)
@click.option("-c", "code", metavar="CODE", help="Run this script; what it prints is its output.")
@click.option("-r", "requirements", metavar="FILE", type=named_path, help="Packages to install.")
@click.option("-i", "data", cls=OnceOption, type=named_text, metavar="CID|PATH|URL",
              help="The input: what the function gets as `data`. @FILE: a list of URLs, as a directory.")  # fmt: skip
@click.option("-v", "volumes", metavar="CID:PATH", multiple=True,
              help="Mount a further input, read-only; a path or URL will do as well as a CID.")  # fmt: skip
@from_option
@click.option("--url-limit", default=DEFAULT_URL_LIMIT, show_default=True,
              help="Most bytes that one URL or CID may bring.")  # fmt: skip
@click.option("--allow-private-urls", is_flag=True, envvar="BACALHAU_ALLOW_PRIVATE_URLS",
              help="Fetch from private addresses too, and through proxies.")  # fmt: skip
@click.option("-o", "outputs", metavar="NAME:PATH", multiple=True, help="Collect PATH as outputs/NAME.")
@click.option("-e", "env", metavar="K=V", multiple=True, help="Set an environment variable.")
@click.option("--arg", "args", metavar="K=V", multiple=True, help="Pass an argument; JSON, or a bare word.")
@click.option("--entry", default="main", show_default=True, help="Function to call.")
@click.option("--seed", metavar="HEX", help="Seed of all randomness.  [default: derived from the task]")
@click.option(
    "--epoch", type=int, default=DEFAULT_EPOCH, show_default=True, help="When the clock starts, Unix seconds."
)
@click.option("--fuel", type=int, metavar="N", help="Fuel to spend; about one unit for each instruction.")
@click.option("--memory", default=DEFAULT_MEMORY, show_default=True, help="Memory of the function.")
@click.option("--concurrency", type=int, default=DEFAULT_REPLICATION, show_default=True, help="Nodes that run it.")
@click.option("--confidence", type=int, default=DEFAULT_CONFIDENCE, show_default=True, help="Nodes that must agree.")
@trust_options
@click.option("--min-bids", type=click.IntRange(0, 1000), default=0, show_default=True,
              help="Bids that must be there before any is accepted.")  # fmt: skip
@click.option("-s", "--selector", "selectors", metavar="K=V", multiple=True, help="Ask only nodes with this label.")
@click.option("--diverse", is_flag=True, help="Require different engines: Node and Bun in turn.")
@click.option("--isolation", type=click.Choice(["best", "strict"]), default="best", show_default=True,
              help="strict: run nothing where a layer of the jail is missing.")  # fmt: skip
@shard_options
@click.option("-l", "--label", "labels", multiple=True, help="Label the job.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=DEFAULT_TIMEOUT_S, show_default=True,
              help="Seconds after which a node gives up.")  # fmt: skip
@click.option("--deterministic/--no-deterministic", default=True, show_default=True, help="Nothing else exists.")
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Wait for the end, or print the job id at once; without a node there is no other way than to wait.",
)
@click.option("--id-only", is_flag=True, help="Print the job id alone.")
@click.option("--dry-run", is_flag=True, help="Print the plan with all CIDs; run nothing.")
@click.option("--download", is_flag=True, help="Lay out the output as files afterwards, like `bacalhau get`.")
@click.option("--output-dir", type=named_path, help="Where to; implies --download.")
@click.option("--local", is_flag=True, help="Run on nodes of this process although a node runs here.")
@click.option("--no-cache", is_flag=True, help="Run what is known already too, and compare.")
@click.option("--require-verified", is_flag=True, help="Refuse inputs that come from something unverified.")
@stack_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Run a Python function on several nodes that must agree on its output.

    FUNCTION is a directory with function.py (and requirements.txt), or one file. Its `main(data)` gets the input as a
    file-like object; what it returns is the result.
    """
    refuse_unbuilt(flags)
    return carry_out(ctx, flags, read_request(flags))


def carry_out(ctx: click.Context, flags: dict[str, Any], request: Request) -> int:
    """Run a request, of a function or of a module, as the flags say, and return the exit code."""
    from bacalhau.planning import load_policy, plan_run
    from bacalhau.run_job import Order
    from runtime.planner.stack import Kind

    trust = read_trust(ctx, flags)
    if trust is None:
        rule = read_rule(flags["concurrency"], flags["confidence"], diverse=flags["diverse"])
    else:
        from bacalhau.trust_report import least_rule

        rule = least_rule(diverse=flags["diverse"])
    order = Order(
        request=request,
        rule=rule,
        trust=trust,
        labels=flags["labels"],
        strict=flags["isolation"] == "strict",
        min_bids=flags["min_bids"],
        selector=read_selector(flags["selectors"]),
        no_cache=flags["no_cache"],
        require_verified=flags["require_verified"],
    )
    kind, sharding = Kind.PYTHON if request.module is None else Kind.WASM, read_shard_flags(flags)
    target = read_target(flags)
    services = services_of(ctx)
    if flags["dry_run"]:
        load_policy(services.home, flags["policy"])  # one that cannot be read is told of now
        return show_plan(among_own(order), sharding, services, as_json=flags["as_json"])
    with ExitStack() as stack:
        node = None if flags["local"] else node_of(services)
        if node is None:
            refuse_without_node(flags)
        else:
            stack.enter_context(node)
        wishes = replace(read_wishes(ctx, flags, has_node=node is not None, order=among_own(order)), kind=kind)
        if flags["explain"]:
            return explain(wishes, services, flags, trust)
        policy = load_policy(services.home, flags["policy"])
        chosen = plan_run(wishes, policy, services)
        show_departures(wishes, chosen)
        if trust is not None and not chosen.stack.parts:
            # How many nodes it takes is found out by the node; here, how many there are to be at least.
            wishes = replace(read_wishes(ctx, flags, has_node=node is not None, order=order), kind=kind)
            chosen = plan_run(wishes, policy, services)
        planned = with_stack(order, chosen)
        if node is None or chosen.stack.parts:
            return run_here(planned, sharding, services, flags, target)
        if sharding is not None:
            from bacalhau.cli.run_shards import run_shards_with_node

            return run_shards_with_node(planned, sharding, services, flags, target, node)
        from bacalhau.cli.run_with_node import run_with_node

        return run_with_node(planned, services, flags, target, node)


def refuse_unbuilt(flags: dict[str, Any]) -> None:
    """Refuse flags that promise what is not there.

    Raises:
        UserError: one was given.
    """
    if not flags["deterministic"]:
        raise UserError("only deterministic runs exist", where="--no-deterministic", fix="leave it out")
    if not flags["wait"] and (flags["download"] or flags["output_dir"]):
        problem = "there is no output yet when the command ends"
        raise UserError(problem, where="--no-wait", fix="leave --download out, and use `bacalhau get` later")


def refuse_without_node(flags: dict[str, Any]) -> None:
    """Refuse flags that mean something to a running node alone.

    Raises:
        UserError: one was given.
    """
    fix = "start one with `bacalhau serve`, or leave it out"
    for flag, is_given in (
        ("--no-wait", not flags["wait"]),
        ("--min-bids", flags["min_bids"] > 0),
        ("--selector", bool(flags["selectors"])),
    ):
        if is_given:
            raise UserError("needs a node, and none runs here", where=flag, fix=fix)


def read_selector(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the labels that nodes must have.

    Raises:
        UserError: one is not K=V, or a name is there twice.
    """
    pairs = [text.partition("=") for text in texts]
    for text, (name, equals, value) in zip(texts, pairs, strict=True):
        if not (name and equals and value):
            raise UserError("is not K=V", where=f"--selector {text}", fix="write it like zone=eu")
    if len({name for name, _, _ in pairs}) != len(pairs):
        raise UserError("names a label twice", where="--selector", fix="a node has one value of each")
    return tuple((name, value) for name, _, value in pairs)


def read_rule(concurrency: int, confidence: int, *, diverse: bool = False) -> Rule:
    """Return the rule of three flags.

    Raises:
        UserError: out of range, or it could never be met.
    """
    if confidence > concurrency >= 1:  # of fewer than one node the rule says it better
        fix = "add --confidence 1 to trust a single node" if concurrency == 1 else "raise --concurrency"
        raise UserError(f"is more than --concurrency {concurrency}", where=f"--confidence {confidence}", fix=fix)
    try:
        return make_rule(replication=concurrency, confidence=confidence, diverse=diverse)
    except ModelError as error:
        flag, value = ("--confidence", confidence) if error.field == "confidence" else ("--concurrency", concurrency)
        raise UserError(error.problem, where=f"{flag} {value}", fix="choose another number") from error


def read_request(flags: dict[str, Any]) -> Request:
    """Return the request, as typed.

    Raises:
        UserError: both a function and code, or neither.
    """
    if (flags["function"] is None) == (flags["code"] is None):
        problem = "no function is given" if flags["code"] is None else "a function and -c are both given"
        raise UserError(problem, where="FUNCTION", fix="give a directory, a file, or -c 'code'")
    return Request(
        function=flags["function"],
        code=flags["code"],
        requirements=flags["requirements"],
        entry=flags["entry"],
        data=flags["data"],
        volumes=flags["volumes"],
        outputs=flags["outputs"],
        env=flags["env"],
        args=flags["args"],
        seed=flags["seed"],
        epoch=flags["epoch"],
        fuel=flags["fuel"],
        memory=flags["memory"],
        timeout_s=flags["timeout"],
        sources=flags["places"],
        url_limit=flags["url_limit"],
        allow_private_urls=flags["allow_private_urls"],
    )


def read_target(flags: dict[str, Any]) -> Path | None:
    """Return where to lay out the output if it was said; refused now rather than after a long run.

    Raises:
        UserError: it is there already.
    """
    from bacalhau.layout import check_target

    if flags["output_dir"] is None:
        return None
    target: Path = flags["output_dir"].absolute()
    check_target(target)
    return target


def show_plan(order: Any, sharding: Sharding | None, services: Services, *, as_json: bool) -> int:
    """Print what a run would do, and return the exit code."""
    if sharding is not None:
        from bacalhau.cli.run_shards import show_shards_plan

        return show_shards_plan(order, sharding, services, as_json=as_json)
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json, print_plan
    from bacalhau.run_job import plan_only

    with shown_progress() as display:
        plan = plan_only(order, services, display)
    print_json(plan) if as_json else print_plan(plan)
    return ExitCode.DONE


def run_here(
    order: Any, sharding: Sharding | None, services: Services, flags: dict[str, Any], target: Path | None
) -> int:
    """Run an order on nodes of this process, print what came of it, and return the exit code."""
    if sharding is not None:
        from bacalhau.cli.run_shards import run_over_shards

        return run_over_shards(order, sharding, services, flags, target)
    from bacalhau.progress import shown_progress
    from bacalhau.run_job import run_job

    with shown_progress() as display:
        report = run_job(order, services, display)
    show_report(report, flags)
    if flags["download"] or target is not None:
        _download(report, services, flags, target)
    return of_run(report["verdict"], report["exit_code"])


def show_report(report: dict[str, Any], flags: dict[str, Any], *, is_here: bool = True) -> None:
    """Print what came of a run, as the flags say; is_here: its record is in this home."""
    from bacalhau.render import print_json, print_run, print_text

    if flags["as_json"]:
        print_json(report)
    elif flags["id_only"]:
        print_text(report["job"])
    else:
        print_run(report, is_here=is_here)
        if is_here and report["output"] is not None:
            _print_notes(report, flags.get("notes", ()))


def _print_notes(report: dict[str, Any], notes: tuple[str, ...]) -> None:
    from bacalhau.render import stderr_console

    for note in notes:
        stderr_console().print(note.format(output=report["output"]))


def say_place(place: Path, flags: dict[str, Any]) -> None:
    """Say where an output was laid out, unless it stays there only until something was taken from it."""
    from bacalhau.render import stderr_console

    if not flags.get("in_passing"):
        stderr_console().print(f"output is in {place}")


def _download(report: dict[str, Any], services: Services, flags: dict[str, Any], target: Path | None) -> None:
    from bacalhau.layout import default_target, lay_out
    from storage.cid import parse_cid

    if report["output"] is None:
        return  # not verified: there is nothing to lay out, and the exit code says so
    place = target or default_target(report["job"])
    with services.open_store() as store:
        lay_out(store, parse_cid(report["output"]), parse_cid(report["record"]), place)
    say_place(place, flags)
