"""`bacalhau run docker`, in 2022 `bacalhau docker run`: flags in, a `ContainerOrder` out; `run_container` runs it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bacalhau.cli.options import OnceOption, from_option, json_option, named_path, named_text, node_of, services_of
from bacalhau.cli.run_stack import policy_option
from bacalhau.exit_codes import ExitCode, of_container
from runtime.container_request import DEFAULT_CPU, DEFAULT_NETWORK, ContainerRequest
from runtime.request import DEFAULT_MEMORY, DEFAULT_TIMEOUT_S, DEFAULT_URL_LIMIT, Request
from storage.errors import UserError
from verifier.container_types import NETWORKS
from verifier.unverified_types import MAX_RUNS

if TYPE_CHECKING:
    from bacalhau.run_container import ContainerOrder
    from bacalhau.services import Services


@click.command(
    "docker",
    short_help="Run a container; its result is never verified.",
    context_settings={"ignore_unknown_options": False},
)
@click.argument("image", metavar="IMAGE")
@click.argument("command_line", metavar="[-- CMD…]", nargs=-1, type=click.UNPROCESSED)
@click.option("-i", "data", cls=OnceOption, type=named_text, metavar="CID|PATH|URL",
              help="The input: a directory at /inputs, or a file at /inputs/data.")  # fmt: skip
@click.option("-v", "volumes", metavar="CID:PATH", multiple=True,
              help="Mount a further input, read-only; a path or URL will do as well as a CID.")  # fmt: skip
@from_option
@click.option("--url-limit", default=DEFAULT_URL_LIMIT, show_default=True,
              help="Most bytes that one URL or CID may bring.")  # fmt: skip
@click.option("--allow-private-urls", is_flag=True, envvar="BACALHAU_ALLOW_PRIVATE_URLS",
              help="Fetch from private addresses too, and through proxies.")  # fmt: skip
@click.option("-o", "outputs", metavar="NAME:PATH", multiple=True, help="Collect PATH as outputs/NAME.")
@click.option("-e", "env", metavar="K=V", multiple=True, help="Set an environment variable.")
@click.option("-w", "--workdir", metavar="PATH", help="Where the program starts.  [default: the image's]")
@click.option("-u", "--user", metavar="USER[:GROUP]",
              help="Who it runs as.  [default: the image's, but nobody in place of root]")  # fmt: skip
@click.option("--entrypoint", metavar="PROGRAM", help="In place of the image's; empty for none.")
@click.option("--cpu", default=DEFAULT_CPU, show_default=True, metavar="CORES", help="Cores: 2, or 500m.")
@click.option("--memory", default=DEFAULT_MEMORY, show_default=True, metavar="SIZE", help="Memory, swap included.")
@click.option("--gpu", "gpus", type=click.IntRange(0, 64), default=0, show_default=True, help="Whole devices.")
@click.option("--network", type=click.Choice(NETWORKS), default=DEFAULT_NETWORK, show_default=True,
              help="bridge: it may reach whatever this machine does.")  # fmt: skip
@click.option("--writable", is_flag=True, help="Let it write to its own copy of the image, which has no bound.")
@click.option("--concurrency", "times", type=click.IntRange(1, MAX_RUNS), default=1, show_default=True,
              help="Run it so often, and compare.")  # fmt: skip
@click.option("--require-verified", is_flag=True, help="Refuse inputs that come from something unverified.")
@click.option("-l", "--label", "labels", multiple=True, help="Label the job.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=DEFAULT_TIMEOUT_S, show_default=True,
              help="Seconds after which it is ended.")  # fmt: skip
@click.option("-s", "--selector", "selectors", metavar="K=V", multiple=True, help="Ask only nodes with this label.")
@click.option("--local", is_flag=True, help="Run it in this command although a node runs here.")
@click.option("--wait/--no-wait", default=True, show_default=True,
              help="Wait for the end, or print the job id at once, which takes a node.")  # fmt: skip
@click.option("--id-only", is_flag=True, help="Print the job id alone.")
@click.option("--dry-run", is_flag=True, help="Print the plan with all CIDs; run nothing.")
@click.option("--download", is_flag=True, help="Lay out the output as files afterwards, like `bacalhau get`.")
@click.option("--output-dir", type=named_path, help="Where to; implies --download.")
@policy_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Run a container under the Docker or Podman of this machine, or of as many nodes as --concurrency says.

    It is of the tier "unverified": no receipt, no audit, and what takes its output as input is tainted. No network, no
    capabilities, a read-only image, and not as root unless that is asked for.
    """
    order, services = read_order(flags), services_of(ctx)
    target = None if flags["output_dir"] is None else flags["output_dir"].absolute()
    if target is not None:
        from bacalhau.layout import check_target

        check_target(target)
    node = None if flags["local"] or flags["dry_run"] else node_of(services)
    if node is None:
        _refuse_without_node(flags)
        with _terminated_as_interrupted():
            return _run(order, services, flags, target)
    from bacalhau.cli.run_docker_with_node import run_docker_with_node
    from bacalhau.container_stack import check_policy_on_node

    with node:
        check_policy_on_node(order, services, flags["policy"])
        return run_docker_with_node(order, services, flags, target, node)


def read_order(flags: dict[str, Any]) -> ContainerOrder:
    """Return what flags ask for."""
    from bacalhau.cli.run_python import read_selector
    from bacalhau.run_container import ContainerOrder

    content = Request(
        data=flags["data"],
        volumes=flags["volumes"],
        outputs=flags["outputs"],
        env=flags["env"],
        memory=flags["memory"],
        timeout_s=flags["timeout"],
        sources=flags["places"],
        url_limit=flags["url_limit"],
        allow_private_urls=flags["allow_private_urls"],
    )
    request = ContainerRequest(
        image=flags["image"],
        command=flags["command_line"],
        entrypoint=flags["entrypoint"],
        workdir=flags["workdir"],
        user=flags["user"],
        network=flags["network"],
        writable_root=flags["writable"],
        cpu=flags["cpu"],
        gpus=flags["gpus"],
        content=content,
    )
    return ContainerOrder(
        request=request,
        times=flags["times"],
        labels=flags["labels"],
        require_verified=flags["require_verified"],
        selector=read_selector(flags["selectors"]),
    )


def _refuse_without_node(flags: dict[str, Any]) -> None:
    for flag, is_given in (("--no-wait", not flags["wait"]), ("--selector", bool(flags["selectors"]))):
        if is_given and not flags["dry_run"]:
            where = "and --local runs it in this command" if flags["local"] else "and none runs here"
            raise UserError(f"needs a node, {where}", where=flag, fix="leave it out")


def _run(order: ContainerOrder, services: Services, flags: dict[str, Any], target: Path | None) -> int:
    from bacalhau.container_stack import check_policy
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json
    from bacalhau.render_container import print_container_plan
    from bacalhau.run_container import plan_container, run_container

    check_policy(order, services, flags["policy"])
    with shown_progress() as display:
        report = (plan_container if flags["dry_run"] else run_container)(order, services, display)
    if flags["dry_run"]:
        print_json(report) if flags["as_json"] else print_container_plan(report)
        return ExitCode.DONE
    show_container(report, flags)
    if flags["download"] or target is not None:
        lay_out_output(report, services, target)
    return of_container(report["verdict"], report["exit_code"])


def show_container(report: dict[str, Any], flags: dict[str, Any]) -> None:
    """Print the report of a run, as the flags say."""
    from bacalhau.render import print_json, print_text
    from bacalhau.render_container import print_container

    if flags["as_json"]:
        print_json(report)
    elif flags["id_only"]:
        print_text(report["job"])
    else:
        print_container(report)


def lay_out_output(report: dict[str, Any], services: Services, target: Path | None) -> None:
    """Lay out the output of a run as files; nothing, where it has none."""
    from bacalhau.layout import default_target, lay_out
    from bacalhau.render import stderr_console
    from storage.cid import parse_cid

    if report["output"] is None:
        return  # there is nothing to lay out, and the exit code says so
    place = target or default_target(report["job"])
    with services.open_store() as store:
        lay_out(store, parse_cid(report["output"]), None, place)
    stderr_console().print(f"output is in {place}")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """End in order when the command is told to end, so that no container outlives it."""
    signals = (signal.SIGTERM, signal.SIGHUP)
    try:
        before = {one: signal.signal(one, _interrupt) for one in signals}
    except ValueError:  # not in the main thread: whoever called us sees to signals
        yield
        return
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
