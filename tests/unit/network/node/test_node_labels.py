"""Labels of nodes and selectors of jobs, as they are written."""

import pytest

from network.node.node_labels import (
    MAX_ENCODED_BYTES,
    MAX_LABELS,
    encoded_size,
    labels_problem,
    matches,
    parse_labels,
    parse_selector,
)
from storage.errors import UserError

FULL_LABELS = {f"label-{number}": "v" * 63 for number in range(5)} | {"y": "v" * 60, "z": "v" * 15}
"""As long as all labels together may be."""


def test_labels_are_read_by_name():
    texts = ["zone=eu", "example.org/gpu=none", "A_b-c=x=y", "empty="]
    assert list(parse_labels(texts, where="--label").items()) == [
        ("A_b-c", "x=y"), ("empty", ""), ("example.org/gpu", "none"), ("zone", "eu"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["zone"], "'zone' is not of the form K=V; write --label zone=eu"),
        (["=eu"], "has a name that is not 1 to 63 of"),
        (["zo ne=eu"], "has a name that is not 1 to 63 of"),
        (["zöne=eu"], "has a name that is not 1 to 63 of"),
        ([f"{'n' * 64}=eu"], "has a name that is not 1 to 63 of"),
        ([f"zone={'v' * 64}"], "has a value that is not up to 63 bytes"),
        ([f"zone={'é' * 32}"], "has a value that is not up to 63 bytes"),
        (["zone=e\nu"], "has a value that is not up to 63 bytes"),
        (["zone=\udc80"], "has a value that is not up to 63 bytes"),
        (["zone=eu,us"], "without commas"),
        (["zone=eu", "zone=eu"], "label 'zone' is given twice"),
        ([f"l{number}=" for number in range(MAX_LABELS + 1)], "has more than 32 labels"),
        ([f"l{number}={'v' * 63}" for number in range(10)], f"takes 681 bytes, {MAX_ENCODED_BYTES} at most"),
    ],
)
def test_what_is_no_label(texts, problem):
    with pytest.raises(UserError, match="--label: ") as raised:
        parse_labels(texts, where="--label")
    assert problem in str(raised.value)


def test_the_longest_labels():
    assert parse_labels([f"{'n' * 63}={'v' * 63}"], where="--label") == {"n" * 63: "v" * 63}
    assert parse_labels([f"z={'é' * 31}"], where="--label") == {"z": "é" * 31}
    assert len(parse_labels([f"l{number}=" for number in range(MAX_LABELS)], where="--label")) == MAX_LABELS


def test_labels_have_room_to_the_last_byte():
    assert encoded_size(FULL_LABELS) == MAX_ENCODED_BYTES
    assert labels_problem(FULL_LABELS) == ""
    assert "takes 449 bytes, 448 at most" in labels_problem(FULL_LABELS | {"z": FULL_LABELS["z"] + "v"})


@pytest.mark.parametrize("labels", [{1: "x"}, {"x": 1}, {"x": None}, {"x": b"x"}, {"x": ["x"]}])
def test_labels_are_texts(labels):
    assert labels_problem(labels) != ""


def test_a_selector_asks_for_all_its_labels():
    selector = parse_selector(["zone=eu,gpu=none", "zone=eu"], where="--selector")
    assert selector == (("gpu", "none"), ("zone", "eu"))
    assert matches(selector, {"zone": "eu", "gpu": "none", "more": "x"})
    assert not matches(selector, {"zone": "eu"})
    assert not matches(selector, {"zone": "eu", "gpu": ""})
    assert not matches(selector, {})
    assert matches((), {})
    assert not matches((("gpu", ""),), {})


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ([""], "is not of the form K=V"),
        (["zone=eu,"], "is not of the form K=V"),
        (["zone!=eu"], "has a name that is not"),
        (["zone=eu,zone=us"], "label 'zone' cannot have two values"),
        ([f"l{number}=" for number in range(MAX_LABELS + 1)], "has more than 32 labels, and so has no node"),
    ],
)
def test_what_is_no_selector(texts, problem):
    with pytest.raises(UserError, match="--selector: ") as raised:
        parse_selector(texts, where="--selector")
    assert problem in str(raised.value)
