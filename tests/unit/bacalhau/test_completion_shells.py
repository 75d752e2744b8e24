"""The completion scripts in the shells themselves: each loads its script and is asked what may follow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bacalhau.cli.completion import SHELLS, script
from tests.requirements_gate import need

ASK = {
    "bash": "COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=();"
    ' _bacalhau_completion bacalhau; echo "${{COMPREPLY[@]}}"',
    # What the completion system would show is printed: there is no terminal to show it on.
    "zsh": "_describe() {{ print -l ${{(P)3}}; }}; compadd() {{ print -l ${{(P)@[-1]}}; }}; words=({words});"
    " CURRENT=$#words; _bacalhau_completion",
    "fish": "complete -C '{words}'",
}
"""What asks for completions of words, the last of them begun."""


def test_each_shell_is_asked():
    assert set(ASK) == set(SHELLS)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_offers_what_may_follow(shell, tmp_path):
    need(shell, shutil.which(shell) is not None, f"{shell} is not installed")
    load = tmp_path / "script"
    load.write_text(script(shell))
    before = "autoload -U compinit; compinit -D; " if shell == "zsh" else ""
    asked = "; ".join(ASK[shell].format(words=words) for words in ("bacalhau au", "bacalhau run pyt"))
    done = subprocess.run(
        [shell, *(["-f"] if shell == "zsh" else []), "-c", f"{before}source {load}; {asked}"],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "BACALHAU_DIR": str(tmp_path / "home"),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = [line.split("\t")[0].split(":")[0] for line in done.stdout.splitlines()]
    assert (found, done.stderr) == (["audit", "python"], "")
