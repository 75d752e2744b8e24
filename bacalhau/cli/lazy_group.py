"""A click group that imports a command only when it is called: `--help` must not load an engine."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from bacalhau.cli.examples import give_examples

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """Commands by name, each in a module of its own as `command`, with the line that stands for it in the help."""

    def __init__(
        self,
        name: str,
        *,
        help: str,  # noqa: A002
        lazy: Mapping[str, tuple[str, str]],
        is_root: bool = False,
        forgotten: str = "",
    ) -> None:
        """Make a group.

        lazy: name -> (module, one line of help); is_root: it is the program, and no command of it; forgotten: the
        command that who names none most likely means.
        """
        super().__init__(name=name, help=help, invoke_without_command=True, callback=_show_help)
        self._lazy = lazy
        self.is_root = is_root
        self._forgotten = forgotten

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names, in the order in which the help shows them."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in self._lazy:
            return None
        command: click.Command = importlib.import_module(self._lazy[cmd_name][0]).command
        give_examples(command, cmd_name if self.is_root else f"{self.name} {cmd_name}")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that arguments begin with; of a wrong one say which it is like.

        Raises:
            click.UsageError: there is no such command.
        """
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            like = difflib.get_close_matches(name, self._lazy, n=3)
            said = f"No such command {name!r}."
            if like:
                said += f" Did you mean {' or '.join(repr(one) for one in like)}?"
            elif self._forgotten:
                said += f" Did you mean `{ctx.command_path} {self._forgotten} {name}`?"
            raise click.UsageError(said, ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, without importing them."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=line) for name, (_, line) in self._lazy.items()]
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [one for one in found if one.value.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._lazy.items()])


@click.pass_context
def _show_help(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
