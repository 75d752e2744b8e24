"""Makes a `function.py` of a live Python function: its own text, and what it uses of the module that it stands in.

Taken along: imports, as statements; helper functions and classes of the same module, as their text; constants that can
be written down. Everything else that a function needs must come in as an argument, so what cannot be taken is refused
with advice: variables of an enclosing function, objects, modules of one's own. The same function gives the same text,
whatever else its module holds. Nothing of it is run.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import dis
import inspect
import linecache
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CodeType, ModuleType
from typing import Any, Final

from bacalhau.captured_values import import_module, import_name, importable, literal
from storage.errors import UserError

MAX_PARTS: Final = 1000
"""Functions, classes, constants and imports of one function."""
_NAME_LOADS: Final = ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_OWN_MODULE: Final = "bacalhau"
"""Decorators of this package are left out: the function is called, not submitted once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Definition:
    """A function or class."""

    text: str
    uses: frozenset[str]
    """Names of the module that it looks up."""
    needs: frozenset[str]
    """Those that it looks up when it is defined: bases, decorators, defaults, the body of a class."""


@dataclass(kw_only=True)
class _Captured:
    """What was found so far; each by the name it has in the function's module."""

    imports: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, _Definition] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.imports or name in self.constants or name in self.definitions

    def __len__(self) -> int:
        return len(self.imports) + len(self.constants) + len(self.definitions)

    def text(self) -> str:
        """Return the module: imports and constants by name, then definitions, each after what it needs."""
        parts = [
            "\n".join(sorted(self.imports.values())),
            "\n".join(f"{name} = {self.constants[name]}" for name in sorted(self.constants)),
            *(f"\n{self.definitions[name].text.strip()}" for name in self._ordered()),
        ]
        return "\n\n".join(part for part in parts if part).lstrip("\n") + "\n"

    def _ordered(self) -> list[str]:
        """Return the definitions so that none is used before it is there; the same for the same ones."""
        done: dict[str, None] = {}
        under_way: set[str] = set()

        def visit(name: str, *, is_called: bool) -> None:
            if name not in self.definitions or name in done or name in under_way:
                return
            under_way.add(name)
            definition = self.definitions[name]
            # A decorator runs when it is applied: what it uses must be there by then, too.
            for each in sorted(definition.uses if is_called else definition.needs):
                visit(each, is_called=True)
            done[name] = None

        for name in sorted(self.definitions):
            visit(name, is_called=False)
        return list(done)


def capture(function: Callable[..., Any]) -> str:
    """Return the text of a module that defines a function, with all that it uses.

    Raises:
        UserError: it cannot be written down; says what is in the way and what to do.
    """
    name = getattr(function, "__name__", "")
    where = f"function {name or function!r}"
    if not inspect.isfunction(function):
        raise UserError("is no Python function", where=where, fix="write it with `def`, or name its directory")
    if not name.isidentifier():
        raise UserError("is a lambda", where=where, fix="write it with `def`")
    found = _Captured()
    todo: list[tuple[str, Any]] = [(name, function)]
    while todo:
        known, value = todo.pop()
        if known in found:
            continue
        if len(found) >= MAX_PARTS:
            raise UserError(f"uses more than {MAX_PARTS} things", where=where, fix="make a directory of it")
        todo += _take(known, value, function, found, where)
    return found.text()


def _take(name: str, value: Any, function: Callable[..., Any], found: _Captured, where: str) -> list[tuple[str, Any]]:
    """Take one thing along and return what it uses in turn."""
    if isinstance(value, ModuleType):
        found.imports[name] = import_module(name, value, where)
        return []
    # What a decorator put around a function stands in its text, or is one of ours and left out.
    original = inspect.unwrap(value) if hasattr(value, "__wrapped__") else value
    if inspect.isfunction(original) or inspect.isclass(original):
        if _is_at_hand(original, function):
            found.definitions[name] = _definition(name, original, where)
            return _values(found.definitions[name].uses, _namespace(original, function), where)
        found.imports[name] = import_name(name, original, where)
        return []
    text = literal(value)
    if text is not None:
        found.constants[name] = text
        return []
    imported = importable(name, value)
    if imported is not None:
        found.imports[name] = imported
        return []
    problem = f"uses the global {name!r}, a {type(value).__name__}, which cannot be written down"
    raise UserError(problem, where=where, fix=f"pass it as an argument or as data, or make {name!r} in the function")


def _is_at_hand(value: Any, function: Callable[..., Any]) -> bool:
    """Tell whether something is defined where the function is: its text is taken; of others an import."""
    return bool(value.__module__ == function.__module__)


def _namespace(value: Any, function: Callable[..., Any]) -> dict[str, Any]:
    return getattr(value, "__globals__", None) or function.__globals__


def _definition(name: str, value: Any, where: str) -> _Definition:
    """Return the text of a function or class, without decorators of ours, and what it uses."""
    if value.__name__ != name:
        problem = f"uses {name!r}, which is defined under the name {value.__name__!r}"
        raise UserError(problem, where=where, fix="use it by the name that it was defined under")
    if getattr(getattr(value, "__code__", None), "co_freevars", ()):
        names = ", ".join(repr(free) for free in value.__code__.co_freevars)
        problem = f"{name}() uses {names} of the function around it"
        raise UserError(problem, where=where, fix="pass it as an argument: what a function depends on is its input")
    if "<locals>" in value.__qualname__ and inspect.isclass(value):
        raise UserError(f"uses the class {name!r} of a function", where=where, fix="define it at the top of the module")
    try:
        linecache.checkcache()
        lines, _ = inspect.getsourcelines(value)
    except (OSError, TypeError) as error:
        problem = f"the text of {name}() is not to be had"
        raise UserError(problem, where=where, fix="define it in a file or a notebook cell") from error
    text = _undecorated(textwrap.dedent("".join(lines)), value, where)
    # Annotations are not evaluated: not here, and in the guest, whose Python is 3.14, only when somebody asks.
    flags = __future__.annotations.compiler_flag
    code = compile(text, "function.py", "exec", flags=flags, dont_inherit=True)
    own = {name, "__name__", "__file__", "__qualname__", "__module__", "__doc__"}
    return _Definition(
        text=text,
        uses=frozenset(_globals_of(code, inner=True)) - own,
        needs=frozenset(_globals_of(code, inner=False)) - own,
    )


def _undecorated(text: str, value: Any, where: str) -> str:
    """Return a definition without the decorators of this package; others stay."""
    try:
        (node,) = ast.parse(text).body
    except (SyntaxError, ValueError) as error:
        problem = "does not stand by itself in its file"
        raise UserError(problem, where=where, fix="write it with `def`, on lines of its own") from error
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        raise UserError("is a lambda", where=where, fix="write it with `def`")
    lines = text.splitlines(keepends=True)
    namespace = getattr(value, "__globals__", {})
    drop = [
        (each.lineno - 1, each.end_lineno or each.lineno) for each in node.decorator_list if _is_ours(each, namespace)
    ]
    for first, end in reversed(drop):
        del lines[first:end]
    return "".join(lines)


def _is_ours(decorator: ast.expr, namespace: dict[str, Any]) -> bool:
    """Tell whether a decorator is one of this package's, by what its names stand for."""
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    names: list[str] = []
    while isinstance(target, ast.Attribute):
        names.append(target.attr)
        target = target.value
    if not isinstance(target, ast.Name):
        return False
    value = namespace.get(target.id)
    for name in reversed(names):
        value = getattr(value, name, None)
    return (getattr(value, "__module__", None) or "").split(".")[0] == _OWN_MODULE


def _values(names: frozenset[str], namespace: dict[str, Any], where: str) -> list[tuple[str, Any]]:
    """Return what globals stand for; builtins are the guest's own."""
    values: list[tuple[str, Any]] = []
    for name in sorted(names):
        if name in namespace:
            values.append((name, namespace[name]))
        elif not hasattr(builtins, name):
            problem = f"uses {name!r}, which is not defined"
            raise UserError(problem, where=where, fix="define or import it before the function is called")
    return values


def _globals_of(code: CodeType, *, inner: bool) -> Iterator[str]:
    """Yield the names that code looks up in its module; inner: in the functions in it too, which run later."""
    stored = {one.argval for one in dis.get_instructions(code) if one.opname == "STORE_NAME"}
    for one in dis.get_instructions(code):
        is_global = one.opname in ("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL")
        if is_global or (one.opname in _NAME_LOADS and one.argval not in stored):
            yield str(one.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and (inner or not constant.co_flags & inspect.CO_OPTIMIZED):
            yield from _globals_of(constant, inner=inner)
