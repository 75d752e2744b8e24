"""Shows long steps on stderr: a spinner and download bars on a terminal, a line for each step elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bacalhau.render import stderr_console
from bacalhau.terminal_text import one_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """What to tell about a long step; both may be called by any thread."""

    step: Callable[[str], None]
    """A step begins: a short phrase."""
    transfer: Callable[[str, int, int | None], None]
    """Bytes have come: of what, how many, of how many (None: not known)."""


@contextmanager
def shown_progress() -> Iterator[Display]:
    """Show progress while the block runs."""
    console = stderr_console()
    if not console.is_terminal:
        yield Display(step=_print_line, transfer=_no_bar)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        live = _Live(bars)
        yield Display(step=live.step, transfer=live.transfer)


class _Live:
    """One line for the step, one for each download that is under way."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._step = bars.add_task("starting", total=None)
        self._transfers: dict[str, TaskID] = {}

    def step(self, phrase: str) -> None:
        self._bars.update(self._step, description=one_line(phrase))

    def transfer(self, what: str, done: int, total: int | None) -> None:
        if what not in self._transfers:
            self._transfers[what] = self._bars.add_task(one_line(what), total=total)
        self._bars.update(self._transfers[what], completed=done, total=total, visible=total is None or done < total)


def _print_line(phrase: str) -> None:
    # One write for each line, so that lines of several nodes do not mix.
    sys.stderr.write(f"bacalhau: {one_line(phrase)}\n")
    sys.stderr.flush()


def _no_bar(_what: str, _done: int, _total: int | None) -> None:
    return
