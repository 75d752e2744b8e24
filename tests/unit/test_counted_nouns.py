"""A number before what it counts is written by `counted`: "1 nodes" is nowhere, in whatever is printed."""

import ast
import re
from pathlib import Path

import pytest

from storage.counting import agrees, counted

ROOT = Path(__file__).parents[2]
HOUSES = ("bacalhau", "network", "runtime", "verifier", "storage")
NOUNS = {
    *("ancestors", "answers", "blocks", "boxes", "bids", "cells", "checks", "checkpoints", "commitments", "contents"),
    *("differences", "disputes", "dissents", "elements", "entries", "events", "executions", "files", "generations"),
    *("images", "inputs", "interpreters", "jobs", "leaves", "lines", "links", "logs", "merges", "messages", "modules"),
    *("nodes", "ones", "opcodes", "outputs", "packages", "pages", "parents", "passes", "peers", "preferences"),
    *("publishers", "receipts", "records", "rivals", "roots", "rounds", "rows", "rules", "runs", "sessions", "shards"),
    *("signatures", "steps", "tasks", "times", "verdicts", "volumes", "wheels", "words", "workers"),
}
CONSTANT = re.compile(r"[A-Z_][A-Z0-9_.]*(\[.*\])?")
"""What does not vary is not 1."""
LISTS = {"sizes", "passes", "_outputs(repeated)", "most", "most + 1", "trust['words']", "one.engine", "mounts", "few"}
"""More than 1 where they are written, several numbers, or no number."""


def numbers_before_nouns(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            for value, text in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                    words = re.match(r" ([a-z]+)(?: ([a-z]+))?", text.value)
                    said = ast.unparse(value.value)
                    is_verb = said.startswith("agrees(")
                    is_bound = is_verb or CONSTANT.fullmatch(said) or said in LISTS or "limit" in said
                    if words and NOUNS & set(words.groups()) and not is_bound and words[1] not in NO_NOUN_AFTER:
                        yield f"{node.lineno}: {{{said}}}{words[0]}"


NO_NOUN_AFTER = {"and", "of", "for", "that", "is", "has", "to", "in", "or", "as", "under", "runs", "names", "answers"}


@pytest.mark.parametrize("house", HOUSES)
def test_numbers_go_with_what_they_count(house):
    found = [
        f"{path.relative_to(ROOT)}:{where}"
        for path in sorted((ROOT / house).rglob("*.py"))
        if "guest" not in str(path)  # runs inside, where there is no storage
        for where in numbers_before_nouns(path.read_text("utf-8"))
    ]
    assert not found, "\n".join([*found, "write {counted(number, 'noun')}: storage/counting.py"])


def test_what_is_found():
    source = 'f"{len(found)} nodes", f"{n} new records", f"{MAX} nodes", f"{counted(n)} agree", f"{a} of {b} tasks"'
    assert list(numbers_before_nouns(source)) == ["1: {len(found)} nodes", "1: {n} new records", "1: {b} tasks"]


def test_one_and_many():
    assert [counted(n, "entry", "entries") for n in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]
    assert [agrees(n, "has", "have") for n in (0, 1, 2)] == ["have", "has", "have"]
