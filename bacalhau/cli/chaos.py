"""`bacalhau chaos`: what does a function's output depend on, and at which line?"""

from __future__ import annotations

from typing import Any, Final

import click

from bacalhau.cli.options import OnceOption, from_option, json_option, named_path, named_text, services_of
from bacalhau.exit_codes import ExitCode
from runtime.request import DEFAULT_EPOCH, DEFAULT_MEMORY, DEFAULT_TIMEOUT_S, DEFAULT_URL_LIMIT


@click.command("chaos", short_help="Vary what should not matter, and name the lines where it does.")
@click.argument("function", required=False, type=named_path)
@click.option("-c", "code", metavar="CODE", help="A script instead.")
@click.option("-r", "requirements", metavar="FILE", type=named_path, help="Packages to install.")
@click.option("-i", "data", cls=OnceOption, type=named_text, metavar="CID|PATH|URL", help="The input.")
@click.option("-v", "volumes", metavar="CID:PATH", multiple=True, help="Mount a further input, read-only.")
@from_option
@click.option("-o", "outputs", metavar="NAME:PATH", multiple=True, help="Collect PATH as outputs/NAME.")
@click.option("-e", "env", metavar="K=V", multiple=True, help="Set an environment variable.")
@click.option("--arg", "args", metavar="K=V", multiple=True, help="Pass an argument; JSON, or a bare word.")
@click.option("--entry", default="main", show_default=True, help="Function to call.")
@click.option("--seed", metavar="HEX", help="Seed of the runs that vary something else.  [default: from the task]")
@click.option("--epoch", type=int, default=DEFAULT_EPOCH, show_default=True, help="When the clock starts.")
@click.option("--fuel", type=int, metavar="N", help="Fuel of the function alone.")
@click.option("--memory", default=DEFAULT_MEMORY, show_default=True, help="Memory of the function.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=DEFAULT_TIMEOUT_S, show_default=True,
              help="Seconds after which a run is given up.")  # fmt: skip
@click.option("--runs", type=click.IntRange(1, 100), default=2, show_default=True,
              help="Values to try of what has many: seed, epoch, memory layout.")  # fmt: skip
@click.option("--factor", "only", metavar="NAME", multiple=True, help="Vary this alone; may be given several times.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Run FUNCTION under another seed, clock, hash seed, memory layout, order of listings, host, locale and engine.

    Prints the badge (pure, seeded or leaky), what changed the output, and the ledger: which line asked for what, and
    whether the answer reached the output. Exit code 1 if it is leaky, 3 if the function itself fails.
    """
    from bacalhau.chaos_run import Chaos, run_chaos
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json

    request = _request(flags)
    chaos = Chaos(request=request, runs=flags["runs"], only=flags["only"])
    with shown_progress() as display:
        report = run_chaos(chaos, services_of(ctx), display)
    print_json(report) if flags["as_json"] else _print(report)
    if report["badge"] == "leaky":
        return ExitCode.NOT_VERIFIED
    return ExitCode.DONE if report["exit_code"] == 0 else ExitCode.FUNCTION_FAILED


def _request(flags: dict[str, Any]) -> Any:
    from bacalhau.cli.run_python import read_request

    defaults = {"url_limit": DEFAULT_URL_LIMIT, "allow_private_urls": False}
    return read_request({**defaults, **flags})


_WORDS: Final = {
    True: ("changes it", "bold yellow"),
    False: ("no effect ", "dim"),
    None: ("not known ", "bold yellow"),
}


def _print(report: dict[str, Any]) -> None:
    from rich.text import Text

    from bacalhau.render import stderr_console, stdout_console
    from bacalhau.terminal_text import one_line

    console, prose = stdout_console(), stderr_console()
    style = {"pure": "bold green", "seeded": "bold green", "leaky": "bold red"}[report["badge"]]
    meaning = {
        "pure": "nothing that was varied changes the output",
        "seeded": "the output follows the seed or the epoch, which are part of the task, and nothing else",
        "leaky": "the output follows what is no part of the task, or is only pinned here",
    }[report["badge"]]
    console.print(Text.assemble((report["badge"], style), f": {meaning}"))
    for one in report["factors"]:
        word, look = _WORDS[one["changed"]]
        where = f"at {', '.join(one['lines'])}" if one["lines"] else ""
        names = f"{one_line(' + '.join(one['factors'])):<16}"
        console.print(Text.assemble("  ", (word, look), f" {names} {one_line(where)}".rstrip()))
    if report["ledger"]:
        console.print("ledger: who asked for what, and whether it reached the output")
    for one in report["ledger"]:
        reached = {True: "reached", False: "no", None: "untried"}[one["reached"]]
        place = f"{one['file']}:{one['line']}" if one["file"] else "(elsewhere)"
        console.print(Text(f"  {reached:<8} {place:<24} {one_line(one['kind'])}: {one_line(one['what'])}"))
    for reason in report["skipped"]:
        prose.print(Text(one_line(f"not varied: {reason}")))
    if not report["watched_alike"]:
        prose.print("under watch the function gives another output than alone: it looks at what stands around it")
    if report["exit_code"] != 0:
        prose.print(f"the function fails with exit code {report['exit_code']}, in every run of the comparison")
