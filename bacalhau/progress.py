"""Shows long steps on stderr: a spinner with the latest phrase on a terminal, a line for each phrase elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bacalhau.render import stderr_console
from bacalhau.terminal_text import one_line


@contextmanager
def shown_progress() -> Iterator[Callable[[str], None]]:
    """Yield what to call with a phrase when a step begins; any thread may call it."""
    console = stderr_console()
    if console.is_terminal:
        with console.status("starting") as status:
            yield lambda phrase: status.update(_plain(phrase))
    else:
        yield _print_line


def _print_line(phrase: str) -> None:
    # One write for each line, so that lines of several nodes do not mix.
    sys.stderr.write(f"bacalhau: {one_line(phrase)}\n")
    sys.stderr.flush()


def _plain(phrase: str) -> str:
    from rich.markup import escape

    return escape(one_line(phrase))
