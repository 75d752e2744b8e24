"""How things look to a person. stdout gets the answer alone; prose goes to stderr.

Whatever a function, a file or a peer wrote is cleaned first, and is never read as markup. No colour where NO_COLOR is
set or the stream is no terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from bacalhau.advice import advice
from bacalhau.terminal_text import clean, one_line, visible
from bacalhau.trust_report import equal_words, trust_lines
from bacalhau.votes_text import votes_text
from storage.counting import counted

_GOOD: Final = "bold green"
_BAD: Final = "bold red"
_UNSURE: Final = "bold yellow"
UNVERIFIED: Final = "bold magenta"
"""Neither the green of what is verified nor the red of what is false."""
_LIMITS: Final = {
    137: " (out of memory: --memory raises it)",
    152: " (out of fuel: --fuel raises it)",
    153: " (more output than a run may give)",
}
"""What the function contract means by some exit codes; a function may also return them by itself."""
_WIDE: Final = 10_000
"""Columns where no terminal is: lines are for programs then, which do not want them wrapped."""


_SHOWN_SHARDS: Final = 20
"""Lines for shards whose audit found something; --json has more."""


def stdout_console() -> Console:
    """Return a console for the answer."""
    return _console(stderr=False)


def stderr_console() -> Console:
    """Return a console for prose."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    plain = bool(os.environ.get("NO_COLOR")) or not stream.isatty()
    return Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
        color_system=None if plain else "auto",
        force_terminal=None if stream.isatty() else False,
        width=None if stream.isatty() else _WIDE,
    )


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object on one line; what is not ASCII is escaped, so no control character gets through."""
    print_text(json.dumps(value, ensure_ascii=True, allow_nan=False))


def print_text(text: str) -> None:
    """Print text on stdout with exactly one newline at its end."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def print_run(report: Mapping[str, Any], *, is_here: bool = True) -> None:
    """Print what the function gave on stdout, the rest on stderr; is_here: its record is in this home."""
    for text in (report["stdout"], report["result"]):
        if text:
            print_text(clean(text))
    console = stderr_console()
    if report["stderr"]:
        console.print(Text(clean(report["stderr"]).rstrip("\n")))
    _print_notes(console, report)
    _print_verdict(console, report)
    for line in trust_lines(report.get("trust")):
        console.print(one_line(line))
    _print_others(console, report)
    print_fields(report, ("function", "input", "output", "record", "task"), console)
    if report.get("taint_reason"):
        print_taint(console, report)
    if report["exit_code"] == 1 and (tip := advice(report["stderr"] or "")):
        console.print(Text(f"try: {tip}"))
    _print_next(console, report, is_here=is_here)


def _print_notes(console: Console, report: Mapping[str, Any]) -> None:
    for name in report["cut"]:
        console.print(f"{name} is cut here; the whole: bacalhau cat {report['output']}/{name}")
    if report["result"] is None and report["result_bytes"]:
        size = report["result_bytes"]
        console.print(f"the result ({size} bytes) is not shown: bacalhau cat {report['output']}/result")


def _print_verdict(console: Console, report: Mapping[str, Any]) -> None:
    receipts = report["receipts"]
    agreeing = sum(receipt["agrees"] for receipt in receipts)
    if report["verdict"] not in ("agreed", "cached"):
        console.print(Text.assemble((f"not verified ({report['verdict']})", _BAD), f": {one_line(report['reason'])}"))
        return
    failed = report["exit_code"] != 0
    limit = _LIMITS.get(report["exit_code"], "")
    said = f"the function failed with exit code {report['exit_code']}{limit}, " if failed else ""
    word = ("verified", _UNSURE if failed else _GOOD)
    console.print(
        Text.assemble(
            word,
            f": {said}{votes_text(agreeing, len(receipts))}{_before(report)}{_unblind(report, agreeing)}",
        )
    )


def _before(report: Mapping[str, Any]) -> str:
    """Return what of the evidence is not of now."""
    known = report.get("known")  # jobs of earlier releases have none
    since = f"known since {one_line(str(known['since']))}" if known and known["since"] else "known from before"
    if report["verdict"] == "cached":
        return f" ({since}: nothing ran)"
    return f" ({known['receipts']} of them {since})" if known and known["receipts"] else ""


def _unblind(report: Mapping[str, Any], agreeing: int) -> str:
    """Return how many of those that agree may have seen what others had said before."""
    blind = report.get("blind")  # jobs of earlier releases have none
    return "" if blind is None or blind >= agreeing else f"; {agreeing - blind} may have seen earlier receipts"


def _print_others(console: Console, report: Mapping[str, Any]) -> None:
    """Name the nodes that said something else, or broke a rule."""
    for receipt in report["receipts"]:
        if report["verdict"] in ("agreed", "cached") and not receipt["agrees"]:
            said = f"dissent: node {receipt['node']} gave {receipt['output']}, exit code {receipt['exit_code']}"
            console.print(Text(said, _BAD))
    for dispute in report.get("disputes", ()):
        said = f"DISPUTED: record {dispute['record']} of the same task has another output, {dispute['output']}"
        console.print(Text(said, _BAD))
    for fault in report["faults"]:
        console.print(Text(one_line(f"fault: node {fault['node']} ({fault['kind']}): {fault['detail']}"), _BAD))


def print_taint(console: Console, said: Mapping[str, Any]) -> None:
    """Say that inputs come from something unverified, or that it cannot be told whether they do."""
    word = "tainted" if said["tainted"] else "perhaps tainted"
    console.print(Text.assemble((word, UNVERIFIED), f": {one_line(said['taint_reason'])}"))


def _print_next(console: Console, report: Mapping[str, Any], *, is_here: bool) -> None:
    if report["record"] is None:
        console.print(f"next: bacalhau describe {report['job'][:8]}")
        return
    if not is_here:
        console.print(f"next: bacalhau get {report['job'][:8]}")
        console.print(f"      bacalhau audit --car job-{report['job'][:8]}/record.car")
        return
    console.print(f"next: bacalhau audit {report['record']}")
    console.print(f"      bacalhau get {report['job'][:8]}")


def print_fields(values: Mapping[str, Any], names: Iterable[str], console: Console | None = None) -> None:
    """Print `name  value` lines for those that are there; on stdout unless a console is given."""
    shown = [name for name in names if values.get(name) is not None]
    width = max(map(len, shown), default=0)
    for name in shown:
        line = Text.assemble((f"  {name:<{width}}", "dim"), f"  {one_line(str(values[name]))}")
        (console or stdout_console()).print(line)


def print_audit(found: Mapping[str, Any]) -> None:
    """Print the verdict of an audit and its checks."""
    console = stdout_console()
    words = {"valid": _GOOD, "invalid": _BAD, "unchecked": _UNSURE}
    reason = f": {one_line(found['reason'])}" if found["reason"] else ""
    console.print(Text.assemble((found["verdict"], words[found["verdict"]]), reason))
    # Where a block is not here, all that rests on it is unknown for the same reason, which is said once.
    unknown = Counter(check["detail"] for check in found["checks"] if check["ok"] is None)
    for check in found["checks"]:
        same = unknown.pop(check["detail"], 0) if check["ok"] is None else 1
        if same:
            _print_check(console, check["ok"], f"{check['n']:>2} {check['name']:<11}", check["detail"])
        if same > 1:
            console.print(f"{'':<25}and {counted(same - 1, 'further check')} for the same reason")
    if found.get("taint_reason") and found["record"] not in found["taint"]:
        print_taint(console, found)
    for shard in found.get("shards", ())[:_SHOWN_SHARDS]:
        console.print(Text(f"  shard {shard['index']}: {shard['verdict']}: {one_line(shard['reason'])}"))
    for root in found.get("roots", ())[:_SHOWN_SHARDS]:
        said = f": {one_line(root['reason'])}" if root["reason"] else ""
        console.print(Text(f"  {root['kind']} {root['cid']}: {root['verdict']}{said}"))
    for one in found.get("ancestors", {"listed": ()})["listed"][:_SHOWN_SHARDS]:
        console.print(Text(f"  ancestor {one['record']}: {one['verdict']}: {one_line(one['reason'])}"))
    for again in found["reruns"]:
        engine = " ".join(again[key] or "" for key in ("engine", "engine_version", "arch")).strip()
        _print_check(
            console, again["ok"], f"   {'rerun':<11}", f"{again['detail']} ({engine})" if engine else again["detail"]
        )


def _print_check(console: Console, ok: bool | None, name: str, detail: str, *, open_word: str = "unknown") -> None:
    word, style = {True: ("ok     ", _GOOD), False: ("FALSE  ", _BAD), None: (f"{open_word:<7}", _UNSURE)}[ok]
    console.print(Text.assemble("  ", (word, style), f" {name}  {one_line(detail)}"))


def print_plan(plan: Mapping[str, Any]) -> None:
    """Print what would run."""
    names = ("task", "function", "source", "entry", "module", "runtime", "input", "data", "seed", "epoch")
    print_fields(plan, names)
    if plan.get("trust"):
        asked, words = plan["trust"]["asked"], equal_words(plan["trust"]["words_of_newcomers"])
        print_text(f"  trust   {asked} takes {words} of nodes of which nothing is known")
    for volume in plan["volumes"]:
        print_text(f"  volume  {volume['cid']}  {visible(volume['path'])}")
    for wheel in plan["lock"]:
        print_text(f"  package {visible(wheel['name'])} {visible(wheel['version'])}  {wheel['wheel']}")


def print_findings(findings: Iterable[Mapping[str, Any]]) -> None:
    """Print the lines of a check-up: what was looked at, how it is, and what to do."""
    console = stdout_console()
    for finding in findings:
        fix = f"; {finding['fix']}" if finding["fix"] and not finding["ok"] else ""
        _print_check(console, finding["ok"], f"{finding['name']:<8}", finding["detail"] + fix, open_word="note")
