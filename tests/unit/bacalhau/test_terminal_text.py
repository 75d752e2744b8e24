import pytest
from hypothesis import given
from hypothesis import strategies as st

from bacalhau.terminal_text import clean, one_line, visible


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain\ttext\nüñ 漢 🎉", "plain\ttext\nüñ 漢 🎉"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred\x9d0;t\x9cx", "redx"),
        ("\x1bc\x1b(Breset", "reset"),
        ("\x1bPq#0\x1b\\image", "image"),
        ("unended \x1b]0;text", "unended 0;text"),
        ("unended \x1b[", "unended "),
        ("a\rb\r\nc", "a\nb\nc"),
        ("bell\x07 back\x08 null\x00 del\x7f", "bell back null del"),
        ("\u202eturned\u2066", "turned"),
        ("\ud800lone", "lone"),
    ],
)
def test_clean(text, cleaned):
    assert clean(text) == cleaned


@given(st.text())
def test_nothing_that_controls_a_terminal_stays(text):
    left = clean(text)
    assert all(ord(character) >= 32 or character in "\n\t" for character in left)
    assert not any(0x7F <= ord(character) < 0xA0 for character in left)
    assert clean(left) == left


def test_a_hostile_text_takes_no_time():
    assert clean("\x1b]" * 200_000) == ""
    assert len(clean("\x1b[" + ";" * 200_000)) == 200_000
    assert len(clean("\x1b]" + "x" * 200_000)) == 200_000


def test_one_line():
    assert one_line("a\n  b\x1b[31m\tc\r\n") == "a b c"


@given(st.text(), st.text())
def test_two_names_never_look_the_same(one, other):
    assert visible(one).isprintable()
    if one != other and "\\" not in one + other:
        assert visible(one) != visible(other)
