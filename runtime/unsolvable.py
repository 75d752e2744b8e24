"""Why requirements cannot be satisfied, in one line a person can act on.

The resolver's explanation only says which packages to look at; what is wrong with each is found out by asking about it
alone: does it exist, has it wheels at all, has it one for the guest, has it one in the required versions.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from runtime.distribution import Distribution
from runtime.pylock import choose_wheel, parse_pylock
from runtime.requirements import RequirementLine
from runtime.resolver_client import Breadth, Question, Resolver
from storage.errors import UserError

_NOT_FOUND = re.compile(r"(\S+) was not found in the (?:package registry|provided package locations)")
_NO_VERSION = re.compile(r"there (?:is|are) no versions? of ([A-Za-z0-9._-]+?)([<>=!~][^\s]*)")
_WHEELLESS = re.compile(r"[Ww]heels are (?:required|available) for `([^`]+)`|versions of (\S+) have no usable wheels")
_WHEELLESS_VERSION = re.compile(r"([A-Za-z0-9._-]+?)[<>=!~]\S* has no (?:usable|wheels|`)")
MAX_REASON_CHARACTERS = 400
"""A resolver's proof can fill pages; its end, which names the requirements, is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impasse:
    """Requirements that no answer satisfied."""

    requirements: tuple[RequirementLine, ...]
    explanation: str
    """The resolver's, for the latest index."""
    lacking: tuple[str, ...]
    """Packages of a solution for any system that have no wheel for the guest."""


def unsolvable(impasse: Impasse, *, distribution: Distribution, stubs: Path, resolver: Resolver) -> UserError:
    """Return the error for requirements that cannot be satisfied.

    Raises:
        UnavailableError: the index stopped answering.
    """
    inquiry = _Inquiry(impasse, distribution, stubs, resolver)
    return (
        inquiry.missing_package()
        or inquiry.missing_version()
        or inquiry.missing_wheel()
        or inquiry.missing_wheel_of_version()
        or inquiry.conflict()
    )


class _Inquiry:
    """The questions about one impasse, in the order in which they explain it best."""

    def __init__(self, impasse: Impasse, distribution: Distribution, stubs: Path, resolver: Resolver) -> None:
        self._impasse = impasse
        self._said = " ".join(impasse.explanation.split())
        self._distribution = distribution
        self._stubs = stubs
        self._resolver = resolver

    def missing_package(self) -> UserError | None:
        """No index knows the name."""
        found = _NOT_FOUND.search(self._said)
        if found is None:
            return None
        name = canonicalize_name(found[1])
        meant = self._meant(name, alike=0.7)
        fix = f"did you mean {meant}?" if meant else "check the spelling, and the index in UV_INDEX_URL"
        return UserError(f"package {name} does not exist", where=self._place(name), fix=fix)

    def missing_version(self) -> UserError | None:
        """The name exists; nothing was ever published in the required range."""
        found = _NO_VERSION.search(self._said)
        if found is None:
            return None
        name = canonicalize_name(found[1])
        problem = f"no version of {name} satisfies {found[2].rstrip(',')}"
        return UserError(problem, where=self._place(name), fix=self._versions_fix(name))

    def missing_wheel(self) -> UserError | None:
        """No version of a package runs in the guest."""
        for name in self._suspects():
            if self._runs(name):
                continue
            if self._solved(name, Breadth.WIDE):
                problem = f"{name} has no WebAssembly wheel: it contains compiled code"
                fix = "build one with `pyodide build` (pyodide-build), or use a package that docs/packages.md lists"
            else:
                problem = f"{name} has no wheel at all, only source"
                fix = "copy its source beside function.py if it is pure Python, or build it with `pyodide build`"
            return UserError(problem, where=self._place(name), fix=fix)
        return None

    def missing_wheel_of_version(self) -> UserError | None:
        """A package runs in the guest, though not in the required versions."""
        suspects = self._suspects()
        for line in self._impasse.requirements:
            if line.specifier and line.name in suspects and not self._runs(line.text):
                problem = f"{line.text} has no WebAssembly wheel"
                return UserError(problem, where=line.place, fix=self._versions_fix(line.name))
        return None

    def conflict(self) -> UserError:
        """Everything runs by itself, the whole does not."""
        reason = self._said.partition("cause: ")[2].partition("hint:")[0] or self._said
        reason = re.sub(r",? (?:and )?we can conclude that your requirements are unsatisfiable\.?", "", reason).strip()
        if len(reason) > MAX_REASON_CHARACTERS:
            reason = "… " + reason[-MAX_REASON_CHARACTERS:].partition(" ")[2]
        reason = reason.removeprefix("Because ")
        names = [line for line in self._impasse.requirements if re.search(rf"\b{re.escape(line.name)}\b", reason)]
        where = ", ".join(line.place for line in names) or "requirements"
        if len(names) == 1:
            return UserError(f"{names[0].text} cannot be satisfied ({reason})", where=where, fix="loosen it")
        return UserError(f"requirements contradict each other ({reason})", where=where, fix="loosen one of them")

    def _suspects(self) -> tuple[str, ...]:
        hinted = [name for pair in _WHEELLESS.findall(self._said) for name in pair if name]
        hinted += _WHEELLESS_VERSION.findall(self._said)
        names = [canonicalize_name(name) for name in (*self._impasse.lacking, *hinted)]
        return tuple(dict.fromkeys(names))

    def _runs(self, requirement: str) -> bool:
        """Tell whether some version that a requirement allows has a wheel for the guest."""
        return self._solved(requirement, Breadth.NARROW) or self._solved(requirement, Breadth.WIDE, for_guest=True)

    def _solved(self, requirement: str, breadth: Breadth, *, for_guest: bool = False) -> bool:
        question = Question(
            requirements=requirement,
            python=self._distribution.python,
            stubs=self._stubs,
            breadth=breadth,
            dependencies=False,
        )
        answer = self._resolver.ask(question)
        if not answer.solved or not for_guest:
            return answer.solved
        packages = parse_pylock(answer.pylock, python=self._distribution.python)
        return all(choose_wheel(package, self._distribution) is not None for package in packages)

    def _place(self, name: str) -> str:
        places = [line.place for line in self._impasse.requirements if line.name == name]
        if places:
            return places[0]
        return "a package that is required by " + ", ".join(line.text for line in self._impasse.requirements)

    def _versions_fix(self, name: str) -> str:
        built = self._distribution.packages.get(name)
        if built:
            return f"the runtime has {name} {built.version}"
        # The index knows this name, so it takes more to doubt it than one that nobody knows.
        meant = self._meant(name, alike=0.85)
        return f"did you mean {meant}? Else loosen the version" if meant else "loosen the version"

    def _meant(self, name: str, *, alike: float) -> str:
        """Return the package of the distribution whose name is nearest, empty if none is that much alike (0 to 1)."""
        known = [package.name for package in self._distribution.wheels()]
        return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=alike)), "")
