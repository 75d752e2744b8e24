"""What a node says of a container that it ran: its word, and nothing that could be taken for evidence.

It has no commitment, no state digest and no signature: the connection vouches for who said it, and nobody can show it
to a third party (docs/decisions/0069). It is no message and no block by itself, but a part of several.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

from verifier.bounds import ExitCode, Link, Peer, Word
from verifier.model import EngineInfo, ModelError, PeerId
from verifier.schema import Schema

MAX_TEXT_BYTES: Final = 8 << 10
"""Of each stream of a run that gave no output."""
MAX_TEXTS: Final = 16
"""Statements of one task of which these texts are kept: all of a thousand would be longer than an entry may be."""


def _text_problem(text: str) -> str:
    if re.search("[\ud800-\udfff]", text):
        return "has a lone surrogate"
    return "" if len(text.encode()) <= MAX_TEXT_BYTES else f"is longer than {MAX_TEXT_BYTES} bytes"


Text = Annotated[str, _text_problem]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Schema):
    """One run: an output with its exit code, or the reason why there is none. Never both."""

    output: Link | None
    exit_code: ExitCode | None
    engine: EngineInfo | None
    was_out_of_memory: bool
    reason: Word | None
    """Why it gave no output: it was ended, or wrote what no output can hold."""
    stdout: Text
    """What it wrote until then, the beginning; empty with an output, which has all of it. So `stderr`."""
    stderr: Text

    def __post_init__(self) -> None:
        """Check the fields, and that they go together.

        Raises:
            ModelError: they do not.
        """
        Schema.__post_init__(self)
        has_output = [self.output is not None, self.exit_code is not None, self.engine is not None, not self.reason]
        if len(set(has_output)) > 1:
            raise ModelError("must be there with exit code and engine, or else a reason", field="output")
        if self.output is not None and (self.stdout or self.stderr):
            raise ModelError("must be empty beside an output", field="stdout")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatement(Schema):
    """A statement, and who made it."""

    node: Peer
    statement: Statement


def text_of(head: bytes) -> str:
    """Return the beginning of what a program wrote as a text that a statement can hold."""
    text = head[:MAX_TEXT_BYTES].decode("utf-8", "replace")
    return text.encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore")  # what replaces a byte takes three


def without_texts(statement: Statement) -> Statement:
    """Return a statement without what its program wrote."""
    return Statement.from_node({**statement.to_node(), "stdout": "", "stderr": ""})


def with_few_texts(statements: Iterable[tuple[PeerId, Statement]]) -> tuple[NodeStatement, ...]:
    """Return statements by node; of the first MAX_TEXTS that gave no output, also what they wrote."""
    left, kept = MAX_TEXTS, []
    for node, said in sorted(statements, key=lambda one: one[0].encode()):
        left -= said.output is None
        kept.append(NodeStatement(node=node, statement=said if left >= 0 else without_texts(said)))
    return tuple(kept)
