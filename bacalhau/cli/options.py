"""What several commands share: the `--json` flag, paths that are not empty, the services and the node they talk to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bacalhau.services import Services, default_services

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from bacalhau.node_client import NodeClient

from_option = click.option(
    "--from", "places", multiple=True, metavar="kubo:URL|gateway:URL|car:FILE", envvar="BACALHAU_FROM",
    help="Whom to ask for what is not here; several are asked in turn.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def services_of(ctx: click.Context) -> Services:
    """Return the services that were handed in, else those of this environment."""
    found = ctx.find_object(Services)
    return found or default_services()


def node_of(services: Services) -> NodeClient | None:
    """Return the node that commands talk to, None without one; the caller closes it.

    Raises:
        UserError, UnavailableError: as `bacalhau.node_finder.find_node`.
    """
    from bacalhau.node_finder import find_node

    return find_node(services.home, os.environ)


class _NamedPath(click.Path):
    """A path of at least one character: an unset shell variable must not mean the whole present directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty: name something, or leave it out", param, ctx)
        return super().convert(value, param, ctx)


class _NamedText(click.types.StringParamType):
    """The same for a text that may be a path."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Have the shell complete paths."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty: name something, or leave it out", param, ctx)
        return super().convert(value, param, ctx)


class OnceOption(click.Option):
    """An option that is refused when it is given twice, where click would take the last: an input would be lost."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:  # noqa: ARG002
        """Have the parser keep all that is said."""
        parser.add_option(obj=self, opts=self.opts, dest=self.name, action="append", nargs=self.nargs)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the one value that is said."""
        said = value if isinstance(value, list) else [value]
        if len(said) > 1:
            self.type.fail("it is given twice: name one file or directory, and mount others with -v", self, ctx)
        return super().type_cast_value(ctx, said[0])


named_path = _NamedPath(path_type=Path)
named_text = _NamedText()
