"""A sharding pattern, cut into tokens; each knows where it stands, so that an error can name the place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from storage.errors import UserError

MAX_PATTERN_CHARACTERS: Final = 1024
"""Far above real ones; with it a name of a whole block (2 MiB) is still matched in seconds."""
FLAG: Final = "--sharding-glob-pattern"


class TokenKind(Enum):
    """What a token is."""

    CHARACTER = auto()
    """Stands for itself."""
    SET = auto()
    """One character of some: `[…]`, or `?` for any."""
    STAR = auto()
    SLASH = auto()
    OPEN = auto()
    COMMA = auto()
    """Only between braces; elsewhere a character."""
    CLOSE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token."""

    kind: TokenKind
    at: int
    """Index of its first character in the text."""
    text: str = ""
    """Of a character: itself. Of a set: a regular expression for one character."""


_SINGLE: Final = {"*": TokenKind.STAR, "/": TokenKind.SLASH, "{": TokenKind.OPEN, "}": TokenKind.CLOSE}


def tokenize(text: str) -> list[Token]:
    """Cut a pattern into tokens.

    Raises:
        UserError: empty, too long, not UTF-8, a NUL, a bad set, a bad escape.
    """
    _check_text(text)
    tokens: list[Token] = []
    at, depth = 0, 0
    while at < len(text):
        char, start = text[at], at
        if char == "[":
            expression, at = _set(text, at)
            tokens.append(Token(kind=TokenKind.SET, at=start, text=expression))
            continue
        if char == "\\":
            char, at = _escaped(text, at)
            tokens.append(Token(kind=TokenKind.CHARACTER, at=start, text=char))
            continue
        depth += {"{": 1, "}": -1}.get(char, 0)
        tokens.append(_single(char, start, in_braces=depth > 0))
        at += 1
    return tokens


def refused(text: str, at: int, problem: str, fix: str) -> UserError:
    """Return the error for what stands at an index of a pattern."""
    return UserError(problem, where=f"{FLAG} {text!r}, character {at + 1}", fix=fix)


def _check_text(text: str) -> None:
    if not text:
        raise UserError("is empty", where=FLAG, fix="write '/' for everything in one shard, '/*' for one per entry")
    if len(text) > MAX_PATTERN_CHARACTERS:
        problem = f"has {len(text)} characters, at most {MAX_PATTERN_CHARACTERS} are read"
        raise UserError(problem, where=FLAG, fix="use wildcards instead of writing names out")
    for at, char in enumerate(text):
        if char == "\0" or "\ud800" <= char <= "\udfff":
            raise refused(text, at, "has a character that no name can hold", "leave it out")


def _single(char: str, at: int, *, in_braces: bool) -> Token:
    if char == "?":
        return Token(kind=TokenKind.SET, at=at, text=".")
    if char == "," and in_braces:
        return Token(kind=TokenKind.COMMA, at=at)
    kind = _SINGLE.get(char, TokenKind.CHARACTER)
    return Token(kind=kind, at=at, text=char if kind is TokenKind.CHARACTER else "")


def _escaped(text: str, at: int) -> tuple[str, int]:
    """Return the character after a backslash, and where the text goes on."""
    if at + 1 == len(text):
        raise refused(text, at, "ends in a backslash", "write '\\\\' for a backslash in a name")
    if text[at + 1] == "/":
        raise refused(text, at, "escapes '/'", "no name holds a slash: leave the backslash out")
    return text[at + 1], at + 2


def _set(text: str, start: int) -> tuple[str, int]:
    """Return a regular expression for the set that begins at an index, and where the text goes on."""
    at = start + 1
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    members = ""
    while text[at : at + 1] != "]":
        low, next_at = _member(text, at, start)
        high = low
        if text[next_at : next_at + 1] == "-" and text[next_at + 1 : next_at + 2] != "]":
            high, next_at = _member(text, next_at + 1, start)
        if high < low:
            raise refused(text, at, f"has a range that ends before it begins: {low}-{high}", "turn it round")
        members += re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}"
        at = next_at
    if not members:
        raise refused(text, start, "has a set of no characters", "name some, or write '\\[' for a bracket in a name")
    return f"[{'^' if negated else ''}{members}]", at + 1


def _member(text: str, at: int, start: int) -> tuple[str, int]:
    if at >= len(text):
        raise refused(text, start, "has a '[' without its ']'", "close it, or write '\\[' for a bracket in a name")
    if text[at] == "\\":
        return _escaped(text, at)
    if text[at] in "[/":
        fix = "no name holds a slash" if text[at] == "/" else "write '\\[' for a bracket"
        raise refused(text, at, f"has {text[at]!r} in a set", fix)
    return text[at], at + 1
