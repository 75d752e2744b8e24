r"""The text of `--sharding-glob-pattern`, parsed: which entries of an input become shards (docs/sharding.md).

    pattern  = ("/" segment)* ["/"]          "/" alone: everything, as one; a "/" at the end: directories only
    segment  = "**" | part+                  "**": any number of directories, also none
    part     = "*" | "?" | set | brace | "\" character | character
    set      = "[" ["!" | "^"] (character ["-" character])+ "]"
    brace    = "{" text ("," text)+ "}"      written out before anything else, so a text may hold "/"

"*" is any run of characters within one name, also none; "?" is one character. Characters are Unicode code points, told
apart by case and normal form. A dot at the start of a name is like any other. Nothing here knows of files: matching
is `shard_match`, walking is `shards`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final, TypeAlias

from runtime.shard_braces import expand
from runtime.shard_tokens import FLAG, Token, TokenKind, refused, tokenize
from storage.errors import UserError
from storage.unixfs_names import MAX_DEPTH


class AnyDepth(Enum):
    """The segment `**`."""

    ANY_DEPTH = "**"


ANY_DEPTH: Final = AnyDepth.ANY_DEPTH

Segment: TypeAlias = str | re.Pattern[str] | AnyDepth
"""One name exactly, a pattern that a whole name has to match, or `**`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One way to match, without braces."""

    segments: tuple[Segment, ...]
    """None of them: the base directory itself. `**` is never last and never twice in a row."""
    picks_files: bool
    """Files and symlinks: all that is no directory."""
    picks_directories: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPattern:
    """A parsed pattern."""

    text: str
    """As typed."""
    alternatives: tuple[Alternative, ...]
    """At least one, in the order of the braces, none twice."""


def parse_pattern(text: str) -> ShardPattern:
    """Parse the text of a pattern.

    Raises:
        UserError: it is no pattern; tells what is wrong, and at which character (counted from 1).
    """
    alternatives = dict.fromkeys(_alternative(text, tokens) for tokens in expand(text, tokenize(text)))
    return ShardPattern(text=text, alternatives=tuple(alternatives))


def _alternative(text: str, tokens: Sequence[Token]) -> Alternative:
    if not tokens:
        raise UserError("is empty after its braces", where=f"{FLAG} {text!r}", fix="begin every alternative with '/'")
    if tokens[0].kind is not TokenKind.SLASH:
        fix = "write it from the base path on, like '/*.csv'"
        raise refused(text, tokens[0].at, "does not begin with '/'", fix)
    parts = list(_split(tokens[1:]))
    only_directories = len(parts) > 1 and not parts[-1]
    if not parts[-1]:  # of "/" and of what ends in "/"
        parts.pop()
    if len(parts) > MAX_DEPTH:
        problem = f"is more than {MAX_DEPTH} names deep"
        raise refused(text, tokens[-1].at, problem, "no directory is: shorten it")
    segments = _normal([_segment(text, part, tokens) for part in parts])
    # With `**` every directory on the way matches, and so would take all that is below it: files are what is meant.
    deep = ANY_DEPTH in segments and not only_directories
    return Alternative(segments=segments, picks_files=not only_directories, picks_directories=not deep)


def _split(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    part: list[Token] = []
    for token in tokens:
        if token.kind is TokenKind.SLASH:
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _normal(segments: list[Segment]) -> tuple[Segment, ...]:
    """Return segments that match the same: one `**` for several, and `**` at the end is `**/*`."""
    pairs = zip([None, *segments], segments, strict=False)
    once = [segment for before, segment in pairs if not (segment is ANY_DEPTH and before is ANY_DEPTH)]
    return (*once, re.compile("(?s:.*)")) if once and once[-1] is ANY_DEPTH else tuple(once)


def _segment(text: str, part: list[Token], tokens: Sequence[Token]) -> Segment:
    if not part:
        at = next(b.at for a, b in pairwise(tokens) if a.kind is b.kind is TokenKind.SLASH)
        raise refused(text, at, "has an empty name between two slashes", "leave one of them out")
    stars = [token.kind is TokenKind.STAR for token in part]
    if stars == [True, True]:
        return ANY_DEPTH
    doubled = next((index for index in range(1, len(part)) if stars[index - 1] and stars[index]), None)
    if doubled is not None:
        fix = "'**' stands alone between slashes; within a name write '*'"
        raise refused(text, part[doubled].at, "has '**' beside something else", fix)
    if all(token.kind is TokenKind.CHARACTER for token in part):
        return _literal(text, part)
    return re.compile(_regex(part))


def _literal(text: str, part: list[Token]) -> str:
    name = "".join(token.text for token in part)
    if name in (".", ".."):
        raise refused(text, part[0].at, f"names {name!r}", "no directory holds it: write the path without it")
    return name


def _regex(part: list[Token]) -> str:
    """Return the expression for a name with wildcards.

    What follows a star is looked for once, at the first place where it fits, and never again (an atomic group): that
    place is as good as any later one, so matching takes at most length of name times length of pattern steps.
    """
    chunks = [""]
    for token in part:
        if token.kind is TokenKind.STAR:
            chunks.append("")
        else:
            chunks[-1] += token.text if token.kind is TokenKind.SET else re.escape(token.text)
    if len(chunks) == 1:
        return f"(?s:{chunks[0]})"
    middle = "".join(f"(?>.*?{chunk})" for chunk in chunks[1:-1])
    return f"(?s:{chunks[0]}{middle}.*{chunks[-1]})"
