"""word_count needs no packages, so it is also tested in plain CPython."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FUNCTION = Path(__file__).parents[3] / "functions" / "word_count"


@pytest.fixture(scope="module")
def word_count() -> ModuleType:
    spec = importlib.util.spec_from_file_location("word_count_function", FUNCTION / "function.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def count(module: ModuleType, text: str, **arguments: Any) -> dict[str, Any]:
    result: dict[str, Any] = module.main(io.BytesIO(text.encode()), **arguments)
    return result


def test_gettysburg_address_has_the_known_count(word_count: ModuleType) -> None:
    text = (FUNCTION / "input.txt").read_text(encoding="utf-8")
    address = text[text.index("Four score") : text.index("Erlkönig")]
    result = count(word_count, address, top=3)
    assert result["words"] == 272
    assert result["top"] == [["that", 13], ["the", 11], ["we", 10]]
    assert sum(result["counts"].values()) == 272
    assert len(result["counts"]) == result["distinct"]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", {}),
        ("--- ' \u2019 _", {}),
        ("\ufeffone One ONE", {"one": 3}),
        ("Straße STRASSE", {"strasse": 2}),
        ("été e\u0301te\u0301 ÉTÉ", {"été": 3}),
        ("हिन्दी", {"हिन्दी": 1}),
        ("don't don\u2019t 'don't'", {"don't": 3}),
        ("l'aube, vois-tu 1856", {"l'aube": 1, "vois": 1, "tu": 1, "1856": 1}),
    ],
)
def test_words(word_count: ModuleType, text: str, counts: dict[str, int]) -> None:
    assert count(word_count, text)["counts"] == counts


def test_equally_frequent_words_are_in_the_order_of_their_code_points(word_count: ModuleType) -> None:
    assert count(word_count, "ß b é a b", top=9)["top"] == [["b", 2], ["a", 1], ["ss", 1], ["é", 1]]


@pytest.mark.parametrize("top", [-1, 1.0, True, "3", None])
def test_bad_top_is_refused(word_count: ModuleType, top: Any) -> None:
    with pytest.raises(ValueError, match="top must be an integer of at least 0"):
        count(word_count, "a", top=top)


def test_other_encodings_are_refused_with_the_place(word_count: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"not UTF-8 text: .* at byte 2"):
        word_count.main(io.BytesIO(b"ab\xff"))
