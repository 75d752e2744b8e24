"""How a run of a container looks to a person: the word that it is unverified comes first, in its own colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text

from bacalhau.render import UNVERIFIED, print_fields, print_taint, print_text, stderr_console
from bacalhau.terminal_text import clean, one_line

_SAID: Final = {
    "ran": "ran once",
    "reproduced": "reproduced {reproduced}",
    "differs": "differs, {reproduced} alike",
    "incomplete": "incomplete",
}


def print_container(report: Mapping[str, Any]) -> None:
    """Print what the program wrote on stdout, the rest on stderr."""
    if report["stdout"]:
        print_text(clean(report["stdout"]))
    console = stderr_console()
    if report["stderr"]:
        console.print(Text(clean(report["stderr"]).rstrip("\n")))
    for name in report["cut"]:
        whole = f"; the whole: bacalhau cat {report['output']}/{name}" if report["output"] else ""
        console.print(f"{name} is cut here{whole}")
    said = _SAID[report["verdict"]].format(reproduced=report["reproduced"])
    if report["exit_code"]:
        said += f", with exit code {report['exit_code']}"
    if any(run["out_of_memory"] for run in report["runs"]):
        said += " (out of memory: --memory raises it)"
    why = "nobody else has checked it" if report["output"] else one_line(report["reason"])
    console.print(Text.assemble(("unverified", UNVERIFIED), f": {said}; {why}"))
    print_fields(report, ("function", "input", "output", "record", "task"), console)
    if report["taint"] and report["taint"] != [report["record"]]:
        print_taint(console, report)
    verb = "get" if report["output"] else "describe"
    console.print(f"next: bacalhau {verb} {report['job'][:8]}")


def print_container_plan(plan: Mapping[str, Any]) -> None:
    """Print what would run."""
    print_fields(plan, ("tier", "task", "function", "image", "repo_digest", "user", "network", "input", "data"))
    for volume in plan["volumes"]:
        print_text(one_line(f"  volume  {volume['cid']}  {volume['path']}"))
