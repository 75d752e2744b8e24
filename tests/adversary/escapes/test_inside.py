"""What the sealed guest answers by itself, and what its own interpreter can be made to say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.adversary.escapes.attempt import Attempt, alone, met_by, together
from tests.adversary.escapes.cases import host_files, interpreter, network, processes
from tests.adversary.escapes.cases.interpreter import Sabotage

pytestmark = pytest.mark.integration


def expected(attempts: tuple[Attempt, ...]) -> dict[str, str]:
    return {attempt.name: attempt.met for attempt in attempts}


def test_files(house: Any, tmp_path: Path) -> None:
    """Nothing of the host is there, an input's links are the guest's, and what is the runtime's cannot be changed."""
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "out").symlink_to("/etc/passwd")
    attempts = host_files.HOST + host_files.OWN
    assert met_by(house.run(together(attempts), data=str(folder))) == expected(attempts)


NAMES = """
import json, os
def main(data, **args):
    open("/constructor/f", "w").close()
    met = {"args": args, "env": [os.environ[n] for n in ("__proto__", "constructor", "toString")]}
    met["volume"] = [open("/__proto__").read(), os.path.exists("/polluted"), sorted(os.listdir("/inputs"))]
    return met
"""


def test_names_that_every_object_of_javascript_has(house: Any, tmp_path: Path) -> None:
    """As arguments, variables, mounts, members of inputs, outputs: they are names."""
    folder = tmp_path / "input"
    (folder / "__proto__").mkdir(parents=True)
    for name in ("constructor", "hasOwnProperty", "__proto__/polluted"):
        (folder / name).write_text("")
    (tmp_path / "volume").write_text("a volume")
    outcome = house.run(
        NAMES,
        args=('__proto__={"polluted":1}', "constructor=2"),
        env=("__proto__=3", "constructor=4", "toString=5"),
        volumes=(f"{tmp_path / 'volume'}:/__proto__",),
        outputs=("constructor:/constructor",),
        data=str(folder),
    )
    assert json.loads(outcome.result) == {
        "args": {"__proto__": {"polluted": 1}, "constructor": 2},
        "env": ["3", "4", "5"],
        "volume": ["a volume", False, ["__proto__", "constructor", "hasOwnProperty"]],
    }
    assert outcome.names("outputs") == ["constructor", "outputs"]
    assert outcome.names("outputs/constructor") == ["f"]


def test_sockets(house: Any) -> None:
    assert met_by(house.run(together(network.SOCKETS))) == expected(network.SOCKETS)


def test_programs_threads_signals(house: Any) -> None:
    attempts = processes.PROGRAMS + processes.POWERS
    assert met_by(house.run(together(attempts))) == expected(attempts)


def test_without_the_refusals_of_sockets_and_commands_the_glue_finds_no_host(without: Any) -> None:
    attempts = network.SOCKFS + processes.GLUE
    assert met_by(without("sockets", "system").run(together(attempts))) == expected(attempts)


def test_with_unlocked_modes_only_the_guest_changes(without: Any) -> None:
    """What was handed over has no way to be written, an output that became a link is an empty one."""
    outcome = without("modes").run(together(host_files.UNLOCKED))
    assert met_by(outcome) == expected(host_files.UNLOCKED)
    assert outcome.names("outputs/outputs") == []


@pytest.mark.parametrize("case", interpreter.CASES, ids=lambda case: case.name)
def test_sabotage_is_an_outcome(house: Any, case: Sabotage) -> None:
    outcome = house.run(alone(case.code))
    assert (outcome.exit_code, outcome.stdout, outcome.result) == (case.exit_code, case.stdout, case.result)
    assert outcome.stderr.endswith(case.stderr)
    assert outcome.stderr or not case.stderr
