"""Finds where the order of a set, or of a directory listing, gets into something that keeps an order.

What forgets the order again is no finding: sorted(…), another set, len, a sum of ints, a list that is sorted later.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from runtime.lint.finding import Finding, found
from runtime.lint.kinds import Kind, Kinds
from runtime.lint.reading import Reading
from runtime.lint.rules import Level

_LISTINGS: Final = frozenset({"os.listdir", "os.scandir", "os.walk", "os.fwalk", "glob.glob", "glob.iglob"})
_PATH_LISTINGS: Final = frozenset({"iterdir", "glob", "rglob", "walk"})
_FORGETS: Final = frozenset({
    "builtins.sorted", "builtins.set", "builtins.frozenset", "builtins.len", "builtins.any", "builtins.all",
    "builtins.min", "builtins.max", "builtins.bool", "math.fsum", "builtins.sum", "builtins.isinstance",
    "statistics.mean", "statistics.fmean", "builtins.dict",
})  # fmt: skip
_FORGETTING_METHODS: Final = frozenset({
    "union", "update", "intersection", "difference", "issubset", "issuperset", "isdisjoint", "intersection_update",
    "difference_update", "symmetric_difference", "symmetric_difference_update", "add", "discard", "count",
})  # fmt: skip
_KEEPS: Final = frozenset({
    "builtins.list", "builtins.tuple", "builtins.str", "builtins.repr", "builtins.print", "builtins.next",
    "collections.deque", "collections.OrderedDict", "numpy.array", "numpy.asarray", "numpy.fromiter",
    "itertools.chain", "itertools.islice", "random.choice", "random.shuffle",
})  # fmt: skip
_PASSES_ON: Final = frozenset({
    "builtins.map", "builtins.filter", "builtins.enumerate", "builtins.zip", "builtins.iter", "builtins.reversed",
    "itertools.chain", "itertools.islice",
})  # fmt: skip
_KEEPING_METHODS: Final = frozenset({"join", "extend", "writelines", "writerows", "extendleft"})
_WRITING_METHODS: Final = frozenset({
    "append", "appendleft", "extend", "insert", "write", "writelines", "writestr", "writerow", "writerows",
    "send", "put",
})  # fmt: skip


def order_findings(reading: Reading) -> Iterator[Finding]:
    """Yield the findings of `set-order`, `float-sum` and `listing-order`."""
    return _Orders(reading).all()


class _Orders:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._names = reading.names
        self._kinds = Kinds(reading)

    def all(self) -> Iterator[Finding]:
        for node in self._reading.walk():
            if isinstance(node, ast.expr):
                rule = self._rule_of(node)
                if rule:
                    yield from self._used(rule, node, node)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
                yield from self._popped(node, node.func)

    def _rule_of(self, node: ast.expr) -> str:
        """Return the rule that an expression's order falls under, empty if it has none."""
        if isinstance(node, ast.Call) and self._is_listing(node):
            return "listing-order"
        is_set = self._kinds.of(node) is Kind.SET and not self._kinds.holds_whole_numbers(node)
        return "set-order" if is_set else ""

    def _is_listing(self, node: ast.Call) -> bool:
        if self._names.meaning(node.func) in _LISTINGS:
            return True
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in _PATH_LISTINGS:
            return False
        owner = node.func.value
        return self._is_path(owner) and not self._names.meaning(node.func).startswith("glob.")

    def _is_path(self, node: ast.expr) -> bool:
        """Tell whether an expression is a pathlib path, as far as its own words or its one assignment say so."""
        if isinstance(node, ast.Call):
            return self._names.meaning(node.func) in ("pathlib.Path", "pathlib.PosixPath", "pathlib.Path.cwd")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return self._is_path(node.left)
        if isinstance(node, ast.Attribute) and node.attr in ("parent", "parents"):
            return self._is_path(node.value)
        if isinstance(node, ast.Name):
            holder = self._names.scopes.get(node, self._names.module).holder(node.id)
            values = holder.values.get(node.id, []) if holder else []
            return len(values) == 1 and values[0] is not None and self._is_path(values[0])
        return False

    def _used(self, rule: str, source: ast.expr, node: ast.expr, depth: int = 0) -> Iterator[Finding]:
        """Yield a finding if what uses `node`, which has the order of `source`, keeps it."""
        parent = self._names.parents.get(node)
        if depth > 8 or parent is None:
            return
        if isinstance(parent, ast.For) and parent.iter is node:
            yield from self._looped(rule, source, parent)
        elif isinstance(parent, ast.comprehension) and parent.iter is node:
            whole = self._names.parents[parent]
            if isinstance(whole, ast.ListComp | ast.GeneratorExp):
                yield from self._collected(rule, source, whole, depth)
        elif isinstance(parent, ast.Call) and node in parent.args:
            yield from self._given(rule, source, parent, depth)
        elif isinstance(parent, ast.Starred):
            around = self._names.parents.get(parent)
            if isinstance(around, ast.List | ast.Tuple) or (isinstance(around, ast.Call) and not self._forgets(around)):
                yield self._finding(rule, source)
        elif isinstance(parent, ast.FormattedValue) and rule == "set-order":
            yield self._finding(rule, source)
        elif isinstance(parent, ast.Return | ast.Assign) and rule == "listing-order" and depth == 0:
            yield from self._kept_listing(source, parent)

    def _kept_listing(self, source: ast.expr, parent: ast.Return | ast.Assign) -> Iterator[Finding]:
        """A listing in a variable: what is done with that counts."""
        if (
            not isinstance(parent, ast.Assign)
            or len(parent.targets) != 1
            or not isinstance(parent.targets[0], ast.Name)
        ):
            return
        name = parent.targets[0].id
        if self._is_sorted_later(parent, name):
            return
        for node in ast.walk(self._names.scopes.get(parent, self._names.module).node):
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
                yield from self._used("listing-order", source, node, 1)

    def _given(self, rule: str, source: ast.expr, call: ast.Call, depth: int) -> Iterator[Finding]:
        meaning = self._names.meaning(call.func)
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if meaning == "builtins.sum":
            if rule == "set-order" and not isinstance(source, ast.GeneratorExp):
                yield self._finding("float-sum", source)
        elif meaning in ("builtins.sorted", "builtins.min", "builtins.max"):
            if rule == "set-order" and self._leaves_ties(call):
                yield self._finding(rule, source, detail="elements with equal keys stay in the order of the set")
        elif meaning in _PASSES_ON:
            yield from self._used(rule, source, call, depth + 1)
        elif meaning in _KEEPS:
            is_shown = meaning in ("builtins.str", "builtins.repr", "builtins.print", "builtins.next")
            if is_shown and (rule == "set-order" or meaning == "builtins.next"):
                yield self._finding(rule, source)
            elif not is_shown:
                yield from self._collected(rule, source, call, depth)
        elif method in _KEEPING_METHODS and not meaning.startswith(("os.path.", "posixpath.")):
            receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
            is_sorted = isinstance(receiver, ast.Name) and self._is_sorted_later(call, receiver.id)
            if not is_sorted:
                yield self._finding(rule, source)

    def _leaves_ties(self, call: ast.Call) -> bool:
        """Tell whether the call has a key that does not say which of two elements comes first."""
        key = next((word.value for word in call.keywords if word.arg == "key"), None)
        if key is None or (isinstance(key, ast.Constant) and key.value is None):
            return False
        if isinstance(key, ast.Lambda) and key.args.args:
            name = key.args.args[0].arg
            parts = key.body.elts if isinstance(key.body, ast.Tuple) else [key.body]
            return not any(isinstance(part, ast.Name) and part.id == name for part in parts)
        return self._names.meaning(key) not in ("builtins.str", "builtins.repr")

    def _collected(self, rule: str, source: ast.expr, whole: ast.expr, depth: int) -> Iterator[Finding]:
        """A list, tuple or generator that has the order: what becomes of it?"""
        parent = self._names.parents.get(whole)
        if isinstance(parent, ast.Call) and whole in parent.args:
            meaning = self._names.meaning(parent.func)
            if meaning == "builtins.sum":
                if rule == "set-order" and not self._is_whole_sum(whole):
                    yield self._finding("float-sum", source)
                return
            if meaning in ("builtins.sorted", "builtins.min", "builtins.max") and not self._leaves_ties(parent):
                return
            if self._forgets(parent) and meaning not in ("builtins.sorted", "builtins.min", "builtins.max"):
                return
            if isinstance(whole, ast.GeneratorExp):
                yield from self._given(rule, source, parent, depth + 1)
                return
            if meaning in _PASSES_ON:
                yield from self._used(rule, source, parent, depth + 1)
                return
        if isinstance(whole, ast.GeneratorExp):
            return  # nobody has taken anything from it yet
        if isinstance(parent, ast.For | ast.comprehension) and parent.iter is whole:
            yield from self._used(rule, source, whole, depth + 1)
            return
        if isinstance(parent, ast.Compare | ast.Expr):
            return  # compared as a whole, or thrown away
        around = self._names.parents.get(parent) if isinstance(parent, ast.Starred) else None
        if isinstance(around, ast.Call) and self._forgets(around):
            return  # set.intersection(*[…])
        target = parent.targets[0] if isinstance(parent, ast.Assign) and len(parent.targets) == 1 else None
        if isinstance(parent, ast.Assign) and isinstance(target, ast.Name) and self._is_sorted_later(parent, target.id):
            return
        yield self._finding(rule, source)

    def _is_whole_sum(self, whole: ast.expr) -> bool:
        return isinstance(whole, ast.ListComp | ast.GeneratorExp) and self._kinds.holds_whole_numbers(
            ast.SetComp(elt=whole.elt, generators=whole.generators)
        )

    def _forgets(self, call: ast.Call) -> bool:
        if self._names.meaning(call.func) in _FORGETS:
            return True
        return isinstance(call.func, ast.Attribute) and call.func.attr in _FORGETTING_METHODS

    def _looped(self, rule: str, source: ast.expr, loop: ast.For) -> Iterator[Finding]:
        """A loop: does its body leave something in the order of the rounds?"""
        for node in (part for statement in loop.body for part in ast.walk(statement)):
            if isinstance(node, ast.Yield | ast.YieldFrom):
                yield self._finding(rule, source)
                return
            if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and isinstance(node.target, ast.Name):
                if self._kinds.holds_whole_numbers(ast.Set(elts=[node.value])):
                    continue
                is_text = _is_text(node.value) or self._began_as_text(node.target)
                if rule == "set-order" or is_text:
                    yield self._finding(rule if is_text else "float-sum", source)
                    return
            if isinstance(node, ast.Call) and self._writes(node):
                yield self._finding(rule, source)
                return

    def _began_as_text(self, name: ast.Name) -> bool:
        holder = self._names.scopes.get(name, self._names.module).holder(name.id)
        return holder is not None and any(_is_text(value) for value in holder.values.get(name.id, []))

    def _writes(self, call: ast.Call) -> bool:
        if self._names.meaning(call.func) == "builtins.print":
            return True
        if not isinstance(call.func, ast.Attribute) or call.func.attr not in _WRITING_METHODS:
            return False
        receiver = call.func.value
        return not (isinstance(receiver, ast.Name) and self._is_sorted_later(call, receiver.id))

    def _is_sorted_later(self, node: ast.AST, name: str) -> bool:
        """Tell whether a name's list is sorted in the same scope, or only ever given to what forgets order."""
        loads, forgotten = 0, 0
        for other in ast.walk(self._names.scopes.get(node, self._names.module).node):
            if not isinstance(other, ast.Name) or other.id != name or not isinstance(other.ctx, ast.Load):
                continue
            parent = self._names.parents.get(other)
            above = self._names.parents.get(parent) if parent is not None else None
            if isinstance(parent, ast.Attribute):
                if parent.attr == "sort":
                    return True
                if parent.attr in _WRITING_METHODS and isinstance(above, ast.Call):
                    continue
            loads += 1
            if isinstance(parent, ast.Call) and other in parent.args and self._forgets(parent):
                forgotten += 1
        return loads > 0 and loads == forgotten

    def _popped(self, call: ast.Call, method: ast.Attribute) -> Iterator[Finding]:
        """`s.pop()` takes any element; a work list that is emptied is where that is usual."""
        if method.attr != "pop" or self._kinds.of(method.value) is not Kind.SET or call.keywords:
            return
        above: ast.AST | None = call
        while above is not None:
            if isinstance(above, ast.While):
                return
            above = self._names.parents.get(above)
        if not self._kinds.holds_whole_numbers(method.value):
            yield self._finding("set-order", call, detail="pop() takes whichever element comes first")

    def _finding(self, rule: str, source: ast.expr, *, detail: str = "") -> Finding:
        level = Level.NOTE if rule == "listing-order" and isinstance(source, ast.Name) else None
        return found(rule, self._reading.place(source), self._reading.text(source), detail=detail, level=level)


def _is_text(node: ast.expr | None) -> bool:
    """Tell whether an expression is text, bytes or a list, to which one adds at the end."""
    if isinstance(node, ast.JoinedStr | ast.List):
        return True
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
