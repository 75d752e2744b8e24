"""Count the words of a text in any script."""

import unicodedata
from collections import Counter
from itertools import groupby

TYPOGRAPHIC_APOSTROPHE = "\u2019"


def main(data, top=10):
    """Count how often each word occurs, without regard to case.

    data: UTF-8 text, with or without a byte order mark.
    top: how many of the most frequent words to list in order, an integer of at least 0.

    Returns {"words", "distinct", "counts": {word: n}, "top": [[word, n], ...]}; `top` puts the most frequent first and
    equally frequent ones in the order of their code points.
    Raises ValueError when the input is not UTF-8 or `top` is not such an integer.
    """
    if not isinstance(top, int) or isinstance(top, bool) or top < 0:
        raise ValueError(f"top must be an integer of at least 0, not {top!r}")
    try:
        text = data.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the input is not UTF-8 text: {error.reason} at byte {error.start}") from None
    counts = Counter(words(text))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        "words": counts.total(),
        "distinct": len(counts),
        "counts": dict(ranked),
        "top": [[word, count] for word, count in ranked[:top]],
    }


def words(text):
    """Yield the words of a text, case-folded: runs of letters, marks and digits, apostrophes inside them kept."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    for inside, run in groupby(folded, key=in_word):
        word = "".join(run).replace(TYPOGRAPHIC_APOSTROPHE, "'").strip("'")
        if inside and word:
            yield word


def in_word(character):
    """Tell whether a character can be part of a word (letter, combining mark, number or apostrophe)."""
    return character in ("'", TYPOGRAPHIC_APOSTROPHE) or unicodedata.category(character)[0] in "LMN"
