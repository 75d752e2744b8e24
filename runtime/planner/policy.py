"""An operator's policy: the text of a policy.toml in, rules out (docs/planner.md has the grammar).

Strict: what is not understood is an error that names its line, for a policy that is half obeyed protects nobody.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from runtime.planner.policy_lines import Path, key_lines, line_of
from runtime.planner.policy_values import read_demand, suggestion
from runtime.planner.rules import Bound, Condition, Origin, Rule
from storage.counting import counted
from storage.errors import UserError

MAX_BYTES: Final = 64 << 10
MAX_RULES: Final = 100
MAX_PREFERENCES: Final = 32
"""Of the rules. The solver's time grows with what has to be given up: 100 were seen to take 10 s, these 0.1 s."""
MAX_WEIGHT: Final = 1000
MAX_SAY: Final = 200
"""Characters of what a rule says about itself; it stands in errors of one line."""

_TABLES: Final = ("require", "forbid", "prefer", "rule")
_RULE_KEYS: Final = ("say", "when", "require", "forbid", "weight")


def read_policy(text: str, *, name: str) -> tuple[Rule, ...]:
    """Return the rules of a policy file, in the order of its tables.

    name: of the file, for errors and for what tells where a rule comes from.

    Raises:
        UserError: it cannot be read, or says something that is not understood; names the line.
    """
    return _Reader(text, name).rules()


class _Reader:
    """One file being read."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._text = text
        self._lines: Mapping[Path, int] = {}

    def rules(self) -> tuple[Rule, ...]:
        said = self._parse()
        self._lines = key_lines(self._text)
        self._check_keys((), said, _TABLES, "a policy")
        found = (
            *self._table(("require",), self._mapping(("require",), said.get("require", {}))),
            *self._forbidden(("forbid",), self._mapping(("forbid",), said.get("forbid", {}))),
            *self._preferred(self._mapping(("prefer",), said.get("prefer", {}))),
            *self._conditional(said.get("rule", [])),
        )
        if len(found) > MAX_RULES:
            raise UserError(f"has {counted(len(found), 'rule')}", where=self._name, fix=f"have {MAX_RULES} at most")
        if (count := sum(rule.weight is not None for rule in found)) > MAX_PREFERENCES:
            raise UserError(
                f"has {counted(count, 'preference')}", where=self._name, fix=f"have {MAX_PREFERENCES} at most"
            )
        return found

    def _parse(self) -> dict[str, Any]:
        if len(self._text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            raise UserError(f"is larger than {MAX_BYTES >> 10} KiB", where=self._name, fix="shorten it")
        for number, line in enumerate(self._text.splitlines(), 1):
            if '"""' in line or "'''" in line:
                raise self._wrong("has a string of several lines", number, "write it on one line")
        try:
            return tomllib.loads(self._text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise UserError(f"is no TOML: {str(error)[:200]}", where=self._name, fix="see docs/planner.md") from error

    def _table(self, path: Path, table: Mapping[str, Any], *, weight: int | None = None) -> Iterator[Rule]:
        for key, value in table.items():
            demand, words = self._demand((*path, key), key, value)
            yield self._rule((*path, key), _only(demand, words), then=(demand,), weight=weight)

    def _forbidden(self, path: Path, table: Mapping[str, Any]) -> Iterator[Rule]:
        for key, value in table.items():
            demand, words = self._condition((*path, key), key, value)
            yield self._rule((*path, key), f"never {words}", when=(demand,), never=True)

    def _preferred(self, table: Mapping[str, Any]) -> Iterator[Rule]:
        for key, value in table.items():
            path: Path = ("prefer", key)
            weight = 1
            if isinstance(value, dict):
                self._check_keys(path, value, ("is", "weight"), "a preference")
                if "is" not in value:
                    raise self._wrong("says no value", path, 'write it like { is = "embedded", weight = 5 }')
                weight, value = self._weight((*path, "weight"), value.get("weight", 1)), value["is"]
            demand, words = self._demand(path, key, value)
            yield self._rule(path, f"rather {words}", then=(demand,), weight=weight)

    def _conditional(self, found: Any) -> Iterator[Rule]:
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._wrong("rule is no list of tables", ("rule",), "write [[rule]]")
        for number, said in enumerate(found):
            yield from self._one_conditional(("rule", number), said)

    def _one_conditional(self, path: Path, said: Mapping[str, Any]) -> Iterator[Rule]:
        self._check_keys(path, said, _RULE_KEYS, "a rule")
        if ("require" in said) == ("forbid" in said):
            raise self._wrong("has to have either require or forbid", path, "give one of the two")
        weight = self._weight((*path, "weight"), said["weight"]) if "weight" in said else None
        when = self._all((*path, "when"), said.get("when", {}))
        conditions, whens = tuple(one for one, _ in when), " and ".join(words for _, words in when)
        head = f"with {whens} " if whens else ""
        if "forbid" in said:
            banned = self._all((*path, "forbid"), said["forbid"])
            if not banned:
                raise self._wrong("forbids nothing", (*path, "forbid"), 'write it like { isolation = "none" }')
            words = f"{head}never {' and '.join(one for _, one in banned)}"
            both = (*conditions, *(one for one, _ in banned))
            yield self._rule(path, self._say(path, said, words), when=both, never=True, weight=weight)
            return
        wanted = self._mapping((*path, "require"), said["require"])
        demands = [self._demand((*path, "require", key), key, value) for key, value in wanted.items()]
        if not demands:
            raise self._wrong("requires nothing", (*path, "require"), 'write it like { machine = "vm" }')
        words = head + " and ".join(_only(demand, one) for demand, one in demands)
        then = tuple(one for one, _ in demands)
        yield self._rule(path, self._say(path, said, words), when=conditions, then=then, weight=weight)

    def _all(self, path: Path, table: Any) -> list[tuple[Condition, str]]:
        return [self._condition((*path, key), key, value) for key, value in self._mapping(path, table).items()]

    def _condition(self, path: Path, key: str, value: Any) -> tuple[Condition, str]:
        demand, words = self._demand(path, key, value)
        if isinstance(demand, Bound):
            raise self._wrong(f"{key} can only be required", path, "put it into [require]")
        return demand, words

    def _demand(self, path: Path, key: str, value: Any) -> tuple[Condition | Bound, str]:
        return read_demand(key, value, where=self._where(path))

    def _rule(self, path: Path, words: str, **parts: Any) -> Rule:
        return Rule(words=words, origin=Origin.POLICY, where=self._where(path), fix="change the policy", **parts)

    def _say(self, path: Path, said: Mapping[str, Any], words: str) -> str:
        if "say" not in said:
            return words
        text = said["say"]
        if not isinstance(text, str) or not 0 < len(text) <= MAX_SAY or not text.isprintable():
            fix = f"write up to {MAX_SAY} printable characters"
            raise self._wrong("say is no short text", (*path, "say"), fix)
        return text

    def _weight(self, path: Path, value: Any) -> int:
        if type(value) is not int or not 1 <= value <= MAX_WEIGHT:
            raise self._wrong("weight is no whole number from 1 to 1000", path, "write it like weight = 5")
        return value

    def _mapping(self, path: Path, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(f"{path[-1]} is no table", path, f"write [{path[-1]}], or {{ key = value }} in a rule")
        return value

    def _check_keys(self, path: Path, table: Mapping[str, Any], known: Iterable[str], what: str) -> None:
        for key in table:
            if key not in known:
                raise self._wrong(f"unknown key {key[:80]!r} in {what}", (*path, key), suggestion(key, known))

    def _where(self, place: Path | int) -> str:
        line = place if isinstance(place, int) else line_of(self._lines, place)
        return f"{self._name}:{line}"

    def _wrong(self, problem: str, place: Path | int, fix: str) -> UserError:
        return UserError(problem, where=self._where(place), fix=fix)


def _only(demand: Condition | Bound, words: str) -> str:
    return words if isinstance(demand, Bound) else f"only {words}"
