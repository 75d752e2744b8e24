"""A whole function: which files are read, what packages say, what cannot be parsed, and SARIF."""

import json
import sys
from types import MappingProxyType

import pytest

from runtime.lint.linter import lint
from runtime.lint.packages import Knowledge, LockedWheel
from runtime.lint.rules import RULES, Level
from runtime.lint.sarif import sarif_log
from runtime.source_import import Source
from storage.errors import UnavailableError, UserError


def report_of(files, *, entry="main", knowledge=None):
    content = tuple(sorted((name, text.encode()) for name, text in files.items()))
    return lint(Source(files=content, where="f"), entry=entry, knowledge=knowledge)


def knowing(answer):
    def lock(_lines):
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Knowledge(python="3.14", provides=MappingProxyType({"numpy": "numpy", "bs4": "beautifulsoup4"}), lock=lock)


MAIN = "def main(data): return 1\n"


def named(report):
    return [(one.rule.name, one.place.path, one.place.line) for one in report.findings]


def test_only_files_that_are_imported_are_read():
    files = {
        "function.py": "from lib.deep import x\nimport near\n" + MAIN,
        "near.py": "import time\nt = time.time()\n",
        "lib/__init__.py": "",
        "lib/deep.py": "from . import beside\nx = 1\n",
        "lib/beside.py": "import uuid\nn = uuid.uuid4()\n",
        "unused.py": "import time\nt = time.time()\n",
    }
    report = report_of(files)
    assert set(report.files) == {"function.py", "near.py", "lib/__init__.py", "lib/deep.py", "lib/beside.py"}
    assert named(report) == [("uuid", "lib/beside.py", 2), ("clock", "near.py", 2)]


def test_a_module_of_ones_own_is_not_what_its_name_says_elsewhere():
    assert named(report_of({"function.py": "import curses\n" + MAIN, "curses.py": ""})) == []


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python knows the guest's grammar")
def test_what_this_python_cannot_parse_is_not_known_to_be_wrong():
    report = report_of({"function.py": "def main(data):\n    return t'{data}' if\n"})
    assert (report.verdict, report.unparsed, report.has_errors) == ("unchecked", ("function.py",), False)
    assert named(report) == [("syntax", "function.py", 2)]


def test_errors_come_before_what_is_not_known():
    report = report_of({"function.py": "import broken\nimport curses\n" + MAIN, "broken.py": "def ("})
    assert report.verdict == "errors"


def test_a_script_needs_no_entry_point():
    assert named(report_of({"function.py": "print(1)\n"}, entry=None)) == []


def packages(requirements, answer, source=MAIN):
    return report_of({"function.py": source, "requirements.txt": requirements}, knowledge=knowing(answer))


def test_requirements_that_cannot_be_had():
    report = packages("six==1.17.0\nnone==1\n", UserError("has no wheel", where="requirements.txt line 2", fix="x"))
    assert named(report) == [("no-wheel", "requirements.txt", 2)]
    assert "has no wheel" in report.findings[0].message


def test_what_was_not_asked_is_a_note_and_no_all_clear():
    report = packages("none==1\n", UnavailableError("no index", where="none==1"))
    assert [(one.rule.name, one.level) for one in report.findings] == [("not-locked-here", Level.NOTE)]


def test_a_bad_line_is_named():
    report = packages("six==1.17.0\n-e .\n", ())
    assert named(report) == [("bad-requirement", "requirements.txt", 2)]


def test_unpinned_and_heavy_are_notes():
    wheels = tuple(LockedWheel(name=f"p{n}", size=3 << 20) for n in range(30))
    report = packages("pandas\n", wheels)
    assert {one.rule.name for one in report.findings} == {"unpinned", "heavy"}
    assert report.verdict == "findings"


def test_an_import_that_no_requirement_brings():
    source = "import numpy\nimport json\ntry:\n    import bs4\nexcept ImportError: pass\n" + MAIN
    report = report_of({"function.py": source}, knowledge=knowing(()))
    assert [(one.rule.name, one.subject, one.level) for one in report.findings] == [
        ("not-required", "numpy", Level.ERROR),
        ("not-required", "bs4", Level.NOTE),
    ]
    have = (LockedWheel(name="numpy", size=None),)
    assert named(packages("numpy==2.4.3\n", have, "import numpy\n" + MAIN)) == []


def test_an_import_that_nothing_brings():
    source = "import json, annotationlib, mine, nowhere.deep\n" + MAIN
    report = report_of({"function.py": source, "mine.py": ""}, knowledge=knowing(()))
    assert [(one.subject, one.level) for one in report.findings] == [("nowhere", Level.ERROR)]
    have = (LockedWheel(name="numpy", size=None),)
    assert [one.level for one in packages("numpy==2.4.3\n", have, source).findings if one.subject == "nowhere"] == [
        Level.WARNING
    ]
    # A package of the index may have any module.
    have = (*have, LockedWheel(name="of-the-index", size=None))
    assert "nowhere" not in [one.subject for one in packages("numpy==2.4.3\n", have, source).findings]


REQUIRED = {  # SARIF 2.1.0, "required" of each object that is written
    "log": ("version", "runs"),
    "run": ("tool",),
    "driver": ("name",),
    "rule": ("id",),
    "result": ("message",),
    "invocation": ("executionSuccessful",),
}


def test_sarif_has_what_its_schema_requires():
    report = report_of({"function.py": "import time\nt = time.time()\n" + MAIN, "a b.py": ""})
    log = json.loads(json.dumps(sarif_log(report, version="1.2.3", root="file:///f/")))
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    parts = {"log": [log], "run": [run], "driver": [driver], "rule": driver["rules"], "result": run["results"],
             "invocation": run["invocations"]}  # fmt: skip
    for part, objects in parts.items():
        for one in objects:
            assert set(REQUIRED[part]) <= set(one), part
    assert log["version"] == "2.1.0"
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    (result,) = run["results"]
    assert result["level"] in ("none", "note", "warning", "error")
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == RULES["clock"].id
    assert result["message"]["text"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 2, "startColumn": 5, "endLine": 2, "endColumn": 16}
    assert run["originalUriBaseIds"]["FUNCTION"]["uri"].endswith("/")
