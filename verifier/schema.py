"""Strict reading and writing of the model's types: a class's annotations are its schema.

A `Schema` is a frozen dataclass whose annotations carry bounds (`verifier.bounds`). Instances are checked when made, so
one that exists is legal; `from_node` accepts exactly the keys and types written and nothing else, so
`X.from_node(node).to_node() == node` for every node it accepts. Knows nothing about stores or signatures.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from functools import cache
from typing import Annotated, Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from storage.errors import VerificationError


class ModelError(ValueError):
    """A value that its type does not allow.

    field: path from the outermost type, such as `wheels[3].sha256`; problem: what is wrong with it.
    """

    def __init__(self, problem: str, *, field: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.problem = problem
        self.field = field


class Schema:
    """What every type of the model can do."""

    __slots__ = ()

    VERSION: ClassVar[str] = ""
    """Value of the key `v`, type and version such as `task/1`; empty for a part that is never hashed by itself."""

    def __post_init__(self) -> None:
        for name, check in _checks(type(self)):
            check(getattr(self, name), name)

    def to_node(self) -> dict[str, Any]:
        """Return the DAG-CBOR node: plain dicts, lists and scalars, links as binary CIDs."""
        head = {"v": self.VERSION} if self.VERSION else {}
        return head | {name: _write(getattr(self, name)) for name in _fields(type(self))}

    @classmethod
    def from_node(cls, node: object) -> Self:
        """Read a decoded node.

        Raises:
            VerificationError: a key too many or too few, a wrong type, a value out of bounds; `where` is its path.
        """
        try:
            value: Self = _read_schema(cls, node, "")
        except ModelError as error:
            raise VerificationError(error.problem, where=f"{cls.VERSION or cls.__name__}: {error.field}") from error
        return value


def _fields(cls: type[Schema]) -> dict[str, Any]:
    """Return the annotations of the node's keys but `v`."""
    hashable: Any = cls
    return _resolve(hashable)


@cache
def _resolve(cls: type[Schema]) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar}


def _read_schema(cls: type[Any], node: object, where: str) -> Any:
    if not isinstance(node, dict):
        raise ModelError("must be a map", field=where or "node")
    if cls.VERSION and node.get("v") != cls.VERSION:
        raise ModelError(f"must be {cls.VERSION!r}", field=_join(where, "v"))
    fields = _fields(cls)
    expected = {"v", *fields} if cls.VERSION else set(fields)
    if missing := sorted(expected - set(node)):
        raise ModelError("is missing", field=_join(where, missing[0]))
    if len(node) > len(expected):
        raise ModelError("has an unknown key", field=where or "node")
    values = {name: _read(hint, node[name], _join(where, name)) for name, hint in fields.items()}
    try:
        return cls(**values)
    except ModelError as error:
        raise ModelError(error.problem, field=_join(where, error.field)) from error


def _read(hint: Any, value: object, where: str) -> Any:
    """Give a node's value the structure of `hint`; bounds are checked when the type is made."""
    inner = _unwrap(hint)
    if value is None or inner is Any:
        return value
    if get_origin(inner) is tuple:
        if not isinstance(value, list):
            raise ModelError("must be a list", field=where)
        return tuple(_read(get_args(inner)[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if isinstance(inner, type) and issubclass(inner, Schema):
        return _read_schema(inner, value, where)
    return value


Check = Callable[[Any, str], None]
"""Raises ModelError if a value, whose path is the text, is not what its hint says."""


def _checks(cls: type[Schema]) -> tuple[tuple[str, Check], ...]:
    """Return the checks of a class's fields: hints are looked into once, and not for each value."""
    hashable: Any = cls
    return _compiled_fields(hashable)


@cache
def _compiled_fields(cls: type[Schema]) -> tuple[tuple[str, Check], ...]:
    return tuple((name, _compiled(hint)) for name, hint in _fields(cls).items())


def _compiled(hint: Any) -> Check:
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *bounds = get_args(hint)
        return _bounded(_compiled(inner), bounds)
    if origin in (Union, types.UnionType):
        return _nullable(_compiled(next(arm for arm in get_args(hint) if arm is not type(None))))
    if origin is tuple:
        return _each(_compiled(get_args(hint)[0]))
    expected = origin or getattr(hint, "__supertype__", hint)
    return lambda value, where: _check_type(expected, value, where)


def _bounded(check: Check, bounds: Iterable[Callable[[Any], str]]) -> Check:
    def checked(value: Any, where: str) -> None:
        check(value, where)
        for bound in bounds:
            if problem := bound(value):
                raise ModelError(problem, field=where)

    return checked


def _nullable(check: Check) -> Check:
    def checked(value: Any, where: str) -> None:
        if value is not None:
            check(value, where)

    return checked


def _each(check: Check) -> Check:
    def checked(value: Any, where: str) -> None:
        _check_type(tuple, value, where)
        for i, item in enumerate(value):
            check(item, f"{where}[{i}]")

    return checked


def _check_type(expected: type, value: object, where: str) -> None:
    """Compare types exactly: True is not 1, a subclass of str is not str."""
    if type(value) is not expected:
        raise ModelError(f"must be {expected.__name__}, not {type(value).__name__}", field=where)


@cache
def _unwrap(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        return _unwrap(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return _unwrap(next(arm for arm in get_args(hint) if arm is not type(None)))
    return hint


def _write(value: Any) -> Any:
    if isinstance(value, Schema):
        return value.to_node()
    return [_write(item) for item in value] if isinstance(value, tuple) else value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
