"""`bacalhau lint`: what of a function is refused, pinned or has no form? Reads it, and never runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bacalhau.cli.options import json_option, named_path, services_of
from bacalhau.exit_codes import ExitCode
from storage.errors import UnavailableError

if TYPE_CHECKING:
    from bacalhau.services import Services
    from runtime.lint.linter import LintReport
    from runtime.lint.packages import Knowledge
    from runtime.source_check import SyntaxProblem


@click.command("lint", short_help="Find what a function does that is refused or not repeatable.")
@click.argument("function", type=named_path)
@click.option("--entry", default="main", show_default=True, help="Function that would be called.")
@click.option("-r", "requirements", metavar="FILE", type=named_path, help="Requirements, instead of the directory's.")
@click.option("--offline", is_flag=True, help="Ask no package index: what only it knows is left open.")
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True,
              help="What to print.")  # fmt: skip
@click.option("--sarif", is_flag=True, help="The same as --format sarif.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, function: Path, entry: str, requirements: Path | None, offline: bool, form: str, sarif: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Read FUNCTION, a directory with function.py or one file, and say what in it will not do what it seems to.

    Exit code 1 if there is an error, 4 if something could not be read; warnings and notes alone are 0.
    docs/lint.md has all rules.
    """
    from runtime.lint.linter import lint
    from runtime.source_import import REQUIREMENTS_FILE, read_source

    source = read_source(function, None, requirements)
    knowledge, notes = _knowledge(services_of(ctx), offline=offline, has=source.content(REQUIREMENTS_FILE) is not None)
    services = services_of(ctx)
    report = lint(
        source, entry=entry, knowledge=knowledge, notes=notes, ask=lambda content: _asked(services, content, offline)
    )
    _print(report, function, "json" if as_json else "sarif" if sarif else form)
    if report.has_errors:
        return ExitCode.NOT_VERIFIED
    return ExitCode.UNCHECKED if report.unparsed else ExitCode.DONE


def _knowledge(services: Services, *, offline: bool, has: bool) -> tuple[Knowledge | None, tuple[str, ...]]:
    """Return what is known of packages, or a note on why nothing is. has: there are requirements."""
    from runtime.lint.packages_client import known_packages

    home = services.home
    try:
        return known_packages(home.cache_dir, home.wheels_dir, offline=offline or not has), ()
    except UnavailableError as error:
        return None, (f"packages were not looked at: {error}",)


def _asked(services: Services, content: bytes, offline: bool) -> SyntaxProblem | None:
    """Return what the guest says of a file that this Python cannot parse; None if it parses, or nothing can be run."""
    from runtime.engine import UndeterminedError
    from runtime.guest_grammar import ask_guest
    from runtime.npm_client import found_modules, pyodide_package

    try:
        cache_dir = services.home.cache_dir
        if offline and found_modules(cache_dir) is None:
            return None
        package = pyodide_package(cache_dir)
        engine = services.make_engine()
        try:
            with services.open_store() as store:
                return ask_guest(content, package, store=store, engine=engine).problem
        finally:
            engine.stop()
    except (UnavailableError, UndeterminedError):
        return None


def _print(report: LintReport, function: Path, form: str) -> None:
    from bacalhau import __version__
    from bacalhau.render import print_json

    if form == "json":
        print_json({"function": str(function), **report.to_json()})
    elif form == "sarif":
        from runtime.lint.sarif import sarif_log

        folder = function if function.is_dir() else function.parent
        print_json(sarif_log(report, version=__version__, root=f"{folder.absolute().as_uri()}/"))
    else:
        _print_text(report.to_json(), function)


def _print_text(report: dict[str, Any], function: Path) -> None:
    from rich.text import Text

    from bacalhau.render import stderr_console, stdout_console
    from bacalhau.terminal_text import one_line
    from storage.counting import counted

    console, styles = stdout_console(), {"error": "bold red", "warning": "bold yellow", "note": "dim"}
    for one in report["findings"]:
        shown = function / one["path"] if function.is_dir() else _beside(function, one["path"])
        head = one_line(f"{shown}:{one['line']}:{one['column']}:")
        tail = one_line(f"{one['rule']} {one['name']} [{one['category']}] {one['message']}")
        console.print(Text.assemble(head, " ", (one["level"], styles[one["level"]]), " ", tail))
        console.print(Text.assemble("    ", (one_line(f"{one['why']}; {one['advice']}"), "dim")))
    prose, counts = stderr_console(), report["counts"]
    for note in report["notes"]:
        prose.print(Text(one_line(note)))
    said = ", ".join(counted(count, level) for level, count in counts.items() if count) or "nothing found"
    unread = {one["path"] for one in report["findings"] if one["name"] == "syntax"}
    files = counted(len(unread.union(report["files"])), "file")
    prose.print(f"{said} in {files}" + (f", {len(unread)} of which could not be read" if unread else ""))


def _beside(function: Path, path: str) -> Path:
    """Return where a finding is, of a function that is one file: the file itself, or requirements.txt beside it."""
    return function if path == "function.py" else function.parent / path
