"""What progress shows of things that are counted: few lines, or a bar whose end may not be known."""

from io import StringIO

from rich.console import Console
from rich.progress import Progress, TextColumn

from bacalhau import progress
from bacalhau.progress import shown_progress


def test_without_a_terminal_few_lines_are_printed(capsys):
    with shown_progress() as display:
        for done in range(1, 300):
            display.count(f"{done} done", done, 299 if done == 299 else None)
    said = [line.removeprefix("bacalhau: ").removesuffix(" done") for line in capsys.readouterr().err.splitlines()]
    assert said == ["1", "2", "5", "10", "20", "50", "100", "200", "299"]


def test_on_a_terminal_a_bar_gets_its_end_when_it_is_known():
    console = Console(file=StringIO(), force_terminal=True, width=100)
    columns = (TextColumn("{task.description}"), *progress._transfer_columns())
    with Progress(*columns, console=console, auto_refresh=False) as bars:
        live = progress._Live(bars)
        live.step("importing")
        live.count("1 shard done", 1, None)
        (step, count) = bars.tasks
        assert (step.visible, count.total, count.completed) == (False, None, 1)
        live.count("2 of 4 shards done", 2, 4)
        assert (count.total, count.completed, count.description) == (4, 2, "2 of 4 shards done")
        live.step("merging")
        assert (step.visible, step.description) == (True, "merging")
        bars.refresh()
    assert "2 of 4 shards done" in console.file.getvalue()
    assert "bytes" not in console.file.getvalue()
