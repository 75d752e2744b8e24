"""Row arithmetic, and whose turn it is."""

from __future__ import annotations

import pytest

from bench.comparison import Contestant, Row, Side, Spread, Unit, take_turns


def _row(*sides: Side) -> Row:
    return Row(name="row", unit=Unit.SECONDS, sides=sides)


def test_a_ratio_is_taken_round_by_round() -> None:
    ours, other = Side(name="ours", values=(1.0, 4.0, 3.0)), Side(name="other", values=(2.0, 4.0, 1.0))
    assert _row(ours, other).ratio(other) == Spread(median=1.0, least=0.5, most=3.0)


def test_a_growth_is_taken_round_by_round() -> None:
    ours, other = Side(name="ours", values=(5.0, 6.0)), Side(name="other", values=(1.0, 4.0))
    assert _row(ours, other).growth(other) == Spread(median=3.0, least=2.0, most=4.0)


def test_a_side_is_found_by_its_name() -> None:
    ours, other = Side(name="ours", values=(1.0,)), Side(name="other", values=(2.0,))
    row = _row(ours, other)
    assert (row.ours, row.side("other"), row.side("nobody")) == (ours, other, None)


def test_sides_have_the_same_rounds_and_different_names() -> None:
    one = Side(name="ours", values=(1.0,))
    with pytest.raises(ValueError, match="number of rounds"):
        _row(one, Side(name="other", values=(1.0, 2.0)))
    with pytest.raises(ValueError, match="one name"):
        _row(one, one)
    with pytest.raises(ValueError, match="no values"):
        Side(name="ours", values=())


def test_turns_alternate_after_one_that_is_forgotten() -> None:
    asked: list[str] = []

    def contestant(name: str) -> Contestant:
        def measure() -> float:
            asked.append(name)
            return float(len(asked))

        return Contestant(name=name, measure=measure)

    sides = take_turns(2, [contestant("a"), contestant("b")])
    assert asked == ["a", "b", "a", "b", "b", "a"]
    assert sides == (Side(name="a", values=(3.0, 6.0)), Side(name="b", values=(4.0, 5.0)))


def test_without_warm_up_the_first_turn_counts() -> None:
    values = iter((1.0, 2.0))
    assert take_turns(2, [Contestant(name="a", measure=lambda: next(values))], warm_up=False) == (
        Side(name="a", values=(1.0, 2.0)),
    )
