"""The manual page, made of the commands themselves: `python -m bacalhau.cli.man_page` writes it to stdout.

docs/man/bacalhau.1 is what it gives; a test compares, so that the page says what the command does. Source of the
format: man-pages(7), groff_man(7).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from bacalhau import __version__
from bacalhau.cli.examples import EXAMPLES
from bacalhau.cli.main import group
from bacalhau.exit_codes import ExitCode

_EXITS = {
    ExitCode.DONE: "Verified, valid, or done.",
    ExitCode.NOT_VERIFIED: "Not verified, or something was checked and is false.",
    ExitCode.USAGE: "Wrong call.",
    ExitCode.FUNCTION_FAILED: "The function itself failed, and the nodes agree that it does.",
    ExitCode.UNCHECKED: "Could not be checked: something is not here or out of reach.",
    ExitCode.BUG: "A bug.",
}
_VARIABLES = (
    ("BACALHAU_DIR", "Where blocks, jobs, keys and runtimes are kept."),
    ("BACALHAU_API, BACALHAU_API_TOKEN", "The node to talk to, and its token."),
    ("BACALHAU_COMMAND_FLAG", "What a flag says, such as BACALHAU_RUN_PYTHON_CONCURRENCY."),
    ("BACALHAU_DEBUG", "Print tracebacks."),
    ("NO_COLOR", "No colour."),
)


def man_page() -> str:
    """Return the page in roff."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield f'.TH BACALHAU 1 "" "bacalhau {__version__}" "User Commands"'
    yield from (".SH NAME", "bacalhau \\- deterministic functions whose results anyone can check from a CID")
    yield from (".SH SYNOPSIS", ".B bacalhau", ".I COMMAND", "[\\fIARGUMENTS\\fR]")
    yield ".SH COMMANDS"
    for path, command in sorted(commands(group)):
        yield from _command(path, command)
    yield ".SH EXIT STATUS"
    for code, text in _EXITS.items():
        yield from (".TP", f".B {int(code)}", _text(text))
    yield ".SH ENVIRONMENT"
    for name, text in _VARIABLES:
        yield from (".TP", f".B {_text(name)}", _text(text))
    yield ".SH FILES"
    yield from (".TP", ".I config.toml", "Of BACALHAU_DIR: flags that are always wanted, by command.")
    yield from (".TP", ".I policy.toml", "Of BACALHAU_DIR: what the operator allows.")


def commands(parent: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that runs by its path, without `bacalhau`; hidden ones are left out."""
    context = click.Context(parent)
    for name in parent.list_commands(context):
        command = parent.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f'.SS "bacalhau {_text(path)} {_text(usage)}"'
    yield from _paragraphs(command.help or "")
    for param in command.params:
        record = param.get_help_record(context)
        if record is not None:
            yield from (".TP", f".B {_text(record[0])}", _text(record[1]))
    for what, line in EXAMPLES.get(path, ()):
        yield from (".PP", f"{_text(what)}:", ".PP", ".nf", f".RS 4\n{_text(line)}\n.RE", ".fi")


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield from (".PP", _text(" ".join(paragraph.split())))


def _text(text: str) -> str:
    """Return a text that roff prints as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    sys.stdout.write(man_page())
