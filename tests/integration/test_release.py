"""What is released: the same wheel and sdist twice, versions that agree, a bill of materials of what is in it."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import uv

import bacalhau
from tests.requirements_gate import need

ROOT = Path(__file__).parents[2]
CYCLONEDX = "cyclonedx-python-lib[json-validation]==11.12.0"
VALIDATE = """
import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
validator, text = JsonStrictValidator(SchemaVersion.V1_6), open(sys.argv[1]).read()
print(validator.validate_str(text))
print(validator.validate_str(json.dumps(json.loads(text) | {"components": [{}]})) is not None)
"""
"""Says what is wrong with a bill, and that one which is wrong is found."""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two builds, each from a copy at another place and time."""
    places = []
    for name in ("one", "another"):
        out = tmp_path_factory.mktemp(name)
        copy = out / f"source-{name}"
        files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        for path in files.decode().split("\0")[:-1]:
            if (ROOT / path).is_file():
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                (copy / path).write_bytes((ROOT / path).read_bytes())
        for kind in ("wheel", "sdist"):
            subprocess.run(
                [sys.executable, "-c", f"import hatchling.build as b; b.build_{kind}(r'{out}')"],
                cwd=copy, check=True, capture_output=True,
            )  # fmt: skip
        places.append(out)
    return places


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_two_builds_are_one(built, pattern):
    (one,), (another,) = (list(place.glob(pattern)) for place in built)
    assert one.name == another.name
    assert hashlib.sha256(one.read_bytes()).hexdigest() == hashlib.sha256(another.read_bytes()).hexdigest()


def test_the_wheel_has_what_it_needs(built):
    (wheel,) = built[0].glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("bacalhau/py.typed", "bacalhau/web/static/main.js", "js_host/npm/package-lock.json"):
        assert wanted in names
    assert any(name.endswith("share/man/man1/bacalhau.1") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "docs/", "functions/"))]


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert bacalhau.__version__ == project
    assert json.loads((ROOT / "package.json").read_text())["version"] == project
    released = re.findall(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert changelog.count("## Unreleased") == 1
    assert released == sorted(released, key=lambda text: [int(part) for part in text.split(".")], reverse=True)
    assert project not in released or released[0] == project


def test_the_bill_of_materials_names_every_locked_thing_of_the_core(tmp_path):
    from tests.release_materials import materials

    found = materials(ROOT)
    names = {(one["name"], one["version"]) for one in found["components"]}
    lock = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE))
    npm = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert ("click", lock["click"]) in names
    assert ("pyodide", npm["node_modules/pyodide"]["version"]) in names
    assert ("pytest", lock["pytest"]) not in names
    assert found == materials(ROOT)  # no clock, no random number
    assert all(one["purl"].startswith(("pkg:pypi/", "pkg:npm/")) for one in found["components"])


def test_the_bill_of_materials_is_as_its_schema_has_it(tmp_path):
    from tests.release_materials import materials

    bill = tmp_path / "bacalhau.cdx.json"
    bill.write_text(json.dumps(materials(ROOT)))
    # Their validator with their schema, in an environment of its own.
    said = subprocess.run(
        [uv.find_uv_bin(), "run", "--quiet", "--no-project", "--python", sys.executable, "--with", CYCLONEDX, "python",
         "-c", VALIDATE, bill],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    need("registry", said.returncode == 0, said.stderr[-400:])
    assert said.stdout.splitlines() == ["None", "True"]
