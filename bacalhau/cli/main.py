"""The command `bacalhau`: which commands there are, and how one call ends.

stdout is the answer, stderr is progress and prose; the exit codes are `bacalhau.exit_codes`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bacalhau.cli.boundary import guarded
from bacalhau.cli.lazy_group import LazyGroup

if TYPE_CHECKING:
    from bacalhau.services import Services

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
    "add": ("bacalhau.cli.add", "Put a file or directory into the store; print its CID."),
    "cat": ("bacalhau.cli.cat", "Write the bytes of a file in the store to stdout."),
    "ls": ("bacalhau.cli.ls", "List a directory in the store."),
    "fetch": ("bacalhau.cli.fetch", "Bring a CID and all below it here, checked."),
    "publish": ("bacalhau.cli.publish", "Give a CID and all below it to the IPFS world."),
    "diff": ("bacalhau.cli.diff", "Show what two results differ in, and the line where they part."),
    "lint": ("bacalhau.cli.lint", "Find what a function does that is refused or not repeatable."),
    "chaos": ("bacalhau.cli.chaos", "Vary what should not matter, and name the lines where it does."),
    "store": ("bacalhau.cli.store", "Look after the blocks on this machine."),
    "id": ("bacalhau.cli.identity", "Show the peer ids of this machine's nodes."),
    "doctor": ("bacalhau.cli.doctor", "Check what is needed here and what protects you."),
    "version": ("bacalhau.cli.version", "Show the versions of everything that decides a result."),
}
"""Name -> (module, line in the help)."""

_HELP: Final = """Deterministic functions whose results anyone can check from a CID.

Exit codes: 0 verified or done, 1 not verified or audit failed, 2 wrong call, 3 the function itself failed, 4 could not
be checked, 70 a bug of ours."""

group = LazyGroup("bacalhau", help=_HELP, lazy=COMMANDS)


def main(arguments: Sequence[str], services: Services | None = None) -> int:
    """Run one command and return its exit code.

    services: what it works with; None gives `default_services`.
    """

    def call() -> int:
        # Not `group.main`: it turns a broken pipe into exit code 1, which here means "not verified".
        with group.make_context("bacalhau", list(arguments), obj=services) as context:
            code = group.invoke(context)
        sys.stdout.flush()
        return int(code or 0)

    return guarded(call)


def run() -> None:
    """Run the command line of this process and exit; what the package installs as `bacalhau`."""
    # A function's text can hold what the locale cannot show; that must not end the command.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
