"""Run the committed cases, and check that they are those that `cases.py` describes."""

import base64
import json

import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import parse_cid
from tests.vectors.records.cases import BAD, GOOD, TOUCHED
from tests.vectors.records.write_cases import FOLDER, all_cases, text_of
from verifier.audit import audit_record

FILES = sorted(FOLDER.glob("*.json"))
VERDICTS = {"fail": "invalid", "missing": "unchecked"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_audit_gives_what_the_case_says(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    store = MemoryBlockStore()
    store.put_many((parse_cid(cid), base64.b64decode(data)) for cid, data in case["blocks"].items())
    report = audit_record(store, parse_cid(case["record"]))
    assert report.verdict == case["verdict"] == VERDICTS.get(path.stem.rpartition("_")[2], "valid")
    assert [check.n for check in report.checks if check.ok is False] == case["false"]
    assert [check.n for check in report.checks if check.ok is None] == case["unknown"]


@pytest.mark.parametrize("name", BAD)
def test_the_check_in_charge_is_among_the_first_to_say_no(name):
    case = json.loads((FOLDER / f"{name}_fail.json").read_text(encoding="utf-8"))
    assert BAD[name][1] in case["false"]
    assert all(n <= BAD[name][1] for n in case["false"][:1])


@pytest.mark.parametrize("name", TOUCHED)
def test_the_check_in_charge_notices_a_touched_block(name):
    flipped = json.loads((FOLDER / f"flipped-{name}_fail.json").read_text(encoding="utf-8"))
    missing = json.loads((FOLDER / f"without-{name}_missing.json").read_text(encoding="utf-8"))
    assert TOUCHED[name][0] in flipped["false"]
    assert TOUCHED[name][0] in missing["unknown"]


def test_the_committed_files_are_what_the_script_writes():
    written = dict(all_cases())
    assert sorted(written) == [path.name for path in FILES]
    for path in FILES:
        assert path.read_text(encoding="utf-8") == text_of(written[path.name]), path.name


def test_several_must_fail_for_each_that_must_not():
    assert len(BAD) >= 5 * len(GOOD)
