"""Strict reading and writing of the model's types: a class's annotations are its schema.

A `Schema` is a frozen dataclass whose annotations carry bounds (`verifier.bounds`). Instances are checked when made, so
one that exists is legal; `from_node` accepts exactly the keys and types written and nothing else, so
`X.from_node(node).to_node() == node` for every node it accepts. Knows nothing about stores or signatures.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeAlias, Union, get_args, get_origin, get_type_hints

from storage.errors import VerificationError

Check: TypeAlias = Callable[[Any], None]
"""Raises ModelError whose `field` is the path from the value on: empty, or beginning with `.` or `[`."""
Turn: TypeAlias = Callable[[Any], Any]
"""Reads a node's value as one of the type, with errors like those of `Check`; or writes one of the type as a node's."""


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
        for field in _form(type(self)).fields:
            value = getattr(self, field.name)
            if type(value) is field.kind:  # as nearly every value; `check` says the same, slower
                for bound in field.bounds:
                    if bound(value):
                        break
                else:
                    continue
            try:
                field.check(value)
            except ModelError as error:
                raise ModelError(error.problem, field=field.name + error.field) from None

    def to_node(self) -> dict[str, Any]:
        """Return the DAG-CBOR node: plain dicts, lists and scalars, links as binary CIDs."""
        node: dict[str, Any] = {"v": self.VERSION} if self.VERSION else {}
        for field in _form(type(self)).fields:
            value = getattr(self, field.name)
            node[field.name] = value if field.write is None else field.write(value)
        return node

    @classmethod
    def from_node(cls, node: object) -> Self:
        """Read a decoded node.

        Raises:
            VerificationError: a key too many or too few, a wrong type, a value out of bounds; `where` is its path.
        """
        try:
            value: Self = _read_schema(cls, node)
        except ModelError as error:
            where = error.field.removeprefix(".") or "node"
            raise VerificationError(error.problem, where=f"{cls.VERSION or cls.__name__}: {where}") from error
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """One key of a node. Annotations are taken apart once for each class, since messages are read by the thousand."""

    name: str
    check: Check
    kind: type | None
    """What a value's type has to be, if its bounds are all that is to be checked besides."""
    bounds: tuple[Callable[[Any], str], ...]
    read: Turn | None
    """None: what is in the node is the value."""
    write: Turn | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What a class's nodes look like."""

    fields: tuple[_Field, ...]
    """The keys but `v`."""
    keys: frozenset[str]


def _form(cls: type[Schema]) -> _Form:
    hashable: Any = cls
    return _resolve(hashable)


@cache
def _resolve(cls: type[Schema]) -> _Form:
    hints = get_type_hints(cls, include_extras=True)
    fields = tuple(
        _Field(
            name=name,
            check=_check_of(hint),
            kind=_kind_of(hint),
            bounds=_bounds_of(hint),
            read=_reader_of(hint),
            write=_writer_of(hint),
        )
        for name, hint in hints.items()
        if get_origin(hint) is not ClassVar
    )
    names = {field.name for field in fields}
    return _Form(fields=fields, keys=frozenset(names | {"v"} if cls.VERSION else names))


def _read_schema(cls: type[Any], node: object) -> Any:
    if not isinstance(node, dict):
        raise ModelError("must be a map", field="")
    if cls.VERSION and node.get("v") != cls.VERSION:
        raise ModelError(f"must be {cls.VERSION!r}", field=".v")
    form = _form(cls)
    if not node.keys() >= form.keys:
        raise ModelError("is missing", field=f".{min(form.keys - node.keys())}")
    if len(node) > len(form.keys):
        raise ModelError("has an unknown key", field="")
    values = {}
    for field in form.fields:
        value = node[field.name]
        if field.read is not None:
            try:
                value = field.read(value)
            except ModelError as error:
                raise ModelError(error.problem, field=f".{field.name}{error.field}") from None
        values[field.name] = value
    try:
        return cls(**values)
    except ModelError as error:
        raise ModelError(error.problem, field=f".{error.field}") from None


def _reader_of(hint: Any) -> Turn | None:
    """Return what gives a node's value the structure of `hint`; bounds are checked when the type is made."""
    inner = _unwrap(hint)
    if get_origin(inner) is tuple:
        read = _reader_of(get_args(inner)[0])

        def read_list(value: Any) -> Any:
            if value is None:
                return None
            if not isinstance(value, list):
                raise ModelError("must be a list", field="")
            return tuple(value) if read is None else tuple(_each(read, value))

        return read_list
    if isinstance(inner, type) and issubclass(inner, Schema):
        return lambda value: None if value is None else _read_schema(inner, value)
    return None


def _writer_of(hint: Any) -> Turn | None:
    inner = _unwrap(hint)
    if get_origin(inner) is tuple:
        write = _writer_of(get_args(inner)[0])
        return lambda value: None if value is None else list(value) if write is None else [*map(write, value)]
    if isinstance(inner, type) and issubclass(inner, Schema):
        return lambda value: None if value is None else value.to_node()
    return None


def _kind_of(hint: Any) -> type | None:
    """Return the type of a scalar, of a part, or of nothing; None where there is more to check than bounds."""
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if get_origin(inner) in (Union, types.UnionType, tuple, Annotated):
        return None
    kind: type = get_origin(inner) or getattr(inner, "__supertype__", inner)
    return kind


def _bounds_of(hint: Any) -> tuple[Callable[[Any], str], ...]:
    return tuple(get_args(hint)[1:]) if get_origin(hint) is Annotated else ()


def _check_of(hint: Any) -> Check:
    if get_origin(hint) is Annotated:
        inner, *bounds = get_args(hint)
        return _bounded(_check_of(inner), bounds)
    if get_origin(hint) in (Union, types.UnionType):
        check = _check_of(next(arm for arm in get_args(hint) if arm is not type(None)))
        return lambda value: None if value is None else check(value)
    if get_origin(hint) is tuple:
        is_tuple, check = _is_exactly(tuple), _check_of(get_args(hint)[0])

        def check_all(value: Any) -> None:
            is_tuple(value)
            for _ in _each(check, value):
                pass

        return check_all
    return _is_exactly(get_origin(hint) or getattr(hint, "__supertype__", hint))


def _bounded(check: Check, bounds: list[Callable[[Any], str]]) -> Check:
    def check_bounds(value: Any) -> None:
        check(value)
        for bound in bounds:
            if problem := bound(value):
                raise ModelError(problem, field="")

    return check_bounds


def _is_exactly(expected: type) -> Check:
    """Compare types exactly: True is not 1, a subclass of str is not str."""

    def check_type(value: object) -> None:
        if type(value) is not expected:
            raise ModelError(f"must be {expected.__name__}, not {type(value).__name__}", field="")

    return check_type


def _each(turn: Turn, items: Iterable[Any]) -> Iterator[Any]:
    """Do it with every item; an error says with which."""
    for i, item in enumerate(items):
        try:
            yield turn(item)
        except ModelError as error:
            raise ModelError(error.problem, field=f"[{i}]{error.field}") from None


def _unwrap(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        return _unwrap(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return _unwrap(next(arm for arm in get_args(hint) if arm is not type(None)))
    return hint
