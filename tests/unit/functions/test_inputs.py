"""The inputs of functions/ hold what their notes say."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parents[3] / "functions"


def rows(name: str) -> list[dict[str, str]]:
    with (FUNCTIONS / name / "input.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.mark.parametrize(("name", "count"), [("csv_stats", 118), ("plot", 144), ("svd", 150), ("train_model", 178)])
def test_tables_are_rectangular(name: str, count: int) -> None:
    table = rows(name)
    assert len(table) == count
    for row in table:
        assert None not in row
        assert None not in row.values()


def test_elements_are_the_118_of_the_periodic_table() -> None:
    table = rows("csv_stats")
    assert [int(row["number"]) for row in table] == list(range(1, 119))
    assert len({row["symbol"] for row in table}) == len({row["name"] for row in table}) == 118
    sizes = {block: sum(row["block"] == block for row in table) for block in "spdf"}
    assert sizes == {"s": 14, "p": 36, "d": 40, "f": 28}
    assert all(bool(row["group"]) == (row["block"] != "f") for row in table)


def test_climate_has_every_year_and_carbon_dioxide_since_1959() -> None:
    table = rows("plot")
    assert [int(row["year"]) for row in table] == list(range(1880, 2024))
    assert [row["year"] for row in table if row["co2_ppm"]] == [str(year) for year in range(1959, 2024)]


def test_iris_has_fishers_means() -> None:
    table = rows("svd")
    means = [round(sum(float(row[column]) for row in table) / 150, 4) for column in table[0]]
    assert means == [5.8433, 3.0573, 3.758, 1.1993]


def test_wines_are_of_three_cultivars() -> None:
    cultivars = [row["cultivar"] for row in rows("train_model")]
    assert [cultivars.count(name) for name in "ABC"] == [59, 71, 48]


def test_picture_is_a_jpeg() -> None:
    content = (FUNCTIONS / "image_resize" / "input.jpg").read_bytes()
    assert (content[:3], content[-2:]) == (b"\xff\xd8\xff", b"\xff\xd9")


def test_document_has_no_dtd() -> None:
    text = (FUNCTIONS / "xml_to_json" / "input.xml").read_text(encoding="utf-8")
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>')
    assert "<!DOCTYPE" not in text
    assert text.count("<body ") == text.count("</body>") == 9
