"""Whether a synopsis, such as `bacalhau get JOB [--output-dir D]`, is one of the command that there is.

Pure. `[…]` may be left out, `…` says that there is more, `a|b` that one of these is meant, capitals stand for values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

from bacalhau.cli.main import group

_TOKEN = re.compile(r"""'[^']*'|"[^"]*"|(?:(?<=\s)|(?<=^)|(?<=\[))\[|\](?=[\s\]…]|$)|(?:\[[^\s\]]*\]|[^\s\[\]])+""")
_CONCRETE = re.compile(r"[a-z0-9][\w.,:%/-]*")

Items = list["str | Items"]


class SynopsisError(ValueError):
    """A synopsis says what the command does not."""


def parse(text: str) -> Items:
    """Return words, and lists for what stands in brackets.

    Raises:
        SynopsisError: a bracket is not closed, or was not opened.
    """
    stack: list[Items] = [[]]
    for token in _TOKEN.findall(text):
        if token == "[":
            stack.append([])
        elif token == "]":
            if len(stack) == 1:
                raise SynopsisError(f"a bracket is closed that was not opened: {text}")
            inner = stack.pop()
            stack[-1].append(inner)
        else:
            stack[-1].append(token)
    if len(stack) != 1:
        raise SynopsisError(f"a bracket is not closed: {text}")
    return stack[0]


def calls(text: str) -> list[str]:
    """Return `store stat|gc` as `store stat` and `store gc`: a synopsis for each command that it names."""
    words = text.split(" ")
    command: click.Command = group
    for at, word in enumerate(words[1:], 1):
        if not isinstance(command, click.Group):
            break
        if "|" in word and word.split("|")[0] in command.list_commands(click.Context(command)):
            return [call for one in word.split("|") for call in calls(" ".join((*words[:at], one, *words[at + 1 :])))]
        found = command.get_command(click.Context(command), word)
        if found is None:
            break
        command = found
    return [text]


def find_command(items: Items) -> tuple[click.Command, Items, str]:
    """Return the command that a synopsis begins with, what follows, and the command's path without `bacalhau`.

    Raises:
        SynopsisError: there is no such command.
    """
    command: click.Command = group
    at, path = 1, []
    while isinstance(command, click.Group) and at < len(items):
        word = items[at]
        if not isinstance(word, str) or word.startswith(("-", "…")):
            break
        found = command.get_command(click.Context(command), word)
        if found is None:
            raise SynopsisError(f"there is no command {' '.join((*path, word))!r}")
        command, at = found, at + 1
        path.append(word)
    return command, items[at:], " ".join(path)


def check(text: str, *, whole: bool = True) -> None:
    """Check a synopsis; whole: the arguments that have to be given must stand in it, and the values of options.

    Raises:
        SynopsisError: it says something that is not so.
    """
    command, items, _ = find_command(parse(text))
    if isinstance(command, click.Group):
        if items:
            raise SynopsisError(f"{command.name} is a group of commands, and gets {items}")
        return
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    shown = list(_positionals(command, items, whole=whole))
    most = 99 if any(param.nargs == -1 for param in arguments) or "--" in items else sum(p.nargs for p in arguments)
    least = sum(param.required for param in arguments) if whole else 0
    if not least <= len(shown) <= most:
        raise SynopsisError(f"{command.name} takes {least} to {most} arguments, and gets {shown}")


def _positionals(command: click.Command, items: Items, *, whole: bool) -> Iterator[str]:
    """Check the options among items, and yield what is no option and no value of one."""
    at = 0
    while at < len(items):
        item = items[at]
        at += 1
        if isinstance(item, list):
            if not _is_prose(item):
                yield from _positionals(command, item, whole=whole)
        elif item == "--":
            return
        elif item.startswith("-"):
            value = items[at] if at < len(items) and isinstance(items[at], str) else None
            value = "…" if value is None and not whole else value
            takes = [_takes(command, name, value) for name in expand(item)]
            at += any(takes)
        elif set(item) - set("…"):
            yield item


def _is_prose(items: Sequence[object]) -> bool:
    """Tell `[flags of run python]` from `[--json]` and `[OUT.ipynb]`."""
    return isinstance(items[0], str) and items[0].islower() and not items[0].startswith("-")


def expand(word: str) -> list[str]:
    """Return `--limit-job-cpu|disk` as both options that it stands for, without the `…` behind it."""
    first, *others = word.removesuffix("…").split("|")
    stem = first.rpartition("-")[0]
    return [first, *(one if one.startswith("-") else f"{stem}-{one}" for one in others)]


def _takes(command: click.Command, name: str, value: object) -> bool:
    """Check an option of a command, and tell whether the next word is its value."""
    options = {opt: param for param in command.params if isinstance(param, click.Option) for opt in _spellings(param)}
    if name.endswith("-"):  # `--job-selection-…`
        if not any(opt.startswith(name) for opt in options):
            raise SynopsisError(f"{command.name} has no option that begins with {name}")
        return False
    if name == "--help":
        return False
    if name not in options:
        raise SynopsisError(f"{command.name} has no option {name}; it has {' '.join(sorted(options))}")
    option = options[name]
    if option.is_flag or option.count:
        return False
    if not isinstance(value, str) or value.startswith("-"):
        raise SynopsisError(f"{command.name} {name} takes a value, and gets none")
    _check_value(option, value)
    return True


def _spellings(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _check_value(option: click.Option, value: str) -> None:
    if isinstance(option.type, click.Choice) and "|" in value:
        shown, there = set(value.split("|")), {str(one) for one in option.type.choices}
        if shown != there:
            raise SynopsisError(f"{option.opts[0]} takes one of {sorted(there)}, and is shown with {sorted(shown)}")
    elif _CONCRETE.fullmatch(value):
        try:
            option.type.convert(value, option, click.Context(group))
        except click.BadParameter as error:
            raise SynopsisError(f"{option.opts[0]} does not take {value!r}: {error.message}") from error
