"""How flows look to a person: a line for each step. stdout gets the answer alone; prose goes to stderr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text

from bacalhau.disputed_tasks import print_disputes
from bacalhau.render import print_fields, print_text, stderr_console
from bacalhau.terminal_text import clean, one_line, visible
from bacalhau.trust_report import trust_lines
from storage.counting import counted

_STYLES: Final = {"done": "bold green", "failed": "bold red", "not-run": "bold yellow", "unknown": "dim"}
_MANY: Final = 40
"""Steps beyond which those that simply ran are counted, not shown."""
_MOST_WIDE: Final = 24
"""Characters of the column of names; a longer name takes what it needs."""


def print_flow(report: Mapping[str, Any]) -> None:
    """Print what a flow gave on stdout, the rest on stderr."""
    for text in (report["stdout"], report["result"]):
        if text:
            print_text(clean(text))
    console = stderr_console()
    if report["stderr"]:
        console.print(Text(clean(report["stderr"]).rstrip("\n")))
    steps = report["steps"]
    for step in steps if len(steps) <= _MANY else [one for one in steps if one["state"] != "done"]:
        console.print(_line(step))
    done = sum(step["state"] == "done" for step in steps)
    tasks, cached = sum(step["tasks"] for step in steps), sum(step["cached"] for step in steps)
    counts = f"{done} of {counted(len(steps), 'step')}, {counted(tasks, 'task')}, {cached} of them known before"
    if report["reason"] is None:
        console.print(Text.assemble(("verified", "bold green"), f": {counts}"))
    else:
        word = "failed" if report["tier"] == "verified" else f"not verified ({report['verdict']})"
        console.print(Text.assemble((word, "bold red"), f": {one_line(report['reason'])}; {counts}"))
    for line in trust_lines(report.get("trust")):
        console.print(one_line(line))
    print_disputes(console, report, of_flow=True)
    print_fields(report, ("function", "input", "output", "record", "task"), console)
    if report["record"] is not None:
        console.print(f"next: bacalhau audit {report['record']}")
    after = "get" if report["output"] is not None else "describe"
    console.print(f"{'next:' if report['record'] is None else '     '} bacalhau {after} {report['job'][:8]}")


def print_flow_plan(report: Mapping[str, Any]) -> None:
    """Print what would be done, on stdout: a line for each step, in order."""
    width = min(_MOST_WIDE, max((len(step["name"]) for step in report["steps"]), default=0))
    for step in report["steps"]:
        needs = f"  needs {', '.join(step['needs'])}" if step["needs"] else ""
        known = {
            "done": f"known: {step['tasks']} of {counted(step['tasks'], 'task')}",
            "unknown": f"to run: {step['tasks'] - step['cached']} of {counted(step['tasks'], 'task')}",
            "failed": f"failed: {one_line(step['problem'] or '')}",
            "not-run": "to run: tasks not known yet",
        }[step["state"]]
        task = f"  {step['task']}" if step["task"] else ""
        print_text(visible(f"{step['name']:<{width}}  {step['kind']:<6}  {known}{task}{needs}"))


def print_flow_steps(report: Mapping[str, Any]) -> None:
    """Print what came of each step, on stdout."""
    for step in report["steps"]:
        print_text(visible(_line(step).plain.strip()))


def _line(step: Mapping[str, Any]) -> Text:
    state = step["state"]
    cached = f", {step['cached']} known before" if step["cached"] else ""
    counts = f"{step['tasks']} task{'' if step['tasks'] == 1 else 's'}{cached}" if step["tasks"] else ""
    said = one_line(f"{step['problem'] or counts}  {step['output'] or ''}").rstrip()
    return Text.assemble("  ", (f"{state:<7}", _STYLES[state]), f"  {step['name']}  {said}")
