"""`bacalhau lint`: exit codes and forms; the rules have tests of their own."""

import json
import sys

import pytest

from runtime.engine import UndeterminedError
from tests.unit.bacalhau.fakes import Gave


def write(folder, source, **others):
    folder.mkdir()
    (folder / "function.py").write_text(source)
    for name, text in others.items():
        (folder / name.replace("_", ".")).write_text(text)
    return str(folder)


CLEAN = "def main(data):\n    return len(data)\n"
WARNED = "import time\n\n\ndef main(data):\n    return time.time()\n"
WRONG = "import curses\n\n\ndef main(data):\n    return {1, 2}\n"


@pytest.mark.parametrize(
    ("source", "code", "verdict"), [(CLEAN, 0, "clean"), (WARNED, 0, "findings"), (WRONG, 1, "errors")]
)
def test_exit_codes(desk, tmp_path, source, code, verdict):
    said = desk("lint", write(tmp_path / "f", source), "--json")
    assert (said.code, said.json["verdict"]) == (code, verdict)


def test_text_names_the_place_the_rule_and_what_to_do(desk, tmp_path):
    said = desk("lint", write(tmp_path / "f", WARNED))
    assert "function.py:5:12: warning BAC201 clock [pinned] time.time: is the task's epoch" in said.text
    assert "take the date as an argument" in said.text


def test_a_single_file_is_named_by_its_own_name(desk, tmp_path):
    (tmp_path / "sums.py").write_text(WARNED)
    assert "sums.py:5:12: warning" in desk("lint", str(tmp_path / "sums.py")).text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (CLEAN, "nothing found in 1 file"),
        (WARNED, "1 warning in 1 file"),
        ("import lost\n" + CLEAN, "in 2 files, 1 of which could not be read"),
        ("def main(data):\n    return (\n", "in 1 file, 1 of which could not be read"),
    ],
)
def test_the_last_line_counts_every_file_that_was_looked_at(desk, tmp_path, source, said):
    desk.engine.behave = lambda *_: Gave(stdout=b'[1, "invalid syntax"]\n')
    assert desk("lint", write(tmp_path / "f", source, lost_py="def (\n")).err.splitlines()[-1].endswith(said)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python knows the guest's grammar, and asks nobody")
def test_what_this_python_cannot_parse_the_guest_is_asked_of(desk, tmp_path):
    wrong = write(tmp_path / "f", "def main(data):\n    return (\n")
    desk.engine.behave = lambda *_: Gave(stdout=b"[2, \"'(' was never closed\"]\n")
    said = desk("lint", wrong, "--json")
    assert (said.code, said.json["verdict"], said.json["unparsed"]) == (1, "errors", [])
    (finding,) = said.json["findings"]
    assert (finding["name"], finding["level"], finding["line"]) == ("syntax", "error", 2)
    (result,) = json.loads(desk("lint", wrong, "--sarif").text)["runs"][0]["results"]
    assert result["level"] == "error"
    desk.engine.behave = lambda *_: Gave()
    assert (desk("lint", wrong).code, desk("lint", wrong, "--json").json["verdict"]) == (4, "unchecked")
    desk.engine.behave = lambda *_: UndeterminedError("disk full")
    assert desk("lint", wrong).code == 4


def test_sarif_is_one_json_object(desk, tmp_path):
    said = desk("lint", write(tmp_path / "f", WRONG), "--sarif")
    log = json.loads(said.text)
    assert said.code == 1
    assert [one["ruleId"] for one in log["runs"][0]["results"]] == ["BAC108", "BAC304"]


def test_what_is_no_function_is_a_wrong_call(desk, tmp_path):
    (tmp_path / "empty").mkdir()
    assert desk("lint", str(tmp_path / "empty")).code == 2
    assert desk("lint", "").code == 2
