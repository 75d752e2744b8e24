"""The command `bacalhau`: which commands there are, and how one call ends.

stdout is the answer, stderr is progress and prose; the exit codes are `bacalhau.exit_codes`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bacalhau.cli.boundary import guarded
from bacalhau.cli.completion import VARIABLE, answer
from bacalhau.cli.config_file import read_config
from bacalhau.cli.lazy_group import LazyGroup
from bacalhau.home import find_home

if TYPE_CHECKING:
    from bacalhau.services import Services

_PREFIX: Final = "BACALHAU"
"""Of the environment variables that stand for flags: `BACALHAU_RUN_PYTHON_CONCURRENCY`."""

COMMANDS: Final = {
    "run": ("bacalhau.cli.run", "Run something on several nodes and verify the result."),
    "audit": ("bacalhau.cli.audit", "Check the evidence that y = f(x) was agreed on."),
    "get": ("bacalhau.cli.get", "Lay out an output as files, with its proof."),
    "list": ("bacalhau.cli.list_jobs", "List the jobs that ran here, the newest first."),
    "describe": ("bacalhau.cli.describe", "Show all that is known of a job."),
    "serve": ("bacalhau.cli.serve", "Run a node."),
    "devstack": ("bacalhau.cli.devstack", "Run a network of nodes on this machine."),
    "events": ("bacalhau.cli.events", "Show what happened to a job; -f follows it."),
    "logs": ("bacalhau.cli.logs", "Show what a job's function wrote; -f waits for it."),
    "cancel": ("bacalhau.cli.cancel", "Give up a job that is under way."),
    "web": ("bacalhau.cli.web", "Show jobs, records and files in a browser."),
    "add": ("bacalhau.cli.add", "Put a file or directory into the store; print its CID."),
    "cat": ("bacalhau.cli.cat", "Write the bytes of a file in the store to stdout."),
    "ls": ("bacalhau.cli.ls", "List a directory in the store."),
    "fetch": ("bacalhau.cli.fetch", "Bring a CID and all below it here, checked."),
    "publish": ("bacalhau.cli.publish", "Give results with their proof, or any content, to the world."),
    "graph": ("bacalhau.cli.graph", "Ask where results come from, what rests on them, what others say; export it."),
    "trust": ("bacalhau.cli.trust", "Show what is known of nodes by their records."),
    "diff": ("bacalhau.cli.diff", "Show what two results differ in, and the line where they part."),
    "lint": ("bacalhau.cli.lint", "Find what a function does that is refused or not repeatable."),
    "chaos": ("bacalhau.cli.chaos", "Vary what should not matter, and name the lines where it does."),
    "store": ("bacalhau.cli.store", "Look after the blocks on this machine."),
    "id": ("bacalhau.cli.identity", "Show the peer ids of this machine's nodes."),
    "docker": ("bacalhau.cli.docker", "The 2022 spelling: `docker run` is `run docker`."),
    "doctor": ("bacalhau.cli.doctor", "Check what is needed here and what protects you."),
    "completion": ("bacalhau.cli.completion", "Print the script that completes commands in a shell."),
    "version": ("bacalhau.cli.version", "Show the versions of everything that decides a result."),
}
"""Name -> (module, line in the help)."""

_HELP: Final = """Deterministic functions whose results anyone can check from a CID.

Exit codes: 0 verified or done, 1 not verified or audit failed, 2 wrong call, 3 the function itself failed, 4 could not
be checked, 70 a bug of ours."""

group = LazyGroup("bacalhau", help=_HELP, lazy=COMMANDS, is_root=True)


def main(arguments: Sequence[str], services: Services | None = None) -> int:
    """Run one command and return its exit code.

    services: what it works with; None gives `default_services`.
    """

    def call() -> int:
        # Not `group.main`: it turns a broken pipe into exit code 1, which here means "not verified".
        home = services.home if services else find_home(os.environ)
        defaults = read_config(home.config_path, group)
        with group.make_context(
            "bacalhau", list(arguments), obj=services, default_map=defaults, auto_envvar_prefix=_PREFIX
        ) as context:
            code = group.invoke(context)
        sys.stdout.flush()
        return int(code or 0)

    return guarded(call)


def run() -> None:
    """Run the command line of this process and exit; what the package installs as `bacalhau`."""
    if VARIABLE in os.environ:
        sys.exit(answer(group, os.environ[VARIABLE]))
    if sys.stdout is None or sys.stderr is None:
        _open_closed_streams()
    # A function's text can hold what the locale cannot show; that must not end the command.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))


def _open_closed_streams() -> None:
    """Write to nowhere what whoever started this process does not want: `bacalhau … >&-`."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
