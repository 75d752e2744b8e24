"""Which expressions are sets, and which are dicts of sets: as far as reading can tell, and never by guessing.

A name is a set only if everything that is bound to it in its scope is one. What cannot be followed is no set.
"""

from __future__ import annotations

import ast
from enum import Enum, auto
from typing import Final

from runtime.lint.names import Scope
from runtime.lint.reading import Function, Reading


class Kind(Enum):
    """What an expression is known to be."""

    SET = auto()
    DICT_OF_SETS = auto()


_SET_METHODS: Final = frozenset({"union", "intersection", "difference", "symmetric_difference", "copy"})
_SET_OPERATORS: Final = (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
_SET_TYPES: Final = frozenset({
    "builtins.set", "builtins.frozenset", "typing.Set", "typing.FrozenSet", "typing.AbstractSet", "typing.MutableSet",
    "collections.abc.Set", "collections.abc.MutableSet",
})  # fmt: skip
_WHOLE: Final = frozenset({"len", "int", "ord", "hash", "id", "round"})
_DEEPEST: Final = 12


class Kinds:
    """The kinds of one file's expressions."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._names = reading.names
        self._busy: set[object] = set()
        self._functions = {node.name: node for node in reading.tree.body if isinstance(node, Function)}

    def of(self, node: ast.expr | None, depth: int = 0) -> Kind | None:
        """Return the kind of an expression."""
        if node is None or depth > _DEEPEST:
            return None
        deeper = depth + 1
        if isinstance(node, ast.Set | ast.SetComp):
            return Kind.SET
        if isinstance(node, ast.Dict):
            values = [self.of(value, deeper) for value in node.values]
            return Kind.DICT_OF_SETS if values and all(kind is Kind.SET for kind in values) else None
        if isinstance(node, ast.DictComp):
            return Kind.DICT_OF_SETS if self.of(node.value, deeper) is Kind.SET else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, _SET_OPERATORS):
            sides = [node.left] if isinstance(node.op, ast.Sub) else [node.left, node.right]
            return Kind.SET if any(self.of(side, deeper) is Kind.SET or _is_keys(side) for side in sides) else None
        if isinstance(node, ast.IfExp):
            return self._same([node.body, node.orelse], deeper)
        if isinstance(node, ast.BoolOp):
            return self._same(node.values, deeper)
        if isinstance(node, ast.NamedExpr):
            return self.of(node.value, deeper)
        if isinstance(node, ast.Subscript):
            return Kind.SET if self.of(node.value, deeper) is Kind.DICT_OF_SETS else None
        if isinstance(node, ast.Call):
            return self._of_call(node, deeper)
        if isinstance(node, ast.Name):
            return self._of_name(node, deeper)
        return self._of_attribute(node, deeper) if isinstance(node, ast.Attribute) else None

    def _same(self, parts: list[ast.expr], depth: int) -> Kind | None:
        kinds = {self.of(part, depth) for part in parts}
        return kinds.pop() if len(kinds) == 1 else None

    def _of_call(self, node: ast.Call, depth: int) -> Kind | None:
        meaning = self._names.meaning(node.func)
        if meaning in ("builtins.set", "builtins.frozenset"):
            return Kind.SET
        if meaning == "collections.defaultdict" and node.args:
            makes = node.args[0]
            made = self._names.meaning(makes) in ("builtins.set", "builtins.frozenset") or (
                isinstance(makes, ast.Lambda) and self.of(makes.body, depth) is Kind.SET
            )
            return Kind.DICT_OF_SETS if made else None
        if isinstance(node.func, ast.Attribute):
            owner = self.of(node.func.value, depth)
            if owner is Kind.SET and node.func.attr in _SET_METHODS:
                return Kind.SET
            if owner is Kind.DICT_OF_SETS and node.func.attr in ("get", "setdefault", "pop"):
                return Kind.SET
            is_default = node.func.attr == "setdefault" and len(node.args) == 2
            return self.of(node.args[1], depth) if is_default and self.of(node.args[1], depth) is Kind.SET else None
        function = self._functions.get(node.func.id) if isinstance(node.func, ast.Name) else None
        return self._returned(function, depth) if function is not None else None

    def _returned(self, function: Function, depth: int) -> Kind | None:
        if function.returns is not None:
            return Kind.SET if self._is_set_type(function.returns) else None
        if function in self._busy:
            return None
        self._busy.add(function)
        try:
            returns = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
            kinds = {self.of(value, depth) for value in returns}
            return kinds.pop() if len(kinds) == 1 else None
        finally:
            self._busy.discard(function)

    def _is_set_type(self, annotation: ast.expr) -> bool:
        node = annotation.value if isinstance(annotation, ast.Subscript) else annotation
        return self._names.meaning(node) in _SET_TYPES

    def _of_name(self, node: ast.Name, depth: int) -> Kind | None:
        holder = self._names.scopes.get(node, self._names.module).holder(node.id)
        if holder is None or node.id not in holder.values or (holder, node.id) in self._busy:
            return None
        self._busy.add((holder, node.id))
        try:
            return self._of_variable(holder, node.id, depth)
        finally:
            self._busy.discard((holder, node.id))

    def _of_variable(self, holder: Scope, name: str, depth: int) -> Kind | None:
        values = holder.values[name]
        if values == [None]:
            return self._of_parameter(holder, name) or self._of_target(holder, name, depth)
        if any(value is None for value in values):
            return None
        if all(_is_empty_dict(value) for value in values):
            return Kind.DICT_OF_SETS if self._is_filled_with_sets(holder, name, depth) else None
        kinds = {self.of(value, depth) for value in values}
        return kinds.pop() if len(kinds) == 1 else None

    def _of_parameter(self, holder: Scope, name: str) -> Kind | None:
        if not isinstance(holder.node, Function):
            return None
        arguments = holder.node.args
        for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if arg.arg == name and arg.annotation is not None and self._is_set_type(arg.annotation):
                return Kind.SET
        return None

    def _of_target(self, holder: Scope, name: str, depth: int) -> Kind | None:
        """`for key, group in groups.items()` and `for group in groups.values()`, sorted or not."""
        for loop in ast.walk(holder.node):
            if not isinstance(loop, ast.For | ast.comprehension):
                continue
            target, over = loop.target, loop.iter
            if isinstance(over, ast.Call) and self._names.meaning(over.func) in ("builtins.sorted", "builtins.list"):
                over = over.args[0] if over.args else over
            if not (isinstance(over, ast.Call) and isinstance(over.func, ast.Attribute)):
                continue
            if over.func.attr == "items" and isinstance(target, ast.Tuple) and len(target.elts) == 2:
                target = target.elts[1]
            elif over.func.attr != "values":
                continue
            if isinstance(target, ast.Name) and target.id == name:
                return Kind.SET if self.of(over.func.value, depth) is Kind.DICT_OF_SETS else None
        return None

    def _is_filled_with_sets(self, holder: Scope, name: str, depth: int) -> bool:
        """Tell whether all that is put into a dict is a set: `d[k] = set()`, `d.setdefault(k, set())`."""
        put: list[ast.expr] = []
        for node in ast.walk(holder.node):
            if isinstance(node, ast.Assign):
                put += [node.value for target in node.targets if _is_item_of(target, name)]
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "setdefault"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == name
            ):
                put += node.args[1:2] or [ast.Constant(None)]
        return bool(put) and all(self.of(value, depth) is Kind.SET for value in put)

    def _of_attribute(self, node: ast.Attribute, depth: int) -> Kind | None:
        """`self.seen`, where every assignment to it in the class is alike."""
        if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            return None
        owner: ast.AST | None = node
        while owner is not None and not isinstance(owner, ast.ClassDef):
            owner = self._names.parents.get(owner)
        if owner is None or (owner, node.attr) in self._busy:
            return None
        self._busy.add((owner, node.attr))
        try:
            values = [
                assign.value
                for assign in ast.walk(owner)
                if isinstance(assign, ast.Assign | ast.AnnAssign)
                for target in (assign.targets if isinstance(assign, ast.Assign) else [assign.target])
                if isinstance(target, ast.Attribute) and target.attr == node.attr
            ]
            kinds = {self.of(value, depth) for value in values}
            return kinds.pop() if len(kinds) == 1 else None
        finally:
            self._busy.discard((owner, node.attr))

    def holds_whole_numbers(self, node: ast.expr, depth: int = 0) -> bool:
        """Tell whether a set's elements are known to be ints: their order then depends on nothing but them."""
        if depth > _DEEPEST:
            return False
        if isinstance(node, ast.Set):
            return all(self._is_whole(part) for part in node.elts)
        if isinstance(node, ast.SetComp):
            return self._is_whole(node.elt)
        if isinstance(node, ast.Call) and self._names.meaning(node.func) in ("builtins.set", "builtins.frozenset"):
            given = node.args[0] if node.args else None
            is_range = isinstance(given, ast.Call) and self._names.meaning(given.func) == "builtins.range"
            return is_range or (isinstance(given, ast.GeneratorExp | ast.ListComp) and self._is_whole(given.elt))
        if isinstance(node, ast.BinOp):
            return self.holds_whole_numbers(node.left, depth + 1) and self.holds_whole_numbers(node.right, depth + 1)
        if isinstance(node, ast.Name):
            return self._variable_holds_whole_numbers(node, depth)
        return False

    def _variable_holds_whole_numbers(self, node: ast.Name, depth: int) -> bool:
        holder = self._names.scopes.get(node, self._names.module).holder(node.id)
        if holder is None or node.id not in holder.values or (holder, node.id, "whole") in self._busy:
            return False
        self._busy.add((holder, node.id, "whole"))
        try:
            empty = [value for value in holder.values[node.id] if _is_empty_set(value)]
            filled = [value for value in holder.values[node.id] if not _is_empty_set(value)]
            added = [
                call.args[0]
                for call in ast.walk(holder.node)
                if isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and isinstance(call.func.value, ast.Name)
                and call.func.value.id == node.id
                and call.func.attr in ("add", "update")
                and call.args
            ]
            known = all(value is not None and self.holds_whole_numbers(value, depth + 1) for value in filled)
            return known and all(map(self._is_whole, added)) and bool(filled or (empty and added))
        finally:
            self._busy.discard((holder, node.id, "whole"))

    def _is_whole(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, int)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id in _WHOLE
        return isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Div) and self._is_whole(node.left)


def _is_keys(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "keys"
        and not node.args
    )


def _is_empty_dict(node: ast.expr | None) -> bool:
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict"
    return (isinstance(node, ast.Dict) and not node.keys) or (
        is_call and isinstance(node, ast.Call) and not node.args and not node.keywords
    )


def _is_empty_set(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "set" and not node.args


def _is_item_of(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id == name
