"""Text that others wrote, made fit for a terminal: nothing in it moves the cursor, sets a title or hides a line.

Escape sequences go as a whole, so that no `[31m` stays behind; other control characters, and those that turn the
writing direction (they can make text read as something it is not), go one by one. Source: ECMA-48, 5.4 and 5.6.
"""

from __future__ import annotations

import re
from typing import Final

_SEQUENCES: Final = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # strings: titles, links, images
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor, modes
    r"|\x1b[ -/]*[0-~]"  # the rest
)
_CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BREAKS: Final = re.compile(r"\r\n?")


def clean(text: str) -> str:
    """Return the text without escape sequences and controls; newlines and tabs stay, a bare return is a newline."""
    return _CONTROLS.sub("", _BREAKS.sub("\n", _SEQUENCES.sub("", text)))


def one_line(text: str) -> str:
    """Return the cleaned text on one line, whatever breaks it had."""
    return " ".join(clean(text).split())


def visible(name: str) -> str:
    r"""Return a name with what cannot be printed written out (`\x1b`, `\n`), so that two names never look the same."""
    return "".join(
        character if character.isprintable() and not _CONTROLS.match(character) else _escaped(character)
        for character in name
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
