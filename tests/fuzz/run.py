"""Fuzz one target with atheris: `python -m tests.fuzz.run TARGET SECONDS`. Exits with an error at the first finding.

An input that breaks a promise is written to `crash-…` in the present folder; `python -m tests.fuzz.run TARGET FILE`
tries it again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found, unused-ignore]

with atheris.instrument_imports(include=["storage", "libipld"]):
    from tests.fuzz.targets import EXAMPLES, TARGETS

RSS_MB = 2048
"""Of the whole process; decoding 64 KiB must not come near it."""


def main(name: str, limit: str) -> None:
    """Fuzz for some seconds, or try one file again."""
    if not limit.isdecimal():
        TARGETS[name](Path(limit).read_bytes())
        return
    with tempfile.TemporaryDirectory() as corpus:
        for number, example in enumerate(EXAMPLES):
            Path(corpus, str(number)).write_bytes(example)
        flags = [f"-max_total_time={limit}", f"-rss_limit_mb={RSS_MB}", "-max_len=65536", "-timeout=20", "-verbosity=0"]
        atheris.Setup([sys.argv[0], corpus, "-print_final_stats=1", *flags], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
