"""Finds what breaks the function contract: the entry point, what it returns, and the paths that it opens."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from typing import Final

from runtime.lint.finding import Finding, Place, found
from runtime.lint.kinds import Kind, Kinds
from runtime.lint.reading import Function, Reading
from runtime.lint.rules import Level

_WRITABLE: Final = ("/work", "/tmp", "/outputs", "/dev/null")  # noqa: S108  the guest's own
_ITERATORS: Final = frozenset({
    "builtins.map", "builtins.filter", "builtins.zip", "builtins.range", "builtins.enumerate", "builtins.reversed",
    "builtins.iter", "builtins.object", "builtins.complex", "builtins.open", "io.BytesIO", "io.StringIO",
})  # fmt: skip
_VALUES: Final = frozenset({
    "datetime.datetime", "datetime.date", "datetime.timedelta", "datetime.datetime.now", "datetime.date.today",
    "datetime.datetime.strptime", "datetime.datetime.fromisoformat", "datetime.date.fromisoformat", "decimal.Decimal",
    "fractions.Fraction", "uuid.uuid4", "uuid.uuid1", "uuid.UUID", "pathlib.Path", "numpy.array", "numpy.zeros",
    "numpy.ones", "numpy.arange", "numpy.asarray", "numpy.linspace", "pandas.DataFrame", "pandas.Series",
    "pandas.read_csv", "pandas.concat", "pandas.merge", "re.match", "re.search", "re.compile",
})  # fmt: skip
_VIEWS: Final = ("keys", "values", "items")


def entry_findings(reading: Reading, entry: str) -> Iterator[Finding]:
    """Yield what is wrong with the entry point of `function.py`."""
    definitions = [
        node for node in reading.tree.body if isinstance(node, Function | ast.ClassDef) and node.name == entry
    ]
    if not definitions:
        if not _may_be_elsewhere(reading, entry):
            place = Place(path=reading.path, line=1, column=1, end_line=1, end_column=1)
            yield found("no-entry-point", place, entry)
        return
    node = definitions[-1]
    if isinstance(node, Function):
        yield from _signature(reading, node)
        yield from _returns(reading, node)


def _may_be_elsewhere(reading: Reading, entry: str) -> bool:
    """Tell whether the name may come from where it is not seen as a definition."""
    names = reading.names.module
    if entry in names.values or entry in names.imports or "*" in names.imports:
        return True
    return any(
        isinstance(node, ast.Name) and node.id in ("exec", "globals", "setattr", "__getattr__")
        for node in ast.walk(reading.tree)
    ) or any(isinstance(node, Function) and node.name == "__getattr__" for node in reading.tree.body)


def _signature(reading: Reading, node: Function) -> Iterator[Finding]:
    if node.decorator_list:
        return
    why = _why_no_steps(node)
    if why:
        yield found("entry-signature", reading.place(node), node.name, detail=why)
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args]
    without_default = positional[: len(positional) - len(spec.defaults)][1:]
    for arg in without_default:
        if arg in spec.posonlyargs:
            detail = f"takes {arg.arg!r} by position, where only the input is given so"
            yield found("entry-signature", reading.place(arg), node.name, detail=detail)
        else:
            yield found("required-argument", reading.place(arg), arg.arg)
    for arg, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
        if default is None:
            yield found("required-argument", reading.place(arg), arg.arg)


def _why_no_steps(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Say why a function that yields is none that runs in steps; empty if it is one, or yields nothing."""
    yields = [part for part in _own(node) if isinstance(part, ast.Yield | ast.YieldFrom)]
    if yields and isinstance(node, ast.AsyncFunctionDef):
        return "is an async generator, whose result has no form"
    is_given = any(isinstance(part, ast.Yield) and not _is_none(part.value) for part in yields)
    return "yields values, and what is yielded is no result: return a list" if is_given else ""


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a function itself does, not the functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.Lambda | ast.ClassDef | ast.GeneratorExp):
            yield child
            yield from _own(child)


def _returns(reading: Reading, entry: Function) -> Iterator[Finding]:
    if entry.decorator_list:
        return
    forms = _Forms(reading)
    for node in _own(entry):
        if isinstance(node, ast.Return) and node.value is not None:
            for part, why in forms.wrong(node.value, inside=False):
                yield found("no-canonical-form", reading.place(part), reading.text(part), detail=why)


class _Forms:
    """Which expressions cannot be a result."""

    def __init__(self, reading: Reading) -> None:
        self._names = reading.names
        self._kinds = Kinds(reading)

    def wrong(self, node: ast.expr, *, inside: bool, depth: int = 0) -> Iterator[tuple[ast.expr, str]]:
        """Yield the parts that have no form. inside: in a list or dict, where bytes and NaN are other things."""
        if depth > 20:
            return
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and not isinstance(key.value, str):
                    yield key, f"a key is {type(key.value).__name__}; use str keys"
                elif isinstance(key, ast.Tuple):
                    yield key, "a key is a tuple; use str keys"
                yield from self.wrong(value, inside=True, depth=depth + 1)
        elif isinstance(node, ast.List | ast.Tuple):
            for part in node.elts:
                yield from self.wrong(part, inside=True, depth=depth + 1)
        elif isinstance(node, ast.ListComp):
            yield from self.wrong(node.elt, inside=True, depth=depth + 1)
        elif isinstance(node, ast.IfExp):
            yield from self.wrong(node.body, inside=inside, depth=depth + 1)
            yield from self.wrong(node.orelse, inside=inside, depth=depth + 1)
        else:
            why = self._why(node)
            if why:
                yield node, why

    def _why(self, node: ast.expr) -> str:
        if self._kinds.of(node) is Kind.SET:
            return "a set has no order; return sorted(…)"
        if isinstance(node, ast.GeneratorExp | ast.Lambda):
            return f"a {'generator' if isinstance(node, ast.GeneratorExp) else 'function'} is not JSON; return list(…)"
        if isinstance(node, ast.Constant) and isinstance(node.value, complex):
            return "a complex number is not JSON; return its parts"
        if isinstance(node, ast.Name):
            return self._why_variable(node)
        if not isinstance(node, ast.Call):
            return ""
        meaning = self._names.meaning(node.func)
        if meaning in _ITERATORS:
            return f"{meaning.rpartition('.')[2]}(…) is not JSON; return list(…) or what it holds"
        if meaning in _VALUES:
            return f"{meaning} is not JSON; return text, .tolist() or .to_dict()"
        if meaning == "builtins.float" and node.args and _is_no_number(node.args[0]):
            return "not a JSON number; return None or text"
        is_view = isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS and not node.args
        return "a view of a dict is not JSON; return list(…)" if is_view and not node.keywords else ""

    def _why_variable(self, node: ast.Name) -> str:
        """A name with one assignment is what was assigned."""
        holder = self._names.scopes.get(node, self._names.module).holder(node.id)
        values = holder.values.get(node.id, []) if holder is not None and isinstance(holder.node, Function) else []
        value = values[0] if len(values) == 1 else None
        return self._why(value) if isinstance(value, ast.Call | ast.GeneratorExp | ast.Lambda) else ""


def _is_no_number(node: ast.expr) -> bool:
    words = ("nan", "inf", "infinity")
    return isinstance(node, ast.Constant) and str(node.value).strip("+-").lower() in words


def path_findings(reading: Reading, beside: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong with the constant paths that a file opens. beside: files of the function's directory."""
    for node in reading.walk():
        if not isinstance(node, ast.Call) or reading.names.meaning(node.func) not in ("builtins.open", "io.open"):
            continue
        path = _constant(node.args[0]) if node.args else ""
        words = {word.arg: word.value for word in node.keywords}
        mode = _constant(words.get("mode") or (node.args[1] if len(node.args) > 1 else None)) or "r"
        if not path:
            continue
        writes = any(letter in mode for letter in "wax+")
        if writes and path.startswith("/") and not _is_below(path, _WRITABLE):
            yield found("not-writable", reading.place(node.args[0]), repr(path))
        elif not writes and path.removeprefix("./") in beside:
            level = Level.WARNING if reading.is_guarded(node) else None
            yield found("beside-the-function", reading.place(node.args[0]), repr(path), level=level)


def _constant(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
