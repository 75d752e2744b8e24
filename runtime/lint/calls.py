"""Finds imports and calls that the runtime refuses, or pins to something that is not what their name says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from runtime.lint.finding import Finding, found
from runtime.lint.known_calls import ABSENT, BRIDGE, CALLS, NOW_WITHOUT
from runtime.lint.reading import Function, Reading
from runtime.lint.rules import RULES, Category, Level

_THREADS: Final = ("threading.Thread", "threading.Timer")
_PROCESSES: Final = ("multiprocessing.Process", "multiprocessing.process.BaseProcess")
_REPRS: Final = ("__repr__", "__str__", "__format__")


def call_findings(reading: Reading, local: frozenset[str]) -> Iterator[Finding]:
    """Yield the findings of one file. local: modules that the function's own directory provides."""
    calls = _Calls(reading)
    for node in reading.walk():
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from calls.imported(node, local)
        elif isinstance(node, ast.ClassDef):
            yield from calls.derived(node)
        elif isinstance(node, ast.Call):
            yield from calls.called(node)


class _Calls:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._names = reading.names

    def imported(self, node: ast.Import | ast.ImportFrom, local: frozenset[str]) -> Iterator[Finding]:
        if isinstance(node, ast.ImportFrom):
            modules = [] if node.level else [(node.module or "", node.names[0])]
        else:
            modules = [(alias.name, alias) for alias in node.names]
        for module, alias in modules:
            top = module.partition(".")[0]
            if top in local:
                continue
            if top in BRIDGE:
                yield self._finding("javascript", node, module)
            elif top in ABSENT or module in ("distutils", "multiprocessing.managers"):
                yield self._finding("absent-module", node if isinstance(node, ast.ImportFrom) else alias, module)

    def derived(self, node: ast.ClassDef) -> Iterator[Finding]:
        for base in node.bases:
            meaning = self._names.meaning(base)
            rule = "thread" if meaning in _THREADS else "process" if meaning in _PROCESSES else ""
            if rule:
                yield self._finding(rule, base, f"class {node.name}({meaning})")

    def called(self, node: ast.Call) -> Iterator[Finding]:
        meaning = self._names.meaning(node.func)
        rule = CALLS.get(meaning, "")
        if rule == "clock" and len(node.args) >= NOW_WITHOUT.get(meaning, 1 << 10):
            return
        if rule:
            yield self._finding(rule, node, meaning.removeprefix("builtins."))
        elif meaning == "threading.Timer":
            yield self._finding("thread", node, meaning)
        elif meaning in ("builtins.hash", "builtins.id"):
            yield from self._identity(node, meaning.removeprefix("builtins."))
        elif meaning.startswith("pandas.read_") and _begins(node, ("http://", "https://", "s3://", "ftp://")):
            yield self._finding("network-library", node, meaning)
        elif meaning in ("ctypes.CDLL", "ctypes.cdll.LoadLibrary") and _text_of(node.args[:1]):
            yield self._finding("native-library", node, f"{meaning}({_text_of(node.args[:1])!r})")
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "run_in_executor":
            if node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value is None:
                yield self._finding("thread", node, "run_in_executor")
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "strftime" and _is_local_form(node):
            yield self._finding("locale", node, "strftime")
        yield from self._keyed(node)

    def _keyed(self, node: ast.Call) -> Iterator[Finding]:
        """`sorted(things, key=id)`."""
        for word in node.keywords:
            meaning = self._names.meaning(word.value) if word.arg == "key" else ""
            if meaning in ("builtins.id", "builtins.hash"):
                rule = "object-id" if meaning == "builtins.id" else "hash-seed"
                yield self._finding(rule, word.value, f"key={meaning.removeprefix('builtins.')}")

    def _identity(self, node: ast.Call, name: str) -> Iterator[Finding]:
        owner = self._owner(node)
        if name == "hash":
            is_constant = (
                bool(node.args) and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, int)
            )
            if owner != "__hash__" and not is_constant and not isinstance(self._names.parents.get(node), ast.Compare):
                yield self._finding("hash-seed", node, self._reading.text(node))
        elif self._is_kept(node):
            level = Level.NOTE if owner in _REPRS else None
            yield self._finding("object-id", node, self._reading.text(node), level=level)

    def _owner(self, node: ast.AST) -> str:
        above: ast.AST | None = node
        while above is not None and not isinstance(above, Function):
            above = self._names.parents.get(above)
        return above.name if above is not None else ""

    def _is_kept(self, node: ast.expr) -> bool:
        """Tell whether an id() is used as a key, shown or returned; comparing and looking for cycles are fine."""
        parent = self._names.parents.get(node)
        while isinstance(parent, ast.Tuple):
            node, parent = parent, self._names.parents.get(parent)
        if isinstance(parent, ast.Subscript):
            return parent.slice is node
        if isinstance(parent, ast.Dict):
            return node in parent.keys
        if isinstance(parent, ast.DictComp):
            return parent.key is node
        if isinstance(parent, ast.FormattedValue | ast.Return):
            return True
        if isinstance(parent, ast.BinOp):
            return isinstance(parent.op, ast.Mod)
        if isinstance(parent, ast.Call) and node in parent.args:
            if isinstance(parent.func, ast.Attribute):
                is_first = parent.args[0] is node
                return is_first and parent.func.attr in ("get", "setdefault", "format", "write")
            return self._names.meaning(parent.func) in (
                "builtins.str", "builtins.hex", "builtins.print", "builtins.repr", "builtins.format",
            )  # fmt: skip
        if isinstance(parent, ast.Assign) and len(parent.targets) == 1 and isinstance(parent.targets[0], ast.Name):
            return self._is_name_kept(parent, parent.targets[0].id)
        return False

    def _is_name_kept(self, assign: ast.Assign, name: str) -> bool:
        """`key = id(x)`: is the name a key later on?"""
        inside = self._names.scopes.get(assign, self._names.module).node
        return any(
            isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
            and not isinstance(self._names.parents.get(node), ast.Assign) and self._is_kept(node)
            for node in ast.walk(inside)
        )  # fmt: skip

    def _finding(
        self, rule: str, node: ast.expr | ast.stmt | ast.alias, subject: str, *, level: Level | None = None
    ) -> Finding:
        known = RULES[rule]
        if level is None and known.category is Category.REFUSED and self._reading.is_guarded(node):
            level = Level.WARNING if known.level is Level.ERROR else Level.NOTE
        return found(rule, self._reading.place(node), subject, level=level)


def _text_of(arguments: list[ast.expr]) -> str:
    constant = arguments[0] if arguments else None
    return constant.value if isinstance(constant, ast.Constant) and isinstance(constant.value, str) else ""


def _is_local_form(node: ast.Call) -> bool:
    return any(code in _text_of(node.args[-1:]) for code in ("%c", "%x", "%X", "%r"))


def _begins(node: ast.Call, prefixes: tuple[str, ...]) -> bool:
    return _text_of(node.args[:1]).startswith(prefixes)
