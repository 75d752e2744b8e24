"""One parsed file of a function: its tree, its names, and where in the text a node stands."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runtime.lint.finding import Place
from runtime.lint.names import Names

_ALLOW: Final = re.compile(r"#\s*bacalhau:\s*allow\s+([a-z0-9-]+(?:[\s,]+[a-z0-9-]+)*)")
_MOST_SUBJECT: Final = 60
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Unparsed:
    """Why a file could not be read as Python by the host's grammar."""

    line: int
    column: int
    message: str


class Reading:
    """A file that parses."""

    def __init__(self, path: str, text: str, tree: ast.Module) -> None:
        self.path = path
        self.tree = tree
        self.names = Names(tree)
        self._lines = text.splitlines(keepends=True)
        self._allowed = _allowed(text)
        self._dead = {id(node) for block in _never_run(tree) for statement in block for node in ast.walk(statement)}
        self._guarded = {
            id(node)
            for attempt in ast.walk(tree)
            if isinstance(attempt, ast.Try) and attempt.handlers
            for statement in attempt.body
            for node in ast.walk(statement)
        }

    def walk(self) -> Iterator[ast.AST]:
        """Yield the nodes that can run: not those below `if __name__ == "__main__"` or `if TYPE_CHECKING`."""
        return (node for node in ast.walk(self.tree) if id(node) not in self._dead)

    def is_guarded(self, node: ast.AST) -> bool:
        """Tell whether an exception at this node is handled in the same function."""
        return id(node) in self._guarded

    def is_allowed(self, line: int, names: tuple[str, str]) -> bool:
        """Tell whether the line says that a rule (its id, its name) may be broken there."""
        return not self._allowed.get(line, frozenset()).isdisjoint(names)

    def place(self, node: ast.expr | ast.stmt | ast.alias | ast.ExceptHandler | ast.arg) -> Place:
        """Return where a node stands."""
        end_line, end = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        if isinstance(node, ast.stmt) and end_line != node.lineno:  # a whole definition: its first line says it
            end_line, end = node.lineno, len(self._line(node.lineno).rstrip().encode())
        return Place(
            path=self.path,
            line=node.lineno,
            column=self._column(node.lineno, node.col_offset),
            end_line=end_line,
            end_column=self._column(end_line, end),
        )

    def text(self, node: ast.expr) -> str:
        """Return an expression as one short line."""
        try:
            said = " ".join(ast.unparse(node).split())
        except RecursionError:  # a long chain of operators
            said = type(node).__name__
        return said if len(said) <= _MOST_SUBJECT else f"{said[: _MOST_SUBJECT - 1]}…"

    def _line(self, number: int) -> str:
        return self._lines[number - 1] if number <= len(self._lines) else ""

    def _column(self, line: int, offset: int) -> int:
        """Turn an offset in UTF-8 bytes into a column in code points, from 1."""
        return len(self._line(line).encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "replace")) + 1


def read(path: str, source: bytes) -> Reading | Unparsed:
    """Parse a file's bytes; never runs them."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(encoding)
        tree = ast.parse(source, filename=path)
        return Reading(path, text, tree)
    except SyntaxError as error:
        return Unparsed(error.lineno or 1, error.offset or 1, error.msg)
    except (ValueError, RecursionError, MemoryError, LookupError) as error:
        return Unparsed(1, 1, str(error) or type(error).__name__)


def _allowed(text: str) -> dict[int, frozenset[str]]:
    """Return the rules that comments allow, by line."""
    allowed: dict[int, frozenset[str]] = {}
    if "bacalhau:" not in text:
        return allowed
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and (match := _ALLOW.search(token.string)):
                allowed[token.start[0]] = frozenset(re.split(r"[\s,]+", match[1]))
    except (tokenize.TokenError, SyntaxError):
        return allowed
    return allowed


def _never_run(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Yield blocks that no task runs: a function's module is called `function`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.If):
            continue
        test = node.test
        is_typing = "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))
        if is_typing or (isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq) and _is_elsewhere(test)):
            yield node.body


def _is_elsewhere(test: ast.Compare) -> bool:
    """Tell whether a test for equality fails in the guest: `__name__` is `function`, the system is Emscripten."""
    wanted = test.comparators[0]
    value = wanted.value if isinstance(wanted, ast.Constant) else None
    here = {"__name__": "function", "sys.platform": "emscripten", "os.name": "posix"}.get(ast.unparse(test.left))
    return here is not None and value != here
