"""Labels of a node, which its operator gives and a job's selector asks for: `zone=eu`, `example.org/gpu=none`. Pure.

A node says them of itself and nobody checks them: they choose among nodes, and prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from storage import dag_cbor
from storage.errors import UserError

MAX_LABELS: Final = 32
MAX_VALUE_BYTES: Final = 63
MAX_ENCODED_BYTES: Final = 448
"""Of all labels of a node together, in DAG-CBOR: they travel in its capacity record, whose 1,024 bytes then have
room for an address still, with two engines and numbers of any size."""

_NAME: Final = re.compile(r"[a-zA-Z0-9._/-]{1,63}")
_FORM: Final = "1 to 63 of a-z A-Z 0-9 . _ / -"


def labels_problem(labels: dict[Any, Any]) -> str:
    """Return what is wrong with a map of labels; empty if nothing."""
    if len(labels) > MAX_LABELS:
        return f"has more than {MAX_LABELS} labels"
    for name, value in labels.items():
        if problem := _problem(name, value):
            return problem
    size = encoded_size(labels)
    return "" if size <= MAX_ENCODED_BYTES else f"takes {size} bytes, {MAX_ENCODED_BYTES} at most"


Labels = Annotated[dict[str, str], labels_problem]


def encoded_size(labels: Mapping[str, str]) -> int:
    """Return how many bytes labels take in a capacity record."""
    return len(dag_cbor.encode(dict(labels)))


def parse_labels(texts: Iterable[str], *, where: str) -> dict[str, str]:
    """Read labels of the form K=V, by name; `where` names the flag.

    Raises:
        UserError: malformed, a name twice, or too many of them.
    """
    labels: dict[str, str] = {}
    for text in texts:
        name, value = _split(text, where)
        if name in labels:
            raise UserError(f"label {name!r} is given twice", where=where, fix="keep one of them")
        labels[name] = value
    if problem := labels_problem(labels):
        raise UserError(f"all of them together: {problem}", where=where, fix="give fewer or shorter labels")
    return dict(sorted(labels.items()))


def parse_selector(texts: Iterable[str], *, where: str) -> tuple[tuple[str, str], ...]:
    """Read a selector: labels K=V that a node must have, each of them; several in one text are separated by commas.

    Raises:
        UserError: malformed, or more than a node can have; a name with two values could never be met.
    """
    parts = [part for text in texts for part in text.split(",")]
    pairs = sorted({_split(part, where) for part in parts})
    names = [name for name, _ in pairs]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"label {repeated!r} cannot have two values", where=where, fix="keep one of them")
    if len(pairs) > MAX_LABELS:
        raise UserError(f"has more than {MAX_LABELS} labels, and so has no node", where=where, fix="give fewer")
    return tuple(pairs)


def matches(selector: Iterable[tuple[str, str]], labels: Mapping[str, str]) -> bool:
    """Tell whether a node with these labels has all that a selector asks for; an empty one asks for nothing."""
    return all(labels.get(name) == value for name, value in selector)


def _split(text: str, where: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{text[:80]!r} is not of the form K=V", where=where, fix=f"write {where} zone=eu")
    if problem := _problem(name, value):
        raise UserError(f"{text[:80]!r} {problem}", where=where, fix=f"write {where} zone=eu")
    return name, value


def _problem(name: object, value: object) -> str:
    if type(name) is not str or not _NAME.fullmatch(name):
        return f"has a name that is not {_FORM}"
    if type(value) is not str or not value.isprintable() or "," in value or len(value.encode()) > MAX_VALUE_BYTES:
        return f"has a value that is not up to {MAX_VALUE_BYTES} bytes of text, without commas"
    return ""
