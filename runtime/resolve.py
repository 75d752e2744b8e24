"""Requirements -> the exact wheels, by questions to a resolver.

The distribution is asked first, without network: what it can satisfy gets the same answer on every machine, for ever.
Only then the package index is asked, as it stood when the runtime was released, and as it stands today only if that
was not enough. docs/decisions/0007-locks.md has the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from runtime.distribution import Distribution, Kind
from runtime.pylock import WantedWheel, choose_wheel, parse_pylock
from runtime.requirements import RequirementLine, normalised_text
from runtime.resolver_client import Answer, Breadth, Question, Resolver
from runtime.unsolvable import Impasse, unsolvable
from storage.errors import UnavailableError, UserError

SNAPSHOT: Final = "2026-07-25T00:00:00Z"
"""The day after Pyodide 314.0.3 was released. Changes only with the runtime, because it changes locks."""


class Origin(StrEnum):
    """What an answer depends on."""

    DISTRIBUTION = "distribution"
    """The runtime alone."""
    SNAPSHOT = "snapshot"
    """The runtime and the index as of `SNAPSHOT`: the same until a publisher deletes files."""
    LATEST = "latest"
    """The day it was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The exact wheels that satisfy requirements."""

    wheels: tuple[WantedWheel, ...]
    """Sorted by name."""
    origin: Origin


def resolve(
    requirements: tuple[RequirementLine, ...], *, distribution: Distribution, stubs: Path, resolver: Resolver
) -> Resolution:
    """Return the wheels of requirements and of everything they require.

    stubs: directory by `runtime.stub_index`.

    Raises:
        UserError: they cannot be satisfied in the guest; one line with the place, the reason and the fix.
        UnavailableError: the distribution does not satisfy them and the index could not be asked.
    """
    _refuse_uninstallable(requirements, distribution)
    lacking: tuple[str, ...] = ()
    explanation = ""
    for origin, question in _questions(requirements, distribution, stubs):
        answer = _ask(question, requirements, distribution, resolver)
        if not answer.solved:
            explanation = answer.explanation
            continue
        packages = parse_pylock(answer.pylock, python=distribution.python)
        chosen = {package.name: choose_wheel(package, distribution) for package in packages}
        wheels = tuple(wheel for wheel in chosen.values() if wheel is not None)
        if len(wheels) == len(chosen):
            _refuse_ignored_extras(answer, requirements)
            return Resolution(wheels=wheels, origin=origin)
        lacking = tuple(name for name, wheel in chosen.items() if wheel is None)
    impasse = Impasse(requirements=requirements, explanation=explanation, lacking=lacking)
    raise unsolvable(impasse, distribution=distribution, stubs=stubs, resolver=resolver)


def _questions(
    requirements: tuple[RequirementLine, ...], distribution: Distribution, stubs: Path
) -> Iterator[tuple[Origin, Question]]:
    """Yield the questions in order; the first whose answer has a wheel for everything decides."""
    text = normalised_text(requirements)
    yield Origin.DISTRIBUTION, Question(requirements=text, python=distribution.python, stubs=stubs, network=False)
    preferences = tuple((package.name, package.version) for package in distribution.wheels())
    for origin, uploaded_before in ((Origin.SNAPSHOT, SNAPSHOT), (Origin.LATEST, None)):
        for breadth in (Breadth.WIDE, Breadth.NARROW):
            yield (
                origin,
                Question(
                    requirements=text,
                    python=distribution.python,
                    stubs=stubs,
                    breadth=breadth,
                    preferences=preferences,
                    uploaded_before=uploaded_before,
                ),
            )


def _ask(
    question: Question, requirements: tuple[RequirementLine, ...], distribution: Distribution, resolver: Resolver
) -> Answer:
    """Ask; if the index is out of reach, say which packages it was needed for."""
    try:
        return resolver.ask(question)
    except UnavailableError as error:
        foreign = [line.text for line in requirements if line.name not in distribution.packages]
        if not foreign:
            raise
        raise UnavailableError(
            f"not in the runtime's distribution, and {error.problem}", where=", ".join(foreign), fix=error.fix
        ) from error


def _refuse_uninstallable(requirements: tuple[RequirementLine, ...], distribution: Distribution) -> None:
    for line in requirements:
        package = distribution.packages.get(line.name)
        if package is not None and package.kind is not Kind.WHEEL:
            what = "a C library" if package.kind is Kind.SHARED_LIBRARY else "a set of tests"
            fix = "remove it; no package of the runtime requires it"
            raise UserError(f"{line.name} is {what}, not a Python package", where=line.place, fix=fix)


def _refuse_ignored_extras(answer: Answer, requirements: tuple[RequirementLine, ...]) -> None:
    """Refuse an extra that the resolver left out: the function would fail later, at an import."""
    ignored = re.search(r"package `([^`=]+)==[^`]*` does not have an extra named `([^`]+)`", answer.explanation)
    if ignored is None:
        return
    raise UserError(
        f"the extra {ignored[2]} of {ignored[1]} is not known",
        where=next((line.place for line in requirements if line.name == ignored[1]), "requirements"),
        fix=f"require {ignored[1]} without it and list the packages that it would add",
    )
