"""requirements.txt as values: what a function asks for, in a form in which order, spacing and comments don't matter.

A strict part of pip's format: one PEP 508 requirement a line, comments, continuation lines. Everything that would make
the answer depend on one machine (paths, URLs, index options) is refused with the line and the way out.
Source: pip's requirements file format; PEP 508.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from storage.errors import UserError

_COMMENT = re.compile(r"(^|\s)#.*$")
_OPTION_FIXES = {
    "-r": "copy the other file's lines here",
    "--requirement": "copy the other file's lines here",
    "-c": "write the constrained versions here",
    "--constraint": "write the constrained versions here",
    "-e": "put the package's source into the function's directory",
    "--editable": "put the package's source into the function's directory",
    "-i": "set UV_INDEX_URL in the environment instead",
    "--index-url": "set UV_INDEX_URL in the environment instead",
    "--extra-index-url": "set UV_EXTRA_INDEX_URL in the environment instead",
    "-f": "set an index in the environment (UV_INDEX_URL) instead",
    "--find-links": "set an index in the environment (UV_INDEX_URL) instead",
    "--hash": "remove it: the lock records every wheel's sha256 by itself",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementLine:
    """One requirement that applies to the guest."""

    name: str
    """Normalised as PEP 503 says."""
    text: str
    """Canonical: normalised name, sorted extras and specifiers, no marker."""
    specifier: str
    """Version specifiers alone; empty if any version will do."""
    place: str
    """Where it stands, for errors, such as `requirements.txt line 3`."""

    @property
    def pinned(self) -> bool:
        """Tell whether it allows one version only."""
        return self.specifier.startswith("==") and "," not in self.specifier and "*" not in self.specifier


def guest_markers(python: str) -> dict[str, str]:
    """Return the values of PEP 508 markers in the guest; `python` is a feature version such as `3.14`.

    They are the same for every patch release, so that a lock does not depend on one.
    """
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "wasm32",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Emscripten",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "emscripten",
    }


def parse_requirements(text: str, *, python: str, where: str = "requirements.txt") -> tuple[RequirementLine, ...]:
    """Return the requirements that apply to the guest, sorted, each once.

    python: the guest's feature version, for markers. where: the file's name, for errors.

    Raises:
        UserError: a line that is no requirement, or a kind that is not supported; names the line and the fix.
    """
    found: dict[str, RequirementLine] = {}
    for number, line in _logical_lines(text):
        place = f"{where} line {number}"
        requirement = _parse_line(line, where=place)
        if requirement.marker is None or requirement.marker.evaluate(dict(guest_markers(python))):
            canonical = _canonical(requirement, place)
            found.setdefault(canonical.text, canonical)
    return tuple(found[key] for key in sorted(found))


def normalised_text(requirements: tuple[RequirementLine, ...]) -> str:
    """Return the requirements as a file: equal for all files that ask for the same."""
    return "".join(f"{requirement.text}\n" for requirement in requirements)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of the first physical line, joined line) without comments and blanks."""
    joined, start = "", 1
    for number, line in enumerate([*text.removeprefix("\ufeff").splitlines(), ""], start=1):
        start = start if joined else number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        complete = _COMMENT.sub("", joined + line).strip()
        joined = ""
        if complete:
            yield start, complete


def _parse_line(line: str, *, where: str) -> Requirement:
    _refuse_options(line, where)
    if re.match(r"[a-z][a-z0-9+.-]*://", line, re.IGNORECASE) or line.startswith(("/", ".", "~")):
        raise UserError(
            "a URL or path is not a locked package", where=where, fix="name a package and version: name==1.2"
        )
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"not a requirement: {line!r} ({reason})", where=where, fix="write name or name==1.2"
        ) from error
    if requirement.url is not None:
        raise UserError("a URL is not a locked package", where=where, fix=f"write {requirement.name}==1.2 instead")
    return requirement


def _refuse_options(line: str, where: str) -> None:
    option = re.search(r"(?:^|\s)(--?[a-z][a-z-]*)", line)
    if option is None:
        return
    # "-rother.txt" is how pip spells "-r other.txt" as well
    name = option[1] if option[1].startswith("--") else option[1][:2]
    raise UserError(f"option {name} is not supported", where=where, fix=_OPTION_FIXES.get(name, "remove it"))


def _canonical(requirement: Requirement, place: str) -> RequirementLine:
    name = canonicalize_name(requirement.name)
    extras = ",".join(sorted(canonicalize_name(extra) for extra in requirement.extras))
    specifier = ",".join(sorted(str(part) for part in requirement.specifier))
    text = f"{name}[{extras}]{specifier}" if extras else f"{name}{specifier}"
    return RequirementLine(name=name, text=text, specifier=specifier, place=place)
