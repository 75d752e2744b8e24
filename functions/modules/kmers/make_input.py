"""Write a made-up piece of DNA: two sequences with repeats, a gap, and the uneven letters that real ones have.

    python functions/modules/kmers/make_input.py functions/modules/kmers/input.fasta

The letters come from a linear congruential generator (Numerical Recipes), so that any Python writes the same file. CC0.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

LETTERS = "AAACCGGTTT"
REPEAT = "TTAGGG"


def numbers(state: int) -> Iterator[int]:
    """Yield numbers of 16 bits."""
    while True:
        state = (1664525 * state + 1013904223) % (1 << 32)
        yield state >> 16


def sequence(seed: int, length: int) -> str:
    """Return letters of which some are a repeat, as at the end of a chromosome."""
    drawn, parts = numbers(seed), [REPEAT * 40]
    while sum(map(len, parts)) < length:
        number = next(drawn)
        parts.append(REPEAT * (number % 5) if number % 97 == 0 else LETTERS[number % len(LETTERS)])
    return "".join(parts)[:length]


if __name__ == "__main__":
    with Path(sys.argv[1]).open("w", encoding="ascii", newline="\n") as file:
        for number, gap in ((1, 700), (2, 1200)):
            letters = sequence(number, 6000)
            letters = letters[:gap] + "N" * 50 + letters[gap:]
            file.write(f">sequence {number}, made up\n")
            file.writelines(f"{letters[at : at + 70]}\n" for at in range(0, len(letters), 70))
