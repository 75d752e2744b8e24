"""What a function writes for the terminal of whoever runs it: shown without effect, kept byte by byte."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from bacalhau.home import Home
from runtime.prepare import prepare
from tests.unit.bacalhau.fakes import Desk

pytestmark = pytest.mark.integration

EVIL: Final = {
    "clear screen": "\x1b[2J",
    "set title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;file:///etc/passwd\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "answer back": "\x1b[c\x05",
    "8-bit sequence": "\x9b2J\x9d0;owned\x9c",
    "device string": '\x1bP$q"p\x1b\\',
    "overwrite a line": "bad\rgood",
    "erase": "x\b\b\x7f",
    "other direction": "\u202eexe.txt\u2066",
    "markup": "[red]not red[/red]",
}
SHOWN: Final = "".join(EVIL.values())
SOURCE: Final = f"""
import os, sys
EVIL = {SHOWN!r}
def main(data, fails=False):
    sys.stdout.buffer.write(EVIL.encode()); sys.stderr.buffer.write(EVIL.encode())
    sys.stdout.flush(); sys.stderr.flush()
    open("/outputs/\\x1b[2J\\nname", "w").close()
    if fails: raise ValueError(EVIL)
    return EVIL
"""
HARMFUL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|owned|passwd|52;c"
)


@dataclass(frozen=True)
class Lasting:
    """An engine for several commands, each of which ends its own."""

    engine: Any

    def execute(self, *request: Any) -> Any:
        """Execute as the engine does."""
        return self.engine.execute(*request)

    def stop(self) -> None:
        """Go on."""


@pytest.fixture
def desk(house: Any, tmp_path: Path, capsysbinary: Any, monkeypatch: Any) -> Desk:
    """The command line with the real engine; what is shown is what comes out of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BACALHAU_DEBUG", raising=False)
    planned = partial(prepare, cache_dir=house.home / "cache")
    home = Home(tmp_path / "home")
    return Desk(home=home, engine=Lasting(house.engine), read_output=capsysbinary.readouterr, prepare=planned)


def test_what_is_shown_has_no_effect_and_what_is_kept_is_exact(desk: Desk, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "f.py").write_text(SOURCE)
    once = ("--concurrency", "1", "--confidence", "1")
    failed = desk("run", "python", "--deterministic", "f.py", "--arg", "fails=true", *once)
    assert (failed.code, HARMFUL.findall(failed.text + failed.err)) == (3, [])
    assert "good" in failed.text
    assert "[red]not red[/red]" in failed.text
    assert "ValueError" in failed.err

    again = desk("run", "python", "--deterministic", "f.py", "--json", *once)
    assert again.out.isascii()
    report = json.loads(again.out)
    assert report["result"] == report["stdout"] == report["stderr"] == SHOWN
    output = report["output"]
    assert desk("cat", f"{output}/result").out == SHOWN.encode()  # to no terminal: the bytes
    assert r"\x1b[2J\nname" in desk("ls", f"{output}/outputs/outputs").text

    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", terminal)
    desk("cat", f"{output}/result")
    assert HARMFUL.findall(terminal.getvalue()) == []


def test_errors_about_strange_names_are_one_plain_line(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "\x1b]0;owned\x07\n\u202efunction"
    folder.mkdir()
    said = desk("run", "python", "--deterministic", folder)
    assert said.code == 2
    assert HARMFUL.findall(said.text + said.err) == []
    assert said.err.count("\n") == 1
