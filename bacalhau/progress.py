"""Shows long steps on stderr: a spinner and download bars on a terminal, a line for each step elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from bacalhau.render import stderr_console
from bacalhau.terminal_text import one_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import ProgressColumn, TaskID


def _no_bar(_what: str, _done: int, _total: int | None) -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """What to tell about a long step; both may be called by any thread."""

    step: Callable[[str], None]
    """A step begins: a short phrase."""
    transfer: Callable[[str, int, int | None], None]
    """Bytes have come: of what, how many, of how many (None: not known)."""
    count: Callable[[str, int, int | None], None] = _no_bar
    """Things are done: a phrase with all numbers, how many, of how many (None: not known)."""


@contextmanager
def shown_progress() -> Iterator[Display]:
    """Show progress while the block runs."""
    console = stderr_console()
    if not console.is_terminal:
        yield Display(step=_print_line, transfer=_no_bar, count=_print_some)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), *_transfer_columns())
    with Progress(*columns, console=console, transient=True) as bars:
        live = _Live(bars)
        yield Display(step=live.step, transfer=live.transfer, count=live.count)


def _transfer_columns() -> tuple[ProgressColumn, ...]:
    """Return the columns of a download, or of what is counted, which stay empty on the lines of other steps."""
    from rich.progress import BarColumn, DownloadColumn, Task, TimeRemainingColumn, TransferSpeedColumn
    from rich.text import Text

    class Bar(BarColumn):
        def render(self, task: Task) -> Any:
            return super().render(task) if task.fields["has_bar"] else Text()

    class Amount(DownloadColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["is_transfer"] else Text()

    class Speed(TransferSpeedColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["is_transfer"] else Text()

    class Left(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["has_bar"] and task.total is not None else Text()

    return Bar(), Amount(), Speed(), Left(compact=True)


class _Live:
    """One line for the present step, one for each node at work, one for each download under way."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._lock = Lock()
        self._step = bars.add_task("starting", total=None, has_bar=False, is_transfer=False)
        self._nodes: dict[str, TaskID] = {}
        self._transfers: dict[str, TaskID] = {}
        self._count: TaskID | None = None

    def step(self, phrase: str) -> None:
        label = phrase.partition(": ")[0]
        with self._lock:
            line = self._node_line(label) if label.startswith("node ") else self._step
            self._bars.update(line, description=one_line(phrase))
            if self._count is not None:
                self._bars.update(line, visible=True)

    def _node_line(self, label: str) -> TaskID:
        self._bars.update(self._step, visible=False)
        if label not in self._nodes:
            self._nodes[label] = self._bars.add_task(label, total=None, has_bar=False, is_transfer=False)
        return self._nodes[label]

    def transfer(self, what: str, done: int, total: int | None) -> None:
        with self._lock:
            if what not in self._transfers:
                self._transfers[what] = self._bars.add_task(one_line(what), total=total, has_bar=True, is_transfer=True)
            under_way = total is None or done < total
            self._bars.update(self._transfers[what], completed=done, total=total, visible=under_way)

    def count(self, phrase: str, done: int, total: int | None) -> None:
        with self._lock:
            if self._count is None:
                self._count = self._bars.add_task("", total=total, has_bar=True, is_transfer=False)
            # A phrase that is told once would stand there as if it went on.
            self._bars.update(self._step, visible=False)
            self._bars.update(self._count, description=one_line(phrase), completed=done, total=total)


def _print_some(phrase: str, done: int, total: int | None) -> None:
    """Print at 1, 2, 5, 10, 20, 50, … and at the end."""
    if done == total or str(done).rstrip("0") in ("1", "2", "5"):
        _print_line(phrase)


def _print_line(phrase: str) -> None:
    # One write for each line, so that lines of several nodes do not mix.
    sys.stderr.write(f"bacalhau: {one_line(phrase)}\n")
    sys.stderr.flush()
