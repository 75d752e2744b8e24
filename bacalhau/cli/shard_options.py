"""The flags with which a job is split into shards, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from storage.errors import UserError

if TYPE_CHECKING:
    from runtime.shard_plan import Sharding

F = TypeVar("F", bound=Callable[..., Any])
_PATTERN = "--sharding-glob-pattern"
_OPTIONS = (
    click.option(_PATTERN, "glob_pattern", metavar="PATTERN",
                 help="Split the input: what this picks becomes shards, verified one by one (docs/sharding.md)."),
    click.option("--sharding-base-path", "base_path", metavar="PATH",
                 help="Where in the input the pattern begins.  [default: /inputs]"),
    click.option("--sharding-batch-size", "batch_size", type=int, metavar="N",
                 help="Picks of one shard.  [default: 1]"),
    click.option("--max-failures", type=click.IntRange(min=0), metavar="N",
                 help="Begin no further shards after more than N have failed.  [default: all run]"),
)  # fmt: skip


def shard_options(command: F) -> F:
    """Add the flags to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_shard_flags(flags: dict[str, Any]) -> Sharding | None:
    """Return how the input is to be split; None if it is not.

    Raises:
        UserError: a flag is wrong, or means nothing without another one.
    """
    if flags["glob_pattern"] is None:
        for name in ("base_path", "batch_size"):
            if flags[name] is not None:
                _refuse(f"--sharding-{name.replace('_', '-')}")
        if flags["max_failures"] is not None:
            _refuse("--max-failures")
        return None
    if flags["data"] is None:
        raise UserError("there is no input to split", where=_PATTERN, fix="give a directory with -i")
    from runtime.shard_plan import INPUT_PATH, read_sharding

    base = INPUT_PATH if flags["base_path"] is None else flags["base_path"]
    size = 1 if flags["batch_size"] is None else flags["batch_size"]
    return read_sharding(flags["glob_pattern"], base_path=base, batch_size=size)


def _refuse(flag: str) -> None:
    raise UserError(f"means nothing without {_PATTERN}", where=flag, fix="say what is to be split, or leave it out")
