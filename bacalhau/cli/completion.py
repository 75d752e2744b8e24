"""`bacalhau completion`: the script by which a shell completes commands, flags, paths and job ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from bacalhau.exit_codes import ExitCode

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VARIABLE: Final = "_BACALHAU_COMPLETE"
"""Set by the script when the shell asks for completions; click's protocol."""
SHELLS: Final = ("bash", "zsh", "fish")
_NEWEST: Final = 50
"""Jobs that are offered."""


@click.command("completion", short_help="Print the script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print a script for a shell, which completes commands, flags, paths and the ids of recent jobs.

    It asks `bacalhau` itself, so it need not be made anew when that changes.
    """
    from bacalhau.render import print_text

    print_text(script(shell).strip())
    return ExitCode.DONE


def script(shell: str) -> str:
    """Return the script; shell: one of SHELLS."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  click has these three
    # The script names the program and the variable alone: of which group it is does not matter.
    made = kind(click.Group(), {}, "bacalhau", VARIABLE)
    # Not `source`: for bash that would start bash, to see whether it is recent enough.
    return made.source_template % made.source_vars()


def answer(group: click.Group, instruction: str) -> int:
    """Do what a shell's script asks for, on stdout, and return the exit code; instruction: of the variable."""
    from click.shell_completion import shell_complete

    return shell_complete(group, {}, "bacalhau", VARIABLE, instruction)


def job_ids(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the recent jobs of this home whose ids begin so; makes nothing, and says nothing if that fails."""
    from click.shell_completion import CompletionItem

    from bacalhau.cli.options import services_of
    from storage.errors import BacalhauError

    services = services_of(ctx)
    if not services.home.datastore_path.exists():
        return []
    try:
        with services.open_jobs() as jobs:
            newest = jobs.newest(_NEWEST)
    except (BacalhauError, OSError):
        return []
    return [
        CompletionItem(job.id[:8], help=f"{job.verdict or 'running'} {' '.join(job.labels)}".strip())
        for job in newest
        if job.id.startswith(incomplete)
    ]
