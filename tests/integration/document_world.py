"""A person's folder and home for the documents, and how a line of theirs is typed there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import wasmtime

from bacalhau.cli.main import group, main
from bacalhau.home import Home
from bacalhau.shared_caches import share_caches
from tests.documents import synopsis
from tests.integration.stack_world import bacalhau, run

ROOT = Path(__file__).parents[2]
FUNCTION = """
def main(data, column="price"):
    return {"bytes": len(data.read()), "column": column}
"""
MODULE = '(module (memory (export "memory") 1) (func (export "_start")))'
SHELL = re.compile(r"&&|[<>|$]|^[A-Z_]+=|^(cat|cp|mkdir|sqlite3|export|eval)\b")
"""What needs a shell; all else is called in this process."""
CALLED = frozenset({
    "add", "audit", "cancel", "cat", "describe", "doctor", "events", "get", "graph", "id", "lint", "list", "logs", "ls",
    "store", "trust", "version",
})  # fmt: skip
"""Commands whose synopses are called too, with as little as they take."""


@dataclass
class World:
    """A folder and a home in which something has been run already."""

    folder: Path
    home: Path
    values: dict[str, str]
    """What stands for what in a command."""
    special: dict[str, dict[str, str]]
    """The same for single commands, before the others."""

    def filled(self, text: str) -> str:
        """Put what is there for what stands for it."""
        path = synopsis.find_command(text.split(" "))[2] if text.startswith("bacalhau ") else ""
        values = self.values | self.special.get(path, {})
        return " ".join(values.get(word, word) for word in text.split(" "))

    def type(self, text: str, read_output: Any, cwd: Path | None = None) -> tuple[int, str]:
        """Run a line here; return its exit code and what it prints, on stdout and then on stderr."""
        if SHELL.search(text):
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            done = subprocess.run(
                ["bash", "-euc", text],
                env={**os.environ, "PATH": path},
                cwd=cwd,
                capture_output=True,
                text=True,
                timeout=300,
            )
            return done.returncode, done.stdout + done.stderr
        words = shlex.split(text)
        read_output()
        if words[0] == "bacalhau-audit":
            from verifier.audit_cli import main as audit

            code = audit(words[1:])
        else:
            assert words[0] == "bacalhau", f"no rule says how to run {text!r}"
            code = main(words[1:])
        said = read_output()
        return code, (said.out + said.err).decode()


def make_world(folder: Path, caches: Path) -> World:
    """Make it; caches: a home whose images are used."""
    home = folder / "home"
    share_caches(Home(caches), Home(home))
    (folder / "my_function").mkdir()
    (folder / "my_function" / "function.py").write_text(FUNCTION)
    (folder / "f.py").write_text(FUNCTION)
    (folder / "data.csv").write_text("price\n" + "\n".join(map(str, range(83))) + "\n")
    for name in ("2021/old.jpg", "2022/a.jpg", "2022/june/b.jpg"):
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).write_text(name)
    (folder / "functions").symlink_to(ROOT / "functions", target_is_directory=True)
    shutil.copy(ROOT / "README.md", folder)
    (folder / "main.wasm").write_bytes(wasmtime.wat2wasm(MODULE))
    report = run(home, folder / "my_function", "-i", folder / "data.csv")
    other = run(home, folder / "my_function", "-i", folder / "data.csv", "--arg", "column=count")
    published = bacalhau(home, "publish", report["job"], "--to", f"car:{folder / 'theirs.car'}")
    assert published.returncode == 0, published.stderr
    (home / "api-token").write_text("ab" * 32)
    (home / "api-token").chmod(0o600)
    values = {
        "A": report["job"],
        "B": other["job"],
        "CAR": "theirs.car",
        "CID": report["record"],
        "CRATE": "crate",
        "F": "my_function",
        "FILE": "published.car",
        "FUNCTION": "my_function",
        "JOB": report["job"],
        "NAME": "kept",
        "OUTPUT": report["output"],
        "PATH": "data.csv",
        "RECORD": report["record"],
        "REPOSITORY": str(ROOT),
        "SIZE": "20Gb",
        "car:FILE": "car:published.car",
        "f": "my_function",
        "x": "data.csv",
    }
    special = {
        "cat": {"CID": f"{report['output']}/result"},
        "ls": {"CID": report["output"]},
        "graph merge": {"FILE": "theirs.car"},
        "store pin": {"CID": f"{report['output']} --name kept"},
    }
    return World(folder, home, values, special)


def least_call(text: str) -> str | None:
    """Return the call that a synopsis makes at least, None if that is no call to try."""
    _, items, path = synopsis.find_command(synopsis.parse(text))
    words = [word for word in items if isinstance(word, str) and set(word) - set("…")]
    if path.split(" ")[0] not in CALLED or any(word.startswith("-") for word in words):
        return None
    return " ".join(("bacalhau", path, *(re.sub(r"\[.*?\]", "", word).split("|")[0] for word in words)))


def is_synopsis(text: str) -> bool:
    """Tell a form from a call; what a shell would take as one word with `|` in it is a form too."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"|/\S+…", "", text)
    return bool(re.search(r"(^|\s)\[|\[/|…|[A-Z]\||\|[A-Z]", bare))


def read_flags(text: str) -> None:
    """Have the command itself read the flags of a call, which runs nothing.

    Raises:
        click.UsageError: it is no call.
    """
    words = shlex.split(re.sub(r"^([A-Z_]+=\S+ )+", "", text.replace("…", "x")))
    if words[0] != "bacalhau":
        return
    context, command, arguments = click.Context(group), group, words[1:]
    while isinstance(command, click.Group):
        _, command, arguments = command.resolve_command(context, arguments)
    command.make_context("x", arguments)
