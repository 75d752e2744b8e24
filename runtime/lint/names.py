"""Which name means what: follows imports and scopes, so that `from time import time as now; now()` is `time.time`."""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, field
from typing import Final

_BUILTINS: Final = frozenset(dir(builtins))
Opens = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef | ast.Module
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(slots=True, eq=False)
class Scope:
    """Names that one module, class, function or comprehension binds."""

    node: ast.AST
    parent: Scope | None
    imports: dict[str, str] = field(default_factory=dict)
    """Name -> what it was imported as, dotted."""
    values: dict[str, list[ast.expr | None]] = field(default_factory=dict)
    """Name -> the expressions it is bound to; None where that is no single expression."""

    def bind(self, name: str, value: ast.expr | None = None) -> None:
        """Note that a name is bound here."""
        self.values.setdefault(name, []).append(value)

    def holder(self, name: str) -> Scope | None:
        """Return the scope that a name is looked up in; None: a builtin, or nothing."""
        scope: Scope | None = self
        while scope is not None:
            is_hidden = isinstance(scope.node, ast.ClassDef) and scope is not self
            if not is_hidden and (name in scope.values or name in scope.imports):
                return scope
            scope = scope.parent
        return None


class Names(ast.NodeVisitor):
    """The scopes of one module, and what its names mean."""

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope(tree, None)
        self.scopes: dict[ast.AST, Scope] = {}
        """The scope that each expression and statement stands in."""
        self.parents: dict[ast.AST, ast.AST] = {}
        self._scope = self.module
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
        self.visit(tree)

    def meaning(self, node: ast.AST) -> str:
        """Return the dotted name of what an expression denotes (`builtins.hash`, `os.path.join`), empty if unknown."""
        if isinstance(node, ast.Attribute):
            before = self.meaning(node.value)
            return f"{before}.{node.attr}" if before else ""
        if not isinstance(node, ast.Name):
            return ""
        holder = self.scopes.get(node, self.module).holder(node.id)
        if holder is None:
            return f"builtins.{node.id}" if node.id in _BUILTINS else ""
        if node.id in holder.values:
            return ""  # bound to something else as well, or instead
        return holder.imports[node.id]

    def visit(self, node: ast.AST) -> None:
        """Note the scope of a node, and go on below it."""
        self.scopes[node] = self._scope
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            self._bind_name(node)
        super().visit(node)

    def _bind_name(self, node: ast.Name) -> None:
        parent = self.parents.get(node)
        value: ast.expr | None = None
        if (isinstance(parent, ast.Assign) and node in parent.targets) or isinstance(parent, ast.NamedExpr):
            value = parent.value
        elif isinstance(parent, ast.AnnAssign):
            if parent.value is None:
                return
            value = parent.value
        elif isinstance(parent, ast.AugAssign):
            return  # its kind stays what it was
        scope = self._scope
        if isinstance(parent, ast.NamedExpr):
            while isinstance(scope.node, _COMPREHENSIONS) and scope.parent is not None:
                scope = scope.parent
        scope.bind(node.id, value)

    def visit_Import(self, node: ast.Import) -> None:
        """Bind modules."""
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            self._scope.imports[name] = alias.name if alias.asname else name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Bind what is imported from a module; one of the function's own is `.module`."""
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            self._scope.imports[alias.asname or alias.name] = f"{module}.{alias.name}"

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Open a scope."""
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Open a scope."""
        self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scope.bind(node.name)
        for outside in (*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)):
            self.visit(outside)
        if node.returns is not None:
            self.visit(node.returns)
        self._below(node, node.args, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Open a scope."""
        for outside in (*node.args.defaults, *(d for d in node.args.kw_defaults if d)):
            self.visit(outside)
        self._below(node, node.args, [node.body])

    def _below(self, node: ast.AST, args: ast.arguments, body: list[ast.stmt] | list[ast.expr]) -> None:
        before, self._scope = self._scope, Scope(node, self._scope)
        further = [arg for arg in (args.vararg, args.kwarg) if arg]
        for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs, *further):
            self._scope.bind(arg.arg)
            if arg.annotation is not None:
                self.visit(arg.annotation)
        for part in body:
            self.visit(part)
        self._scope = before

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Open a scope that functions inside do not see."""
        self._scope.bind(node.name)
        for outside in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(outside)
        before, self._scope = self._scope, Scope(node, self._scope)
        for part in node.body:
            self.visit(part)
        self._scope = before

    def generic_visit(self, node: ast.AST) -> None:
        """Go on below; a comprehension has a scope of its own, handlers and global statements bind names."""
        if isinstance(node, ast.ExceptHandler) and node.name:
            self._scope.bind(node.name)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            for name in node.names:
                self.module.bind(name)
        if not isinstance(node, _COMPREHENSIONS):
            super().generic_visit(node)
            return
        before, self._scope = self._scope, Scope(node, self._scope)
        super().generic_visit(node)
        self._scope = before
