"""Everything by which a run could differ from another, in four groups: what may change with the seed, with the epoch,
with neither, and addresses, which are the same for the same task and no more.
"""

import sys

import basics  # noqa: F401  first: it looks at the memory
import probing


def main(data, packages=False):
    for name in ("clocks", "failures", "files", "libraries", "numbers_and_text", "system"):
        __import__(name)
    if packages:
        __import__("numpy_and_pandas")
    print("printed")
    print("complained", file=sys.stderr)
    return {
        "seeded": probing.SEEDED,
        "timed": probing.TIMED,
        "fixed": probing.FIXED,
        "addressed": probing.ADDRESSED,
    }
