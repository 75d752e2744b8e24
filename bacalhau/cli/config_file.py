"""`config.toml` of BACALHAU_DIR: flags that a user always wants, by command.

    [run.python]
    concurrency = 5
    label = ["nightly"]

A flag on the command line goes before an environment variable (`BACALHAU_RUN_PYTHON_CONCURRENCY`), that before this
file, and this file before the default. What the file says and no command knows is an error: a typo must not pass in
silence.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from storage.errors import UserError

MAX_BYTES: Final = 1 << 20
_PLAIN: Final = (bool, int, float, str)


def read_config(path: Path, group: click.Group) -> dict[str, Any]:
    """Return the defaults of a file, as click's `default_map`; empty if there is no such file.

    Imports the commands that the file names, and no others.

    Raises:
        UserError: it cannot be read, is no TOML, or names a command, a flag or a value that there is not.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):  # the command says what is wrong with the home
        return {}
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot be read: {reason}", where=str(path), fix="check its permissions") from error
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", where=str(path), fix="save it as UTF-8") from error
    if len(text) > MAX_BYTES:
        raise UserError("is too large", where=str(path), fix="keep it under 1 MiB")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"is no TOML: {error}", where=str(path), fix="correct it") from error
    return _of_group(table, group, str(path))


def _of_group(table: Mapping[str, Any], group: click.Group, file: str, path: tuple[str, ...] = ()) -> dict[str, Any]:
    context = click.Context(group)
    found: dict[str, Any] = {}
    for name, value in table.items():
        command = group.get_command(context, name)
        if command is None or not isinstance(value, dict):
            known = ", ".join(group.list_commands(context))
            where = f"{file} [{'.'.join((*path, name))}]"
            raise UserError("is no command", where=where, fix=f"write a table of one of: {known}")
        if isinstance(command, click.Group):
            found[name] = _of_group(value, command, file, (*path, name))
        else:
            found[name] = _of_command(value, command, f"{file} [{'.'.join((*path, name))}]")
    return found


def _of_command(table: Mapping[str, Any], command: click.Command, where: str) -> dict[str, Any]:
    flags = dict(_flags(command))
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name not in flags:
            raise UserError(f"has no flag --{name}", where=where, fix=f"it has: {', '.join(sorted(flags))}")
        option = flags[name]
        many = option.multiple or option.nargs != 1
        values = value if isinstance(value, list) else [value]
        if many != isinstance(value, list) or not all(isinstance(one, _PLAIN) for one in values):
            fix = "write a list of values" if many else "write one value"
            raise UserError(f"--{name} is {value!r}", where=where, fix=fix)
        if option.is_flag and not isinstance(value, bool):
            raise UserError(f"--{name} is {value!r}", where=where, fix="write true or false")
        found[str(option.name)] = value
    return found


def _flags(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    """Yield the flags of a command by their long names, without the dashes; `--help` is none."""
    for param in command.params:
        if isinstance(param, click.Option):
            for text in param.opts:
                if text.startswith("--"):
                    yield text.removeprefix("--"), param
