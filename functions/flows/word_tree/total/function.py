"""Add up counts of words, and report on a sum."""

import json
from collections import Counter
from pathlib import Path


def main(data):
    """Add up counts, which may be sums themselves.

    data: a directory of JSON objects {"files", "counts"}, read at /inputs.

    Returns the same of all of them.
    """
    counts, files = Counter(), 0
    for path in sorted(Path("/inputs").rglob("result")):
        part = json.loads(path.read_bytes())
        counts.update(part["counts"])
        files += part["files"]
    return {"files": files, "counts": dict(counts)}


def report(data, top=10):
    """Say what a sum amounts to.

    data: a JSON object {"files", "counts"}.
    top: how many of the most frequent words to list, an integer of at least 0.

    Returns {"files", "words", "distinct", "top": [[word, n], ...]}, equally frequent words in the order of their code
    points.
    Raises ValueError when `top` is not such an integer.
    """
    if not isinstance(top, int) or isinstance(top, bool) or top < 0:
        raise ValueError(f"top must be an integer of at least 0, not {top!r}")
    part = json.loads(data.read())
    counts = part["counts"]
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        "files": part["files"],
        "words": sum(counts.values()),
        "distinct": len(counts),
        "top": [[word, count] for word, count in ranked[:top]],
    }
