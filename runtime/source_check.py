"""Looks at a function's source before anything runs: does it parse, is the entry point there, are the arguments known?

Pure. The host's grammar may be older than the guest's; so a syntax error found here is only a suspicion, and the guest
decides (`runtime.prepare`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from storage.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntaxProblem:
    """Where the source does not parse."""

    line: int
    message: str


def parse(source: bytes, name: str) -> ast.Module | SyntaxProblem:
    """Parse with the host's grammar."""
    try:
        return ast.parse(source, filename=name)
    except SyntaxError as error:
        return SyntaxProblem(line=error.lineno or 1, message=error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        return SyntaxProblem(line=1, message=str(error) or type(error).__name__)


def check_entry(module: ast.Module, *, entry: str, args: Iterable[str], where: str) -> None:
    """Refuse an entry point that the module does not define, and arguments that it does not take or lacks.

    Raises:
        UserError: as said; nothing is raised where only running the module could tell.
    """
    defined = dict(_definitions(module.body))
    if entry not in defined:
        if _may_define_more(module):
            return
        names = [name for name, node in defined.items() if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        known = f"it defines {', '.join(names)}" if names else "it defines no function"
        raise UserError(
            f"has no entry point {entry!r} ({known})",
            where=where,
            fix=f"add `def {entry}(data):`" + (f" or choose one with --entry {names[0]}" if names else ""),
        )
    node = defined[entry]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list:
        _check_args(node, list(args), where)


def _check_args(node: ast.FunctionDef | ast.AsyncFunctionDef, args: list[str], where: str) -> None:
    spec = node.args
    positional = [argument.arg for argument in (*spec.posonlyargs, *spec.args)]
    accepted = [argument.arg for argument in (*spec.args, *spec.kwonlyargs)]
    data = positional[0] if positional else None
    for name in args:
        if name == data:
            raise UserError(f"{name!r} is the input itself", where=f"--arg {name}", fix="give the input with -i")
        if name not in accepted and spec.kwarg is None:
            known = ", ".join(argument for argument in accepted if argument != data) or "none"
            raise UserError(
                f"{node.name}() takes no argument {name!r}", where=f"{where}:{node.lineno}", fix=f"it takes: {known}"
            )
    missing = [name for name in _required(spec) if name not in args]
    if missing:
        problem = f"{node.name}() needs the argument {missing[0]!r}"
        raise UserError(problem, where=f"{where}:{node.lineno}", fix=f"give it with --arg {missing[0]}=…")


def _required(spec: ast.arguments) -> list[str]:
    """Return the parameters without default, the input's apart."""
    positional = [*spec.posonlyargs, *spec.args]
    without_default = positional[: len(positional) - len(spec.defaults)][1:]
    keyword_only = [
        argument for argument, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if not default
    ]
    return [argument.arg for argument in (*without_default, *keyword_only)]


def _definitions(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the names that a module's statements bind at its top level, branches included."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name, statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name.split(".")[0], statement) for alias in statement.names)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from (
                (name.id, statement) for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
            )
        for field in ("body", "orelse", "finalbody"):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _definitions(getattr(statement, field, ()))
        for handler in getattr(statement, "handlers", ()):
            yield from _definitions(handler.body)


def _may_define_more(module: ast.Module) -> bool:
    """Tell whether names can come from where reading cannot see: star imports, exec, globals()."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return True
        if isinstance(node, ast.Name) and node.id in ("exec", "globals", "setattr", "__getattr__"):
            return True
    return any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in module.body)
