"""The text of RESULTS.md."""

from __future__ import annotations

from bench.comparison import Row, Side, Spread, Unit
from bench.goals import Goal, Measure, Outcome, Verdict
from bench.report import Setting, outcome_text, ratio_text, results_text, row_lines, spread_text, summary

GOAL = Goal(row="cold hello", text="at most 1/2", measure=Measure.RATIO, against="plain", at_most=0.5)
ROW = Row(
    name="cold hello",
    unit=Unit.SECONDS,
    sides=(Side(name="ours", values=(0.4, 0.5, 0.6)), Side(name="plain", values=(2.0, 2.0, 2.0))),
    absent=(("docker run", "Docker not there"),),
)


def test_a_row_has_a_line_for_each_side_it_is_compared_with() -> None:
    assert row_lines(ROW) == [
        "| **cold hello** | 500 ms (400 ms to 600 ms) | plain: 2.00 s | 0.25 (0.2 to 0.3) |",
        "|  |  | docker run: Docker not there |  |",
    ]


def test_a_reduced_row_and_the_name_of_ours_are_told() -> None:
    row = Row(
        name="time per shard",
        unit=Unit.SECONDS,
        sides=(Side(name="of 100 shards", values=(2.0,)), Side(name="of 1 shard", values=(4.0,))),
        is_reduced=True,
        note="the largest",
    )
    assert row_lines(row) == [
        "| **time per shard** (reduced size): the largest | of 100 shards: 2.00 s | of 1 shard: 4.00 s | 0.5 |"
    ]


def test_a_row_alone_has_a_line() -> None:
    row = Row(name="alone", unit=Unit.PER_SECOND, sides=(Side(name="ours", values=(1234.5,)),))
    assert row_lines(row) == ["| **alone** | 1,234 a second |  |  |"]


def test_units_are_written_as_people_read_them() -> None:
    spread = Spread(median=64e6, least=32e6, most=128e6)
    assert spread_text(spread, Unit.BYTES) == "64 MB (32 MB to 128 MB)"
    assert spread_text(Spread(median=200.4, least=200.4, most=200.4), Unit.MIB_PER_SECOND) == "200 MiB/s"
    assert ratio_text(Spread(median=0.000123, least=0.0001, most=12.34)) == "0.000123 (0.0001 to 12.3)"


def test_outcomes_say_what_was_measured() -> None:
    missed = Outcome(goal=GOAL, verdict=Verdict.MISSED, value=0.75, is_reduced=True)
    assert outcome_text(missed) == "missed at a reduced size: cold hello, at most 1/2 (measured: 0.75)"
    assert outcome_text(Outcome(goal=GOAL, verdict=Verdict.NOT_MEASURED)) == "not measured: cold hello, at most 1/2"
    growth = Goal(row="memory", text="at most 64 MB", measure=Measure.GROWTH, against="small", at_most=64e6)
    grown = Outcome(goal=growth, verdict=Verdict.MET, value=-3.2e6)
    assert outcome_text(grown) == "met: memory, at most 64 MB (measured: -3 MB)"


def test_the_summary_names_what_failed() -> None:
    missed = Outcome(goal=GOAL, verdict=Verdict.MISSED, value=0.75)
    unknown = Outcome(goal=GOAL, verdict=Verdict.NOT_MEASURED)
    assert summary([missed, unknown]) == "missed: cold hello: at most 1/2. not measured: cold hello"
    assert summary([Outcome(goal=GOAL, verdict=Verdict.MET, value=0.25)]) == "no goal of 1 failed"


def test_the_file_has_setting_goals_rows_and_sections() -> None:
    setting = Setting(machine="a machine", versions="Python 3", rounds=3, is_reduced=False)
    met = Outcome(goal=GOAL, verdict=Verdict.MET, value=0.25)
    text = results_text(setting, [ROW], [met], ["## More\n\ntext\n"], [("stream", "no room")])
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == ["# Benchmark", "## Goals", "## Rows", "## Broken off", "## More"]
    assert "a machine; Python 3; medians of 3 alternating rounds" in text
    assert "- met: cold hello" in text
    assert "- stream: no room" in text
    assert text.endswith("text\n")
