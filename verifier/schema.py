"""Strict reading and writing of the model's types: a class's annotations are its schema.

A `Schema` is a frozen dataclass whose annotations carry bounds (`verifier.bounds`). Instances are checked when made, so
one that exists is legal; `from_node` accepts exactly the keys and types written and nothing else, so
`X.from_node(node).to_node() == node` for every node it accepts. Knows nothing about stores or signatures.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeAlias, Union, get_args, get_origin, get_type_hints

from storage.errors import VerificationError

_Check: TypeAlias = Callable[[Any, str], None]
"""Takes a value and its path from the outermost type."""
_Reader: TypeAlias = Callable[[object, str], Any]
"""The same, and returns the value of the model."""


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
        hashable: Any = type(self)
        for name, check in _checks(hashable):
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
    hashable: Any = cls
    readers = _readers(hashable)
    expected = {name for name, _ in readers} | ({"v"} if cls.VERSION else set())
    if missing := sorted(expected - set(node)):
        raise ModelError("is missing", field=_join(where, missing[0]))
    if len(node) > len(expected):
        raise ModelError("has an unknown key", field=where or "node")
    values = {}
    for name, reader in readers:
        value = node[name]
        values[name] = value if reader is None or value is None else reader(value, _join(where, name))
    try:
        return cls(**values)
    except ModelError as error:
        raise ModelError(error.problem, field=_join(where, error.field)) from error


@cache
def _readers(cls: type[Schema]) -> tuple[tuple[str, _Reader | None], ...]:
    """Return for each field what gives a node's value the structure of its hint; None for one that stays as it is."""
    return tuple((name, _reader_of(_unwrap(hint))) for name, hint in _fields(cls).items())


def _reader_of(hint: Any) -> _Reader | None:
    """Return what reads a value, without its bounds: they are checked when the type is made."""
    if get_origin(hint) is tuple:
        return _list_reader(_reader_of(_unwrap(get_args(hint)[0])))
    if isinstance(hint, type) and issubclass(hint, Schema):
        return lambda value, where: _read_schema(hint, value, where)
    return None


def _list_reader(item_reader: _Reader | None) -> _Reader:
    def read(value: object, where: str) -> object:
        if not isinstance(value, list):
            raise ModelError("must be a list", field=where)
        if item_reader is None:
            return tuple(value)
        # null is no item, and is refused as such when the type is made.
        return tuple(None if item is None else item_reader(item, f"{where}[{i}]") for i, item in enumerate(value))

    return read


@cache
def _checks(cls: type[Schema]) -> tuple[tuple[str, _Check], ...]:
    """Return what checks each field of a class: put together once, since everything that is signed comes by here."""
    return tuple((name, _check_of(hint)) for name, hint in _fields(cls).items())


def _check_of(hint: Any) -> _Check:
    """Return what raises a `ModelError` for a value that `hint` does not allow."""
    if get_origin(hint) is Annotated:
        inner, *bounds = get_args(hint)
        return _bounded(_check_of(inner), tuple(bounds))
    if get_origin(hint) in (Union, types.UnionType):
        return _optional(_check_of(next(arm for arm in get_args(hint) if arm is not type(None))))
    if get_origin(hint) is tuple:
        return _each(_check_of(get_args(hint)[0]))
    expected = get_origin(hint) or getattr(hint, "__supertype__", hint)
    return lambda value, where: _check_type(expected, value, where)


def _bounded(check: _Check, bounds: tuple[Callable[[Any], str], ...]) -> _Check:
    def bounded(value: object, where: str) -> None:
        check(value, where)
        for bound in bounds:
            if problem := bound(value):
                raise ModelError(problem, field=where)

    return bounded


def _optional(check: _Check) -> _Check:
    def optional(value: object, where: str) -> None:
        if value is not None:
            check(value, where)

    return optional


def _each(check: _Check) -> _Check:
    def each(value: object, where: str) -> None:
        _check_type(tuple, value, where)
        for i, item in enumerate(value):  # type: ignore[arg-type, var-annotated]
            check(item, f"{where}[{i}]")

    return each


def _check_type(expected: type, value: object, where: str) -> None:
    """Compare types exactly: True is not 1, a subclass of str is not str."""
    if type(value) is not expected:
        raise ModelError(f"must be {expected.__name__}, not {type(value).__name__}", field=where)


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
