"""`bacalhau diff`: what do two results differ in, and where do their executions part?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from bacalhau.cli.options import json_option, named_text, services_of
from bacalhau.exit_codes import ExitCode
from runtime.request import DEFAULT_TIMEOUT_S
from storage.counting import counted

if TYPE_CHECKING:
    from contextlib import ExitStack

    from bacalhau.diff_run import Reruns
    from bacalhau.diff_sides import Named
    from bacalhau.services import Services
    from runtime.engine import Engine

_ENGINES: Final = ("node", "bun")


@click.command("diff", short_help="Show what two results differ in, and the line where they part.")
@click.argument("one", metavar="A", type=named_text)
@click.argument("two", metavar="B", type=named_text)
@click.option("--rerun/--no-rerun", default=True, show_default=True, help="Execute both again to see where they part.")
@click.option("--lines/--no-lines", default=True, show_default=True, help="Look for the line.")
@click.option("--fuel/--no-fuel", default=True, show_default=True, help="Look for the instruction: two runs a step.")
@click.option("--engine-a", type=click.Choice(_ENGINES), help="JavaScript engine for A.  [default: its receipt's]")
@click.option("--engine-b", type=click.Choice(_ENGINES), help="JavaScript engine for B.  [default: its receipt's]")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=DEFAULT_TIMEOUT_S, show_default=True,
              help="Seconds after which a run is given up.")  # fmt: skip
@json_option
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Compare A and B, each the CID of a receipt, a record or an output (with a path), or a job.

    Outputs are compared file by file, by what the files are. Where it is known what they came of, both are executed
    again, and bisected to the line, and to the amount of fuel, at which their memory is first another.
    Exit code 0 if they are the same, 1 if not, 4 if that could not be found out.
    """
    from contextlib import ExitStack

    from bacalhau.diff_run import diff_here
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_json

    services = services_of(ctx)
    with shown_progress() as display, ExitStack() as stack:

        def make(one: Named, two: Named) -> Reruns | None:
            return _reruns(one, two, services, flags, stack) if flags["rerun"] else None

        report = diff_here((flags["one"], flags["two"]), services, make, display.step)
    print_json(report) if flags["as_json"] else _print(report)
    return _exit_code(report)


def _exit_code(report: dict[str, Any]) -> int:
    return ExitCode.NOT_VERIFIED if report["verdict"] == "different" or _parts(report) else ExitCode.DONE


def _parts(report: dict[str, Any]) -> bool:
    """Tell whether executing again shows what the claims do not: another output, or one task with two outcomes."""
    rerun = report["rerun"] or {"a": None, "b": None}
    one, two = rerun["a"], rerun["b"]
    if one is None or two is None:
        return False
    is_one_task = report["a"]["task"] == report["b"]["task"]
    outcomes = [(side["output"], side["exit_code"], side["state_digest"]) for side in (one, two)]
    return not (one["reproduced"] and two["reproduced"]) or (is_one_task and outcomes[0] != outcomes[1])


def _reruns(one: Named, two: Named, services: Services, flags: dict[str, Any], stack: ExitStack) -> Reruns:
    from bacalhau.diff_run import Reruns
    from bacalhau.planning import host_name, jail_level, plan_rerun

    engines: list[Engine] = []
    bounds = [flags["timeout"]]
    for named, said in ((one, flags["engine_a"]), (two, flags["engine_b"])):
        wanted = said or (named.host if named.host in _ENGINES else "node")
        chosen = plan_rerun(services, wanted, said=bool(said or named.host in _ENGINES))
        beside = engines[0] if engines else None
        engine = services.make_engine(host_name(chosen.part), level=jail_level(chosen.part), beside=beside)
        stack.callback(engine.stop)
        engines.append(engine)
        bounds.append(chosen.max_wall_clock_s or flags["timeout"])
    return Reruns(
        engines=(engines[0], engines[1]),
        knows_runtime=services.knows_runtime,
        wall_clock_s=min(bounds),
        lines=flags["lines"],
        fuel=flags["fuel"],
    )


def _print(report: dict[str, Any]) -> None:
    from rich.text import Text

    from bacalhau.render import stdout_console
    from bacalhau.terminal_text import one_line

    console = stdout_console()

    def say(text: str, style: str = "") -> None:
        console.print(Text(text[: len(text) - len(text.lstrip())] + one_line(text.strip()), style))

    say(report["verdict"], "bold green" if report["verdict"] == "same" else "bold red")
    for one in report["outputs"]:
        say(f"  {one['path'] or 'output'} ({one['kind']})", "bold")
        for detail in one["details"]:
            say(f"    {detail}")
    if report["outputs_left_out"]:
        say(f"  … and {counted(report['outputs_left_out'], 'entry', 'entries')} more")
    for one in report["tasks"]:
        say(f"  the tasks differ in {one['field']}: {one['a']} against {one['b']}")
    if report["rerun"] is not None:
        for line in _rerun_lines(report["rerun"]):
            say(line)


def _rerun_lines(rerun: dict[str, Any]) -> list[str]:
    lines = []
    for name in ("a", "b"):
        one = rerun[name]
        if one is not None:
            said = (
                "gives what was claimed"
                if one["reproduced"]
                else f"gives {one['output']}, which is not what was claimed"
            )
            lines.append(f"  {name.upper()} executed again ({one['engine']} {one['engine_version']}) {said}")
    if rerun["reason"]:
        lines.append(f"  {rerun['reason']}")
    parting = rerun["parting"]
    if parting is not None:
        line = parting["line"]
        where = (
            f"at {line['file']}:{line['line']} in {line['function']}" if line else "before the function's first line"
        )
        lines.append(f"  they part {where} (line event {parting['event']}, by {parting['by']})")
        for place, name in zip(parting["at"], "AB", strict=True):
            lines.append(f"    {name} has come to {place['file']}:{place['line']}")
        lines += [f"    {one['name']}: {one['a']} against {one['b']}" for one in parting["variables"]]
    if rerun["fuel"] is not None:
        lines.append(f"  their memory is first another when {rerun['fuel']} units of fuel are spent")
    return lines
