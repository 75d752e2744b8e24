"""`bacalhau run wasm`: flags in, an `Order` out; from there on it is the flow of `run python`."""

from __future__ import annotations

from typing import Any

import click

from bacalhau.cli.options import OnceOption, from_option, json_option, named_path, named_text
from bacalhau.cli.run_python import carry_out, refuse_unbuilt
from bacalhau.cli.run_stack import stack_options
from bacalhau.cli.shard_options import shard_options
from bacalhau.cli.trust_options import trust_options
from runtime.request import DEFAULT_EPOCH, DEFAULT_MEMORY, DEFAULT_TIMEOUT_S, DEFAULT_URL_LIMIT, Request
from verifier.compare import DEFAULT_CONFIDENCE, DEFAULT_REPLICATION


@click.command("wasm", short_help="Run a WebAssembly module deterministically.")
@click.argument("module", type=named_text, metavar="MODULE.wasm|CID")
@click.argument("arguments", nargs=-1, metavar="[-- ARGS]")
@click.option("-i", "data", cls=OnceOption, type=named_text, metavar="CID|PATH|URL",
              help="The input: on stdin and in /inputs. @FILE: a list of URLs, as a directory.")  # fmt: skip
@click.option("-v", "volumes", metavar="CID:PATH", multiple=True,
              help="Mount a further input, read-only; a path or URL will do as well as a CID.")  # fmt: skip
@from_option
@click.option("--url-limit", default=DEFAULT_URL_LIMIT, show_default=True,
              help="Most bytes that one URL or CID may bring.")  # fmt: skip
@click.option("--allow-private-urls", is_flag=True, envvar="BACALHAU_ALLOW_PRIVATE_URLS",
              help="Fetch from private addresses too, and through proxies.")  # fmt: skip
@click.option("-o", "outputs", metavar="NAME:PATH", multiple=True, help="Collect PATH as outputs/NAME.")
@click.option("-e", "env", metavar="K=V", multiple=True, help="Set an environment variable.")
@click.option("--seed", metavar="HEX", help="Seed of all randomness.  [default: derived from the task]")
@click.option(
    "--epoch", type=int, default=DEFAULT_EPOCH, show_default=True, help="When the clock starts, Unix seconds."
)
@click.option("--fuel", type=int, metavar="N", help="Fuel to spend; about one unit for each instruction.")
@click.option("--memory", default=DEFAULT_MEMORY, show_default=True, help="Memory of the module.")
@click.option("--concurrency", type=int, default=DEFAULT_REPLICATION, show_default=True, help="Nodes that run it.")
@click.option("--confidence", type=int, default=DEFAULT_CONFIDENCE, show_default=True, help="Nodes that must agree.")
@trust_options
@click.option("--min-bids", type=click.IntRange(0, 1000), default=0, show_default=True,
              help="Bids that must be there before any is accepted.")  # fmt: skip
@click.option("-s", "--selector", "selectors", metavar="K=V", multiple=True, help="Ask only nodes with this label.")
@click.option("--diverse", is_flag=True, help="Require different architectures; only nodes elsewhere have them.")
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
@click.option("--require-verified", is_flag=True, help="Refuse inputs that come from something unverified.")
@click.option("--no-cache", is_flag=True, help="Run what is known already too, and compare.")
@stack_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Run a WebAssembly module on several nodes that must agree on its output.

    MODULE.wasm is a command for WASI preview 1, as a file, CID or URL; what stands behind `--` are its arguments.
    It reads the input on stdin, and what it prints is its output; files that it leaves in /outputs are outputs too.
    """
    refuse_unbuilt(flags)
    return carry_out(ctx, flags, read_module_request(flags))


def read_module_request(flags: dict[str, Any]) -> Request:
    """Return the request, as typed."""
    return Request(
        module=flags["module"],
        arguments=flags["arguments"],
        data=flags["data"],
        volumes=flags["volumes"],
        outputs=flags["outputs"],
        env=flags["env"],
        seed=flags["seed"],
        epoch=flags["epoch"],
        fuel=flags["fuel"],
        memory=flags["memory"],
        timeout_s=flags["timeout"],
        sources=flags["places"],
        url_limit=flags["url_limit"],
        allow_private_urls=flags["allow_private_urls"],
    )
