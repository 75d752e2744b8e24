"""Completion, examples, slips, the configuration file and the manual page."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bacalhau.cli.completion import SHELLS, answer, script
from bacalhau.cli.examples import EXAMPLES
from bacalhau.cli.main import group
from bacalhau.cli.man_page import commands, man_page

ROOT = Path(__file__).parents[3]
COMMANDS = dict(commands(group))


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_command_has_examples_that_can_be_called(path):
    assert EXAMPLES.get(path), "write an example into bacalhau/cli/examples.py"
    for _, line in EXAMPLES[path]:
        if "$(" in line:
            continue
        words = shlex.split(line.partition(" > ")[0])
        assert words[0] == "bacalhau"
        # Reads the flags and their values, as a call would; nothing is run.
        context, command, arguments = click.Context(group), group, words[1:]
        while isinstance(command, click.Group):
            _, command, arguments = command.resolve_command(context, arguments)
        assert command is COMMANDS[path]
        command.make_context(path, arguments)


def test_examples_are_of_commands_and_in_the_help(desk):
    groups = {path.rpartition(" ")[0] for path in COMMANDS if " " in path}
    assert set(EXAMPLES) <= set(COMMANDS) | groups
    text = desk("run", "python", "--help").text
    assert "Examples:\n" in text
    assert "  bacalhau run python -c 'print(6 * 7)'\n" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["adit"], "No such command 'adit'. Did you mean 'audit'?; see `bacalhau --help`"),
        (["run", "pyhton"], "run: No such command 'pyhton'. Did you mean 'python'?"),
        (["run", "mine"], "run: No such command 'mine'. Did you mean `bacalhau run python mine`?"),
        (["qqqqq"], "No such command 'qqqqq'; see"),
        (["run", "python", "--sed", "5"], "Did you mean '--seed'?"),
    ],
)
def test_slips_are_told_with_what_they_are_like(desk, words, said):
    found = desk(*words)
    assert (found.code, found.out) == (2, b"")
    assert said in found.err


def complete(monkeypatch, capsys, *words):
    monkeypatch.setenv("COMP_WORDS", shlex.join(["bacalhau", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    assert answer(group, "bash_complete") == 0
    return capsys.readouterr().out.decode().split()


def test_shells_complete_commands_flags_and_paths(monkeypatch, capsysbinary):
    assert complete(monkeypatch, capsysbinary, "au") == ["plain,audit"]
    assert complete(monkeypatch, capsysbinary, "run", "py") == ["plain,python"]
    assert "plain,--sharding-batch-size" in complete(monkeypatch, capsysbinary, "run", "python", "--shard")
    assert complete(monkeypatch, capsysbinary, "run", "python", "-i", "da") == ["file,da"]


def test_shells_complete_jobs_and_make_no_home(desk, monkeypatch, capsysbinary, tmp_path):
    monkeypatch.setenv("BACALHAU_DIR", str(tmp_path / "elsewhere"))
    assert complete(monkeypatch, capsysbinary, "describe", "") == []
    assert not (tmp_path / "elsewhere").exists()
    job = desk.run("-l", "nightly")["job"]
    monkeypatch.setenv("BACALHAU_DIR", str(desk.home.root))
    assert complete(monkeypatch, capsysbinary, "describe", job[:3]) == [f"plain,{job[:8]}"]
    desk.home.datastore_path.write_bytes(b"damaged")
    assert complete(monkeypatch, capsysbinary, "describe", "") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_name_the_program(desk, shell):
    assert "_BACALHAU_COMPLETE" in script(shell)
    assert desk("completion", shell).text == script(shell).strip() + "\n"


def test_bash_takes_the_script(tmp_path):
    (tmp_path / "script").write_text(script("bash"))
    subprocess.run(["bash", "-n", tmp_path / "script"], check=True)


def settings(desk, text):
    desk.home.root.mkdir(exist_ok=True)
    desk.home.config_path.write_text(text)


def test_flags_go_before_the_environment_before_the_file_before_defaults(desk, monkeypatch):
    def rule(*flags):
        return desk.run(*flags)["rule"]["replication"]

    assert rule() == 3
    settings(desk, "[run.python]\nconcurrency = 4\nlabel = ['nightly']\n")
    assert rule() == 4
    assert desk.run()["labels"] == ["nightly"]
    monkeypatch.setenv("BACALHAU_RUN_PYTHON_CONCURRENCY", "5")
    assert rule() == 5
    assert rule("--concurrency", 6) == 6


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[run.python]\nconcurency = 4\n",
            "config.toml [run.python]: has no flag --concurency; it has: allow-private-urls",
        ),
        ("[run.pyton]\n", "config.toml [run.pyton]: is no command; write a table of one of: python"),
        ("run = 5\n", "config.toml [run]: is no command"),
        ("concurrency = 5\n", "[concurrency]: is no command"),
        ("[run.python]\nlabel = 'x'\n", "--label is 'x'; write a list"),
        ("[run.python]\nconcurrency = [1]\n", "--concurrency is [1]; write one value"),
        ("[run.python]\ndiverse = 1\n", "--diverse is 1; write true or false"),
        ("[run.python]\nseed = 2026-01-01\n", "--seed is datetime.date(2026, 1, 1); write one value"),
        ("[run.python\n", "config.toml: is no TOML: "),
    ],
)
def test_what_a_file_says_wrongly_is_told_in_one_line(desk, text, said):
    settings(desk, text)
    found = desk("version")
    assert (found.code, found.out, found.err.count("\n")) == (2, b"", 1)
    assert said in found.err


def test_a_value_of_the_wrong_kind_is_told_by_the_command(desk):
    settings(desk, "[run.python]\nconcurrency = 'many'\n")
    found = desk("run", "python", "-c", "1")
    assert found.code == 2
    assert "'many' is not a valid integer" in found.err


def test_the_manual_page_is_that_of_the_commands():
    kept = (ROOT / "docs" / "man" / "bacalhau.1").read_text()
    assert kept == man_page(), "make man"
    for path in COMMANDS:
        assert f'.SS "bacalhau {path} ' in kept.replace("\\-", "-")


def test_help_does_not_load_an_engine():
    code = (
        "import sys, json; from bacalhau.cli.main import main; main(['--help']); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not {"runtime.pyodide_engine", "httpx", "rich", "bacalhau.cli.run_python"} & loaded
