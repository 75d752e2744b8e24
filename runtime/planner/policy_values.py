"""Keys and values of a policy: `max-nodes = 2`, `isolation = "strict"`, `engine = ["pyodide-node", "wasmtime"]`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from runtime.planner.rules import Bound, Condition
from runtime.planner.stack import JAILS, STRICT_ISOLATIONS, EngineName, Isolation, Machine, Number, Place, Tier
from runtime.quantity import parse_bytes
from storage.errors import UserError

VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "tier": tuple(Tier),
    "engine": tuple(EngineName),
    "isolation": tuple(Isolation),
    "place": tuple(Place),
    "machine": tuple(Machine),
    "diverse": ("true", "false"),
    "gpu": ("true", "false"),
    "networking": ("true", "false"),
}
GROUPS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "isolation": {"strict": tuple(STRICT_ISOLATIONS), "jail": tuple(JAILS)}
}
"""Words that stand for several values."""
BOUNDS: Final[Mapping[str, tuple[str, bool]]] = {
    "max-nodes": ("nodes", True),
    "min-nodes": ("nodes", False),
    "max-confidence": ("confidence", True),
    "min-confidence": ("confidence", False),
    "max-timeout": ("timeout", True),
    "max-memory": ("memory", True),
}
"""Key -> number of a stack, and whether it is at most that."""
UNITS: Final[Mapping[str, str]] = {
    "nodes": "nodes",
    "confidence": "nodes that have to agree",
    "timeout": "s for an execution",
    "memory": "bytes of memory",
}
MOST: Final = 1000
"""Nodes; more than a rule of a record can say."""
LONGEST_S: Final = 30 * 86400


def read_demand(key: str, value: Any, *, where: str) -> tuple[Condition | Bound, str]:
    """Return what a key with its value demands, and the same in words.

    where: file and line.

    Raises:
        UserError: the key is unknown, or the value is none of its own.
    """
    if key in BOUNDS:
        name, at_most = BOUNDS[key]
        number = _number(key, name, value, where)
        return Bound(key=name, at_most=at_most, value=number), bound_words(name, number, at_most=at_most)
    if key not in VALUES:
        names = (*VALUES, *BOUNDS)
        raise UserError(f"unknown key {key[:80]!r}", where=where, fix=suggestion(key, names))
    typed = value if isinstance(value, list) else [value]
    if not typed:
        raise UserError(f"{key} has no value", where=where, fix="name one")
    words = [_word(key, one, where) for one in typed]
    values = [meant for word in words for meant in GROUPS.get(key, {}).get(word, (word,))]
    return Condition(key=key, values=frozenset(map(str, values))), choice_words(key, words)


def bound_words(name: str, number: Number, *, at_most: bool) -> str:
    """Return a bound as a person says it."""
    amount = f"{number:g}" if isinstance(number, float) else str(number)
    unit = UNITS[name].replace("nodes", "node", 1) if number == 1 else UNITS[name]
    return f"{'at most' if at_most else 'at least'} {amount} {unit}"


def choice_words(key: str, words: Iterable[str]) -> str:
    """Return a condition as a person says it."""
    return f"{key} {' or '.join(words)}"


def _word(key: str, value: Any, where: str) -> str:
    if VALUES[key] == ("true", "false"):
        if isinstance(value, bool):
            return str(value).lower()
        raise UserError(f"{key} is true or false", where=where, fix=f"write {key} = true, without quotes")
    known = (*VALUES[key], *GROUPS.get(key, {}))
    if isinstance(value, str) and value in known:
        return value
    said = repr(value)[:80]
    raise UserError(f"{said} is no {key}", where=where, fix=suggestion(str(value), known))


def _number(key: str, name: str, value: Any, where: str) -> Number:
    if name == "memory" and isinstance(value, str):
        return parse_bytes(value, where=where)
    is_number = type(value) is int or (name == "timeout" and type(value) is float)
    most = {"timeout": LONGEST_S, "memory": 1 << 50}.get(name, MOST)
    if is_number and 0 < value <= most:
        number: Number = value
        return number
    like = {"timeout": "600, in seconds", "memory": '"512Mb"'}.get(name, "2")
    raise UserError(f"{repr(value)[:80]} does not do for {key}", where=where, fix=f"write it like {key} = {like}")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return what to write in place of an unknown word."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"
