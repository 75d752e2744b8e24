"""The eight functions of functions/: complete, documented, pinned to what the Pyodide distribution has.

Their packages exist in Pyodide only, so their behaviour is tested where it runs; here sources are read, not imported.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runtime.flow_file import read_flow
from runtime.flow_graph import make_graph
from runtime.source_import import read_source

ROOT = Path(__file__).parents[3]
FUNCTIONS = ROOT / "functions"
PYODIDE_LOCK = ROOT / "node_modules" / "pyodide" / "pyodide-lock.json"
NAMES = ("csv_stats", "derive", "image_resize", "plot", "svd", "train_model", "word_count", "xml_to_json")
OPTIONAL_FILES = {"expected.json", "make_input.py"}
DISTRIBUTION_OF = {"PIL": "pillow", "sklearn": "scikit-learn"}
"""Distributions whose import name is another."""
UNPINNED_SOURCES = {"datetime", "os", "random", "secrets", "socket", "threading", "time", "urllib", "uuid"}
"""Modules that an example of a clean function has no need of."""

every_function = pytest.mark.parametrize("name", NAMES)


def source(name: str) -> str:
    return (FUNCTIONS / name / "function.py").read_text(encoding="utf-8")


def main_of(name: str) -> ast.FunctionDef:
    (main,) = (
        node for node in ast.parse(source(name)).body if isinstance(node, ast.FunctionDef) and node.name == "main"
    )
    return main


def imports(name: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source(name))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module is not None
            found.add(node.module.partition(".")[0])
    return found


def requirements(name: str) -> list[Requirement]:
    lines = (FUNCTIONS / name / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def input_of(name: str) -> Path:
    (path,) = (FUNCTIONS / name).glob("input.*")
    return path


def test_no_other_function_is_there() -> None:
    # `flows` has functions of its own, each in its flow; a notebook is made into one when it runs, a module is one.
    others = ["flows", "modules", "notebooks"]
    assert sorted(path.name for path in FUNCTIONS.iterdir() if path.is_dir()) == sorted([*NAMES, *others])


@every_function
def test_files(name: str) -> None:
    files = {path.name for path in (FUNCTIONS / name).iterdir() if path.name != "__pycache__"}
    expected = {".bacalhauignore", "function.py", "requirements.txt", "SOURCE.md", input_of(name).name}
    assert files - OPTIONAL_FILES == expected


@every_function
def test_only_code_and_pins_make_the_function(name: str) -> None:
    files = read_source(FUNCTIONS / name, None, None).files
    assert [path for path, _ in files] == ["function.py", "requirements.txt"]


@every_function
def test_input_is_small_but_real(name: str) -> None:
    assert 1_000 <= input_of(name).stat().st_size <= 200_000


@every_function
def test_source_compiles_and_is_short(name: str) -> None:
    compile(source(name), f"{name}/function.py", "exec", dont_inherit=True)
    assert 20 <= len(source(name).splitlines()) <= 70


@every_function
def test_main_takes_data_and_arguments_with_json_defaults(name: str) -> None:
    arguments = main_of(name).args
    assert arguments.args[0].arg == "data"
    assert len(arguments.defaults) == len(arguments.args) - 1
    assert not arguments.posonlyargs
    assert arguments.vararg is None
    for default in arguments.defaults:
        json.dumps(ast.literal_eval(default), allow_nan=False)


@every_function
def test_docstrings_say_what_goes_in_and_comes_out(name: str) -> None:
    assert ast.get_docstring(ast.parse(source(name)))
    text = ast.get_docstring(main_of(name)) or ""
    for argument in main_of(name).args.args:
        assert re.search(rf"^{argument.arg}: \S", text, re.MULTILINE), argument.arg
    assert re.search(r"^Returns ", text, re.MULTILINE)
    assert re.search(r"^Raises ValueError ", text, re.MULTILINE)


@every_function
def test_requirements_are_exact_pins_of_what_is_imported(name: str) -> None:
    pins = requirements(name)
    for pin in pins:
        (clause,) = pin.specifier
        assert (clause.operator, pin.url, pin.marker) == ("==", None, None)
        assert not clause.version.endswith(".*")
    third_party = imports(name) - sys.stdlib_module_names
    assert sorted(pin.name for pin in pins) == sorted(DISTRIBUTION_OF.get(module, module) for module in third_party)


@every_function
@pytest.mark.skipif(not PYODIDE_LOCK.exists(), reason="Pyodide is not installed: npm ci")
def test_pins_are_the_versions_of_the_pyodide_distribution(name: str) -> None:
    packages = json.loads(PYODIDE_LOCK.read_text(encoding="utf-8"))["packages"].values()
    versions = {canonicalize_name(package["name"]): package["version"] for package in packages}
    for pin in requirements(name):
        assert pin.specifier == Requirement(f"x=={versions[canonicalize_name(pin.name)]}").specifier


@every_function
def test_uses_nothing_that_the_profile_has_to_pin(name: str) -> None:
    assert not imports(name) & UNPINNED_SOURCES


@every_function
def test_source_note_tells_licence_arguments_and_how_to_run(name: str) -> None:
    note = (FUNCTIONS / name / "SOURCE.md").read_text(encoding="utf-8")
    assert re.search(r"^Licence: \S", note, re.MULTILINE)
    path = f"functions/{name}"
    command = f"    bacalhau run python --deterministic {path} -i {path}/{input_of(name).name}"
    assert command in note.splitlines()
    described = re.findall(r"^- `(\w+)`: ", note, re.MULTILINE)
    assert described == [argument.arg for argument in main_of(name).args.args[1:]]
    assert set(re.findall(r"--arg '?(\w+)=", note)) <= set(described)


@every_function
def test_the_guide_lists_it(name: str) -> None:
    guide = (ROOT / "docs" / "functions.md").read_text(encoding="utf-8")
    assert f"[{name}](../functions/{name}/function.py)" in guide


every_flow = pytest.mark.parametrize(
    "flow", sorted((FUNCTIONS / "flows").glob("*/flow.yaml")), ids=lambda path: path.parent.name
)


@pytest.mark.parametrize("module", sorted((FUNCTIONS / "modules").iterdir()), ids=lambda path: path.name)
def test_a_module_has_its_source_and_a_note_of_how_to_build_and_run_it(module: Path) -> None:
    note, place = (module / "SOURCE.md").read_text(encoding="utf-8"), f"functions/modules/{module.name}"
    (data,) = module.glob("input.*")
    names = {"SOURCE.md", "main.c", "main.wasm", "expected.json", "make_input.py", data.name}
    assert {path.name for path in module.iterdir()} == names
    assert f"    bacalhau run wasm {place}/main.wasm -i {place}/{data.name}" in note.splitlines()
    assert re.search(rf"^    clang .* -o {place}/main.wasm {place}/main.c$", note, re.MULTILINE)
    assert re.search(r"^Licence: \S", note, re.MULTILINE)
    assert 1_000 <= data.stat().st_size <= 200_000
    assert (module / "main.wasm").stat().st_size < 65_536


def test_there_are_two_flows() -> None:
    assert len(list((FUNCTIONS / "flows").iterdir())) == 2


@every_flow
def test_a_flow_says_what_it_is_and_its_steps_fit_together(flow: Path) -> None:
    graph = make_graph(read_flow(flow.read_bytes(), "flow.yaml", flow.parent, {}))
    assert len(graph.targets) == 1
    assert (flow.parent / "SOURCE.md").read_text(encoding="utf-8").startswith("# ")
    for step in graph.steps:
        assert step.request.function is not None
        assert (step.request.function / "requirements.txt").is_file()
        assert read_source(step.request.function, None, None).content("function.py")
