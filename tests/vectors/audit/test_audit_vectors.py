"""Run the committed vectors, and check that they are those that `cases.py` describes."""

import json
from pathlib import Path

import pytest

from tests.vectors.audit.cases import all_cases
from tests.vectors.audit.write_vectors import FOLDER, outcome, text_of
from verifier.audit_cli import main

CASES = dict(all_cases())
VERDICTS = {"fail": "invalid", "missing": "unchecked"}


def read(name):
    folder = FOLDER / name
    return (folder / "evidence.car").read_bytes(), json.loads((folder / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_an_audit_gives_what_the_vector_says(name):
    data, said = read(name)
    found = outcome(data, said["cid"], deep=said["deep"])
    assert found == {key: said[key] for key in found}
    # By hand, from the table of cases: not what some release of the audit happened to say.
    assert said["verdict"] == VERDICTS.get(name.rpartition("_")[2], "valid")
    case = CASES[name]
    assert said["check"] == (case.first or case.check)
    open_ones = [n for one in (said["file"], *said["records"]) for kind in ("false", "unknown") for n in one[kind]]
    assert case.check is None or case.check in open_ones
    if case.blind is not None:
        (one,) = said["records"]
        assert one.get("blind", one.get("unblind")) == case.blind


def one_of_each():
    """Return a case for each verdict, check in charge, and way of asking."""
    found = {}
    for name in CASES:
        said = read(name)[1]
        found.setdefault((said["verdict"], said["check"], said["deep"], said["cid"] is None), name)
    return sorted(found.values())


@pytest.mark.parametrize("name", one_of_each())
def test_the_small_command_says_the_same(name, capsys):
    _, said = read(name)
    more = [said["cid"]] if said["cid"] else []
    more += ["--deep"] if said["deep"] else []
    code = main([str(FOLDER / name / "evidence.car"), "--json", *more])
    printed = json.loads(capsys.readouterr().out)
    assert printed["verdict"] == said["verdict"]
    assert [check["n"] for check in printed["checks"] if check["ok"] is False] == said["file"]["false"]
    assert [check["n"] for check in printed["checks"] if check["ok"] is None] == said["file"]["unknown"]
    assert code == {"valid": 0, "invalid": 1, "unchecked": 4}[said["verdict"]]


def test_the_committed_files_are_what_the_script_writes():
    """What the audit says of them is the first test's."""
    assert sorted(folder.parent.name for folder in FOLDER.glob("*/expected.json")) == sorted(CASES)
    for name, case in CASES.items():
        data, said = read(name)
        assert data == case.data(), name
        asked = {"about": case.about, "cid": None if case.cid is None else case.cid(), "deep": case.deep}
        assert {key: said[key] for key in asked} == asked, name
        assert (FOLDER / name / "expected.json").read_text(encoding="utf-8") == text_of(said), name


def test_there_are_enough_of_each_kind():
    ends = [name.rpartition("_")[2] for name in CASES]
    assert ends.count("fail") >= 30
    assert ends.count("missing") >= 5
    assert len(CASES) - ends.count("fail") - ends.count("missing") >= 5
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
    valid = len(CASES) - ends.count("fail") - ends.count("missing")
    assert f"has {len(CASES)} cases" in page
    assert f"{ends.count('fail')} of them are invalid, {ends.count('missing')} unchecked, {valid} valid" in page


def test_every_check_is_in_charge_of_a_failure():
    in_charge = {case.check for name, case in CASES.items() if name.endswith("_fail")}
    assert in_charge == {*range(14), 17, *range(21, 29), *range(30, 33)}
