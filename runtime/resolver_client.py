"""Asks `uv` which versions satisfy requirements in the guest; the only file that starts it.

`uv` has no platform for the guest's ABI, so it is asked in its universal mode with the guest as the only environment:

- NARROW keeps versions that have a `py3-none-any` wheel (uv drops wheels whose platform tag it does not know).
- WIDE keeps every version with wheels for any POSIX system and lists them all, those for the guest among them; whoever
  asks must check the tags.

Nothing but the index, credentials, certificates, proxies, cache and network settings of the environment reaches uv:
constraints, overrides or prerelease modes in the user's configuration must not change a lock.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from uv import find_uv_bin

from storage.errors import UnavailableError

DEADLINE_S = 300.0
"""For one call; uv has its own, shorter ones for each request."""
_HONOURED = re.compile(
    r"UV_(INDEX|DEFAULT_INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|INDEX_.*_(USERNAME|PASSWORD)|INSECURE_HOST|"
    r"KEYRING_PROVIDER|NATIVE_TLS|SYSTEM_CERTS|CACHE_DIR|NO_CACHE|OFFLINE|HTTP_.*|REQUEST_TIMEOUT|CONCURRENT_.*|"
    r"CREDENTIALS_DIR)"
)
_FROM_PIP = {"PIP_INDEX_URL": "UV_INDEX_URL", "PIP_EXTRA_INDEX_URL": "UV_EXTRA_INDEX_URL", "PIP_CERT": "SSL_CERT_FILE"}


class Breadth(StrEnum):
    """Which wheels make a version eligible: the value is the environment that uv resolves for."""

    NARROW = "sys_platform == 'emscripten' and platform_machine == 'wasm32'"
    WIDE = "os_name == 'posix'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the resolver; equal questions to an unchanged index have equal answers."""

    requirements: str
    """Lines of a requirements file."""
    python: str
    """The guest's feature version, such as `3.14`."""
    stubs: Path | None = None
    """Find-links directory of the distribution."""
    network: bool = True
    """False: resolve against the stubs alone."""
    breadth: Breadth = Breadth.NARROW
    preferences: tuple[tuple[str, str], ...] = ()
    """(name, version) to take where the requirements leave the choice."""
    uploaded_before: str | None = None
    """RFC 3339 time: files that reached the index later do not exist."""
    dependencies: bool = True
    """False: the named packages alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What uv said."""

    solved: bool
    pylock: str
    """Lock in the format of PEP 751; empty if not solved."""
    explanation: str
    """What uv wrote beside it: warnings, or why there is no solution."""


class Resolver(Protocol):
    """Answers questions about versions."""

    def ask(self, question: Question) -> Answer:
        """Return the solution, or why there is none.

        Raises:
            UnavailableError: it could not be found out (no network, index in trouble).
        """
        ...


class UvResolver:
    """`uv pip compile` in a subprocess."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(os.environ if environment is None else environment)

    def ask(self, question: Question) -> Answer:
        """Return the solution, or why there is none. Takes 0.3 s without network.

        Raises:
            UnavailableError: the index could not be asked, or uv did not end in time.
        """
        with tempfile.TemporaryDirectory(prefix="bacalhau-lock-") as scratch:
            project = Path(scratch)
            _write_project(project, question)
            try:
                done = self._run(question, project)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise UnavailableError(f"uv could not run: {error}", fix="run it again") from error
            pylock = (project / "pylock.toml").read_text("utf-8") if done.returncode == 0 else ""
        if done.returncode == 0:
            return Answer(solved=True, pylock=pylock, explanation=done.stderr)
        # Anything else that went wrong is no answer: asked in another way it could give another lock than elsewhere.
        if "No solution found" in done.stderr and "was not found in the cache" not in done.stderr:
            return Answer(solved=False, pylock="", explanation=done.stderr)
        raise UnavailableError(
            f"the package index could not be asked: {_one_line(done.stderr)}",
            fix="check the network, or UV_INDEX_URL, and run it again",
        )

    def _run(self, question: Question, project: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [find_uv_bin(), *_arguments(question)],
            cwd=project,
            env=allowed_environment(self._environment, project),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=DEADLINE_S,
            check=False,
        )


class OutageMemory:
    """A resolver that stops asking once its index was out of reach: uv spends seconds on finding that out."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._outage: UnavailableError | None = None

    def ask(self, question: Question) -> Answer:
        """Pass the question on, or repeat the first outage.

        Raises:
            UnavailableError: it could not be found out, now or before.
        """
        if self._outage is not None:
            raise UnavailableError(self._outage.problem, fix=self._outage.fix)
        try:
            return self._resolver.ask(question)
        except UnavailableError as error:
            self._outage = error
            raise


def allowed_environment(environment: Mapping[str, str], project: Path) -> dict[str, str]:
    """Return the environment for uv: settings of the index and the network pass, the rest of uv's do not."""
    kept = {k: v for k, v in environment.items() if not k.startswith("UV_") or _HONOURED.fullmatch(k)}
    if not any(name in kept for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX")):
        for theirs, ours in _FROM_PIP.items():
            if theirs in kept:
                kept.setdefault(ours, kept[theirs])
    # uv's own configuration files may hold constraints; its credentials and its cache live elsewhere.
    return kept | {"XDG_CONFIG_HOME": str(project), "XDG_CONFIG_DIRS": str(project), "NO_COLOR": "1"}


def _arguments(question: Question) -> list[str]:
    arguments = ["pip", "compile", "requirements.in", "--output-file", "pylock.toml", "--format", "pylock.toml"]
    arguments += ["--universal", "--only-binary", ":all:", "--no-header", "--no-progress", "--no-python-downloads"]
    # An interpreter is needed to start, its version and platform play no part in the answer.
    arguments += ["--python", sys.executable, "--python-version", question.python]
    if question.stubs is not None:
        arguments += ["--find-links", str(question.stubs.resolve())]
    if not question.network:
        arguments += ["--no-index", "--offline"]
    elif question.uploaded_before is not None:
        arguments += ["--exclude-newer", question.uploaded_before]
    return arguments if question.dependencies else [*arguments, "--no-deps"]


def _write_project(project: Path, question: Question) -> None:
    major, minor = question.python.split(".")
    (project / "requirements.in").write_text(question.requirements, "utf-8")
    (project / "pyproject.toml").write_text(
        '[project]\nname = "function"\nversion = "0"\n'
        f'requires-python = ">={question.python},<{major}.{int(minor) + 1}"\n'
        f'[tool.uv]\nenvironments = ["{question.breadth}"]\n',
        "utf-8",
    )
    # The versions in an existing output file are preferences; uv refuses a lock file without packages.
    pins = "".join(f'[[packages]]\nname = "{name}"\nversion = "{version}"\n' for name, version in question.preferences)
    if pins:
        (project / "pylock.toml").write_text(f'lock-version = "1.0"\ncreated-by = "bacalhau"\n{pins}', "utf-8")


def _one_line(stderr: str) -> str:
    """Return the innermost two causes of uv's error, without credentials that a URL may carry."""
    lines = [re.sub(r"^(error|cause):\s*", "", line.strip()) for line in stderr.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("warning:", "hint:"))]
    said = " … ".join(dict.fromkeys([*kept[:1], *kept[-1:]])) or "no reason given"
    return re.sub(r"//[^/@\s]+@", "//", said)
