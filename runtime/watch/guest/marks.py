"""Marks where a module takes the order of a set, or the date: what no function of the library can be asked about.

Only arguments and iterables are wrapped; lines and columns stay. Each mark is a call of a builtin name that
`marked.Marks` puts there.
"""

from __future__ import annotations

import ast
from typing import Final, TypeVar

_Node = TypeVar("_Node", bound=ast.AST)
EACH: Final = "__faas_each__"
GIVEN: Final = "__faas_given__"
POPPED: Final = "__faas_popped__"
NOW: Final = "__faas_now__"

_TAKERS: Final = frozenset({
    "list", "tuple", "enumerate", "iter", "sum", "map", "filter", "zip", "print", "str", "repr", "format", "deque",
    "chain", "islice", "array", "asarray", "fromiter",
})  # fmt: skip
_CHOOSERS: Final = frozenset({"sorted", "min", "max"})
"""With a key: elements whose keys are equal come in the order of the set."""
_TAKING_METHODS: Final = frozenset({
    "join", "extend", "writelines", "fromkeys", "format", "deque", "chain", "islice", "array", "asarray", "fromiter",
    "from_iterable", "write", "dumps", "dump",
})  # fmt: skip
_NOW: Final = frozenset({"now", "utcnow", "today"})


class Marker(ast.NodeTransformer):
    """Rewrites one module."""

    def __init__(self, path: str) -> None:
        """path: of the file, relative to the function's directory."""
        self._path = path

    def _call(self, name: str, node: ast.expr, line: int) -> ast.expr:
        parts = [node, ast.Constant(self._path), ast.Constant(line)]
        return ast.copy_location(ast.Call(func=ast.Name(name, ast.Load()), args=parts, keywords=[]), node)

    def _below(self, node: _Node) -> _Node:
        self.generic_visit(node)
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        """Mark what is iterated over."""
        self._below(node)
        node.iter = self._call(EACH, node.iter, node.iter.lineno)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """Mark what is iterated over."""
        self._below(node)
        if not node.is_async:
            node.iter = self._call(EACH, node.iter, node.iter.lineno)
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        """Mark what is shown."""
        self._below(node)
        node.value = self._call(GIVEN, node.value, node.value.lineno)
        return node

    def visit_Starred(self, node: ast.Starred) -> ast.AST:
        """Mark what is spread out."""
        self._below(node)
        if isinstance(node.ctx, ast.Load):
            node.value = self._call(GIVEN, node.value, node.value.lineno)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Mark arguments of what keeps an order, elements that are popped, and dates."""
        self._below(node)
        function = node.func
        has_key = any(word.arg == "key" for word in node.keywords)
        if isinstance(function, ast.Name) and (function.id in _TAKERS or (has_key and function.id in _CHOOSERS)):
            node.args = [self._given(arg) for arg in node.args]
        elif isinstance(function, ast.Attribute):
            if function.attr in _TAKING_METHODS:
                node.args = [self._given(arg) for arg in node.args]
            elif function.attr == "pop" and not node.args and not node.keywords:
                return ast.copy_location(self._call(POPPED, function.value, node.lineno), node)
            elif function.attr in _NOW:
                node.func = self._call(NOW, function, node.lineno)
        return node

    def _given(self, arg: ast.expr) -> ast.expr:
        is_plain = isinstance(arg, ast.Starred | ast.Constant)
        return arg if is_plain else self._call(GIVEN, arg, arg.lineno)


def marked_code(source: bytes, path: str, file_name: str) -> object:
    """Compile a module's source with marks. path: as in the ledger. file_name: as in tracebacks."""
    tree = Marker(path).visit(ast.parse(source, filename=file_name))
    return compile(ast.fix_missing_locations(tree), file_name, "exec", dont_inherit=True)
