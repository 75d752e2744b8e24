"""docs/cli.md names every flag of every command, in one of its spellings."""

import re
from pathlib import Path

import click
import pytest

from bacalhau.cli.main import group
from bacalhau.cli.man_page import commands
from tests.documents.synopsis import expand

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8").replace("\\|", "|")
NAMED = {name for word in re.findall(r"(?<![\w-])-{1,2}[a-z][a-z|-]*…?", TEXT) for name in expand(word)}
COMMANDS = dict(commands(group))


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_flag_is_named(path):
    for param in COMMANDS[path].params:
        if isinstance(param, click.Option) and not param.hidden and not is_named(param):
            pytest.fail(f"docs/cli.md does not name {param.opts} of {path}")


def is_named(option):
    spellings = {*option.opts, *option.secondary_opts}
    families = [name for name in NAMED if name.endswith("-")]
    return spellings & NAMED or any(
        one.startswith(family) for one in spellings for family in families if len(family) > 3
    )
