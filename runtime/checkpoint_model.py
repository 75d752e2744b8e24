"""What decides the state of a run between two steps: names and comparisons of checkpoints. Pure.

A function that runs in steps (docs/functions.md) can be gone on with after one of them, where everything that its state
there depends on is the same: runtime, packages, image and input, and what it has read of its own directory until then
(js_host/source_trace.mjs). The rest of the directory, such as later cells of a notebook, may be another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from runtime.engine import Plan
from runtime.source_files import Entry
from storage import dag_cbor
from storage.cid import CID
from storage.counting import counted
from storage.errors import VerificationError
from verifier.model import Input

Question = tuple[str, str]
"""`lookup`, `size`, `list` or `read`, and a path in the function's directory; one that is listed ends in `/`."""

MOST_QUESTIONS: Final = 5_000
MOST_STEPS: Final = 1_000_000
_KINDS: Final = frozenset({"lookup", "size", "list", "read"})
_CELL: Final = re.compile(r"_cells/[1-9]\d*\.json")
_VERSION: Final = "checkpoint-key/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A checkpoint as the worker announces it."""

    steps: int
    questions: tuple[Question, ...]
    state_bytes: int
    data_bytes: int


def may_resume(input_: Input) -> bool:
    """Tell whether runs with an input can have checkpoints.

    Without a seed of its own a run's randomness comes of its whole task, so that no other function can come to the same
    state.
    """
    return input_.seed is not None


def key_name(plan: Plan, image: CID) -> str | None:
    """Return the name of all that a run's checkpoints have in common, hex; None if there can be none.

    image: what the worker starts from.
    """
    if not plan.checkpoints_of or not may_resume(plan.input):
        return None
    function = plan.python
    parts = [
        _VERSION, plan.checkpoints_of, plan.submitter, function.runtime, function.lock, function.entry, plan.input_cid,
        image,
    ]  # fmt: skip
    return hashlib.sha256(dag_cbor.encode(parts)).hexdigest()


def answers_of(entries: Sequence[Entry], questions: Sequence[Question]) -> str:
    """Return a hash of what a function's directory answers to questions, hex.

    entries: all of the directory.
    """
    found = {path: (kind, content) for path, kind, content in entries}
    said = [[kind, path, _answer(found, kind, path)] for kind, path in questions]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def read_taken(header: dict[str, Any], most_bytes: int) -> Taken:
    """Check what a worker says of a checkpoint.

    Raises:
        VerificationError: it is malformed, or larger than it may be.
    """
    steps = header.get("steps")
    if type(steps) is not int or not 0 < steps <= MOST_STEPS:
        raise VerificationError("the worker counted its steps wrongly")
    state_bytes, data_bytes = _size(header.get("state_bytes")), _size(header.get("data_bytes"))
    if state_bytes + data_bytes > most_bytes:
        raise VerificationError("the worker sent a checkpoint that is larger than it may be")
    questions = read_questions(header.get("questions"))
    return Taken(steps=steps, questions=questions, state_bytes=state_bytes, data_bytes=data_bytes)


def read_questions(value: object) -> tuple[Question, ...]:
    """Check a list of questions, and return it in one order: a run that has gone on has asked them in another.

    Raises:
        VerificationError: it is malformed.
    """
    if not isinstance(value, list) or len(value) > MOST_QUESTIONS:
        raise VerificationError("a checkpoint has no list of questions")
    for one in value:
        if not isinstance(one, list) or len(one) != 2 or one[0] not in _KINDS or not isinstance(one[1], str):
            raise VerificationError("a checkpoint has a question that is none")
    return tuple(sorted((kind, path) for kind, path in value))


def going_on(entries: Sequence[Entry], steps: int) -> str:
    """Return what to tell a person about a run that goes on after so many steps."""
    cells = sum(1 for path, _, _ in entries if _CELL.fullmatch(path))
    if not cells:
        return f"{counted(steps, 'step')} unchanged, going on from there"
    done = min(steps, cells)
    which = "cell 1" if done == 1 else f"cells 1 to {done}"
    return f"notebook: {which} of {cells} unchanged, going on from there"


def _size(value: object) -> int:
    if type(value) is not int or value < 0:
        raise VerificationError("the worker sent a checkpoint of an impossible size")
    return value


def _answer(found: dict[str, tuple[str, str]], kind: str, path: str) -> object:
    if kind == "list":
        names = {name[len(path) :].partition("/")[0] for name in found if name.startswith(path)}
        return sorted(names, key=str.encode)
    entry = found.get(path.removesuffix("/"))
    if entry is None:
        return None
    kind_found, content = entry
    if kind == "read":
        return hashlib.sha256(content.encode()).hexdigest()
    if kind == "size":
        return len(content) // 2 if kind_found == "file" else len(content.encode())
    return [kind_found, content if kind_found == "symlink" else ""]
