"""Count the words of all texts in a directory."""

import re
import unicodedata
from collections import Counter
from pathlib import Path

WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


def main(data):
    """Count how often each word occurs in all files together, without regard to case.

    data: a directory of UTF-8 texts, read at /inputs.

    Returns {"files": how many, "counts": {word: n}}.
    Raises ValueError when a file is not UTF-8.
    """
    counts, files = Counter(), 0
    for path in sorted(Path("/inputs").rglob("*")):
        if path.is_file():
            counts.update(words(path))
            files += 1
    return {"files": files, "counts": dict(counts)}


def words(path):
    """Return the words of a text, case-folded."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.relative_to('/inputs')} is not UTF-8 text: byte {error.start}") from None
    return [word.replace("\u2019", "'") for word in WORD.findall(unicodedata.normalize("NFC", text).casefold())]
