"""Braces in a sharding pattern, written out: '/{a,b}/*' is '/a/*' and '/b/*'. Counted before, so nothing explodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, product
from math import prod
from typing import Final, TypeAlias, Union

from runtime.shard_tokens import Token, TokenKind, refused

MAX_ALTERNATIVES: Final = 256
"""Patterns that one with braces may stand for; each name may be compared with every one."""
MAX_NESTING: Final = 16
"""Braces inside one another; keeps the recursion bounded."""

_Choice: TypeAlias = list["_Sequence"]
_Sequence: TypeAlias = list[Union[Token, "_Choice"]]


def expand(text: str, tokens: Sequence[Token]) -> Iterator[tuple[Token, ...]]:
    """Return the patterns that one with braces stands for, in the order in which they are written.

    text: where the tokens come from, for errors.

    Raises:
        UserError: a brace without its other, one without a comma, too many or too deep ones.
    """
    sequence, end = _sequence(text, tokens, 0, 0)
    if end < len(tokens):
        raise refused(text, tokens[end].at, "has a '}' without its '{'", "write '\\}' for a brace in a name")
    count = _count(sequence)
    if count > MAX_ALTERNATIVES:
        problem = f"stands for more than {MAX_ALTERNATIVES} patterns"
        raise refused(text, next(t.at for t in tokens if t.kind is TokenKind.OPEN), problem, "use fewer alternatives")
    return _written_out(sequence)


def _sequence(text: str, tokens: Sequence[Token], at: int, depth: int) -> tuple[_Sequence, int]:
    """Read up to the end, or to the ',' or '}' that ends this part; return where that is."""
    found: _Sequence = []
    while at < len(tokens) and tokens[at].kind not in (TokenKind.COMMA, TokenKind.CLOSE):
        if tokens[at].kind is TokenKind.OPEN:
            choice, at = _choice(text, tokens, at, depth + 1)
            found.append(choice)
        else:
            found.append(tokens[at])
            at += 1
    return found, at


def _choice(text: str, tokens: Sequence[Token], start: int, depth: int) -> tuple[_Choice, int]:
    opened = tokens[start].at
    if depth > MAX_NESTING:
        raise refused(text, opened, f"has more than {MAX_NESTING} braces inside one another", "write them side by side")
    choice: _Choice = []
    at = start
    while at < len(tokens) and tokens[at].kind is not TokenKind.CLOSE:
        sequence, at = _sequence(text, tokens, at + 1, depth)
        choice.append(sequence)
    if at >= len(tokens):
        raise refused(text, opened, "has a '{' without its '}'", "close it, or write '\\{' for a brace in a name")
    if len(choice) == 1:
        fix = "put a ',' between alternatives, or write '\\{' for a brace in a name"
        raise refused(text, opened, "has braces around one alternative", fix)
    return choice, at + 1


def _count(sequence: _Sequence) -> int:
    return prod(sum(map(_count, item)) for item in sequence if not isinstance(item, Token))


def _written_out(sequence: _Sequence) -> Iterator[tuple[Token, ...]]:
    parts = [
        [(item,)] if isinstance(item, Token) else [way for inner in item for way in _written_out(inner)]
        for item in sequence
    ]
    return (tuple(chain.from_iterable(way)) for way in product(*parts))
