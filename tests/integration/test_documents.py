"""README.md and docs/ do what they say: every command in them is run, or is known to be run by a test that is named.

A document is a scenario: its commands run one after the other in one folder and one home, where capitals stand for
what was made before. A synopsis is checked against the command's own flags, and called with what it needs at least.
What no rule covers fails, with its file and line; tests/documents/rules.py has the rules.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from bacalhau.cli.config_file import read_config
from bacalhau.cli.main import group
from bacalhau.home import Home
from bacalhau.shared_caches import share_caches
from tests.documents import synopsis
from tests.documents.code_blocks import Command, read_document
from tests.documents.rules import ENDS, MORE_FLAGS, NAMED_ONLY, SHOWN, TESTED_BY
from tests.integration.document_world import ROOT, is_synopsis, least_call, make_world, read_flags
from tests.integration.stack_world import PATIENCE_S, command, environment, first_line
from tests.requirements_gate import need

PATHS = [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/[!s]*/**/*.md")]  # docs/site has what builds the site
FILES = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in PATHS))
DOCUMENTS = {file: read_document(file, (ROOT / file).read_text("utf-8")) for file in FILES}
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PROGRESS = re.compile(r"bacalhau: (node \d|resolving|fetching|importing|making|laying)")

POLICY = "\n\n[require]\nmax-nodes = 2\n"
"""What is in force where docs/planner.md shows a clash with it."""

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("documents")]


@pytest.fixture(scope="module")
def world(stack_home, tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("person"), stack_home)


@pytest.fixture
def type_line(world, monkeypatch, capsysbinary):
    for name in [name for name in os.environ if name.startswith(("BACALHAU_", "OTEL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BACALHAU_DIR", str(world.home))
    monkeypatch.chdir(world.folder)
    return lambda text, cwd=None: world.type(text, capsysbinary.readouterr, cwd)


def run_elsewhere(text: str) -> str | None:
    return next((where for pattern, where in TESTED_BY.items() if re.fullmatch(pattern, text)), None)


def assert_prints(one: Command, said: str) -> None:
    """What a document shows is what is printed: `…` stands for anything, and how lines are broken does not matter."""
    assert one.prints is not None
    shown = " ".join(line for line in one.prints if not PROGRESS.match(line))
    there = " ".join(line for line in said.splitlines() if not PROGRESS.match(line))
    pattern = r"\s+".join(re.escape(word).replace("…", ".*?") for word in shown.split())
    assert re.search(pattern, there, re.DOTALL), f"{one.place}: {one.text} prints\n{said}"


@pytest.mark.parametrize("file", [file for file in FILES if DOCUMENTS[file].has_commands])
def test_every_command_of_a_document_runs(file, world, type_line):
    start_anew(world, POLICY if file == "docs/planner.md" else "")
    for one in DOCUMENTS[file].commands:
        if run_elsewhere(one.text):
            synopsis_holds(one, one.text) if is_synopsis(one.text) else flags_are_read(one)
            continue
        if one.prints and file == "README.md":
            continue  # test_the_demo_prints_what_the_readme_shows
        for text in synopsis.calls(one.text):
            call: str | None = text
            if text.startswith("bacalhau ") and is_synopsis(text):
                synopsis_holds(one, text)
                call = least_call(text)
            if call is None:
                continue
            line = f"{world.filled(call)} {MORE_FLAGS.get(call, '')}".strip()
            code, said = type_line(line, ROOT if "$PWD/" in line else None)
            code_there, words = ENDS.get(call, ({0}, ""))
            assert code in code_there, f"{one.place}: {line}: exit code {code}\n{said}"
            assert words in said, f"{one.place}: {line} does not say {words!r}\n{said}"
            if one.prints:
                assert_prints(one, said)


def start_anew(world, policy):
    """Take away what an earlier document laid out."""
    for path in (*world.folder.glob("job-*"), world.folder / "crate", world.folder / "mine", world.folder / "bacalhau"):
        shutil.rmtree(path, ignore_errors=True)
    (world.home / "policy.toml").write_text(policy)


def flags_are_read(one: Command) -> None:
    try:
        read_flags(one.text)
    except click.UsageError as error:
        pytest.fail(f"{one.place}: {one.text}\n{error.format_message()}")


def synopsis_holds(one: Command, text: str) -> None:
    try:
        synopsis.check(text, whole=not one.inline)
    except synopsis.SynopsisError as error:
        pytest.fail(f"{one.place}: {text}\n{error}")


@pytest.mark.parametrize("file", [file for file in FILES if DOCUMENTS[file].named])
def test_what_a_sentence_names_is_there(file):
    for one in DOCUMENTS[file].named:
        if run_elsewhere(one.text) or any(re.fullmatch(pattern, one.text) for pattern in NAMED_ONLY):
            continue
        program, *words = one.text.split(" ")
        if program == "bacalhau":
            for text in synopsis.calls(one.text):
                synopsis_holds(one, text)
        elif program == "make":
            assert re.search(rf"^{words[0]}:", MAKEFILE, re.MULTILINE), f"{one.place}: no target {words[0]}"
            assert all(f"$({word.split('=')[0]})" in MAKEFILE for word in words[1:]), one.place
        elif program == "bacalhau-audit":
            flags = re.findall(r'"(--[a-z-]+)"', (ROOT / "verifier" / "audit_cli.py").read_text())
            assert set(re.findall(r"--[a-z-]+", one.text)) <= set(flags), f"{one.place}: it has {flags}"
        elif program == "python" and words[0] == "-m":
            module = ROOT / words[1].replace(".", "/")
            assert (module / "__main__.py").exists() or '"__main__"' in module.with_suffix(".py").read_text(), one.place
        elif program == "eval":
            synopsis_holds(one, one.text.removeprefix('eval "$(').removesuffix(')"'))
        else:
            pytest.fail(f"{one.place}: no rule says what {one.text!r} is")


def test_the_demo_prints_what_the_readme_shows(stack_home, tmp_path):
    """As `make demo` runs it, but that what it is set up with is there."""
    need("setup", (ROOT / ".venv/bin/bacalhau").exists(), "make setup")
    home = tmp_path / ".bacalhau"
    share_caches(Home(stack_home), Home(home))
    done = subprocess.run(
        ["make", "-o", "setup", "demo"],
        cwd=ROOT,
        env={**environment(stack_home), "BACALHAU_DIR": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    need("registry", done.returncode == 0 or "exit code 4" not in done.stderr, done.stderr[-400:])
    assert done.returncode == 0, done.stderr
    (block,) = [block for block in DOCUMENTS["README.md"].blocks if block.lines[0].startswith("$ bacalhau run")]
    shown = [line.strip() for line in block.lines if line.strip() and not PROGRESS.match(line)]
    there = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    for line in shown:
        # A record holds when it was made and by whom, and a job when: these are not the same twice.
        pattern = re.escape(line).replace("\\ …", ".*").replace("…", ".*")
        pattern = re.sub(r"((record|audit)(?:\\ )+)bafyrei\w+", r"\1bafyrei\\w+", pattern)
        pattern = re.sub(r"(get\\ )[0-9a-f]{8}", r"\1[0-9a-f]{8}", pattern)
        assert any(re.fullmatch(pattern, one) for one in there), f"{block.place}: {line!r} is not among\n{there}"


def test_every_block_is_of_a_known_kind():
    unknown = [
        f"{block.place}: {block.lines[0]}"
        for document in DOCUMENTS.values()
        for block in document.blocks
        if block.kind not in ("commands", "python", "toml", "yaml", "mermaid") and not shown_by(block)
    ]
    assert unknown == []


def shown_by(block):
    return next((by for begin, by in SHOWN.items() if f"{block.file}: {block.lines[0]}".startswith(begin)), None)


def test_no_rule_is_left_over():
    said = [one.text for document in DOCUMENTS.values() for one in (*document.commands, *document.named)]
    blocks = [f"{block.file}: {block.lines[0]}" for document in DOCUMENTS.values() for block in document.blocks]
    unused = [pattern for pattern in (*TESTED_BY, *NAMED_ONLY) if not any(re.fullmatch(pattern, text) for text in said)]
    unused += [begin for begin in SHOWN if not any(block.startswith(begin) for block in blocks)]
    unused += [text for text in (*MORE_FLAGS, *ENDS) if text not in said]
    assert unused == []


def test_tests_that_are_named_are_there():
    for where in {*TESTED_BY.values(), *SHOWN.values(), *NAMED_ONLY.values()}:
        for file, name in re.findall(r"((?:tests/|\.ci/)[\w./]+)(?:::(.+))?", where):
            source = (ROOT / file).read_text("utf-8")
            if file.endswith(".py"):
                tests = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
                assert not name or name in tests, where
                assert any(test.startswith("test_") for test in tests), where
            else:
                assert name in source, where


def test_files_that_are_named_are_there():
    for file in FILES:
        text, folder = (ROOT / file).read_text("utf-8"), (ROOT / file).parent
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
        named = re.findall(r"`((?:functions|tests|docs|bench)/[\w/.-]+\.\w+)(?:::\w+)?`", text)
        lost = [link for link in links if not (folder / link).exists()]
        assert lost + [name for name in named if not (ROOT / name).exists()] == [], file


def test_what_documents_install_is_there_to_install():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for document in DOCUMENTS.values():
        for one in (*document.commands, *document.named):
            if found := re.search(r"pip install '?bacalhau\[([a-z,]+)\]", one.text):
                assert set(found[1].split(",")) <= set(extras), one.place
            if found := re.search(r"--override (\S+)", one.text):
                assert (ROOT / found[1]).exists(), one.place


PROGRAMS = """
import os, runpy, sys
for script in sys.argv[1:]:
    os.chdir(os.path.dirname(script))
    runpy.run_path(script, run_name="__main__")
"""


def test_examples_of_the_python_api_run_as_programs(world):
    """By a person's Python, in the real Node; the examples of each document are one program."""
    scripts = []
    for file in ("README.md", "docs/flows.md", "docs/python.md"):
        blocks = [block.text for block in DOCUMENTS[file].blocks if block.kind == "python" and not is_guest(block)]
        assert blocks, file
        folder = world.folder / "programs" / Path(file).stem
        (folder / "texts").mkdir(parents=True)
        (folder / "texts" / "a.txt").write_text("one two two\n")
        (folder / "functions").symlink_to(ROOT / "functions", target_is_directory=True)
        shutil.copy(world.folder / "data.csv", folder)
        scripts.append(folder / f"{folder.name}_program.py")
        scripts[-1].write_text("import bacalhau\n\n" + "\n".join(blocks))
    shutil.rmtree(scripts[-1].parent / "texts")  # docs/python.md makes its own
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAMS, *scripts],
        env=environment(world.home),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def is_guest(block) -> bool:
    """Tell what runs inside of a node from what calls one."""
    return block.file == "docs/functions.md" or block.text.startswith("def main")


def test_what_functions_are_shown_to_do_they_do(world, type_line):
    """docs/functions.md: each entry point is called, and each use of `data` made; packages have stand-ins."""
    signatures, uses, raised = [block for block in DOCUMENTS["docs/functions.md"].blocks if block.kind == "python"]
    assert raised.text.startswith("raise ")
    guest = world.folder / "guest"
    (guest / "PIL").mkdir(parents=True)
    (guest / "PIL" / "Image.py").write_text("open = lambda file: file.read(1)")
    (guest / "PIL" / "__init__.py").write_text("")
    (guest / "pandas.py").write_text("read_csv = lambda file: list(file)")
    lines = [
        line.replace("def main", f"def main_{at}").replace("...", "return 7", 1)
        for at, line in enumerate(signatures.lines)
    ]
    body = "".join(f"    {line}\n" for line in uses.lines)
    begin, end = (
        "import pandas, PIL.Image\ndef main_9(data):\n",
        "    return [main_0(data), main_1(data, n=2), len(data)]\n",
    )
    used = f"{begin}{body}{end}"
    (guest / "function.py").write_text("\n".join(lines) + "\n" + used)
    size = (world.folder / "data.csv").stat().st_size
    for entry, result in (("main_2", "7"), ("main_9", f"[7,7,{size}]")):
        code, said = type_line(f"bacalhau run python guest -i data.csv --entry {entry} --concurrency 1 --confidence 1")
        assert code == 0, said
        assert said.startswith(f"{result}\n"), said


def test_what_config_files_are_shown_to_say_they_may_say(world, type_line):
    (settings,) = [block for block in DOCUMENTS["docs/cli.md"].blocks if block.kind == "toml"]
    (world.folder / "config.toml").write_text(settings.text)
    flags = read_config(world.folder / "config.toml", group)["run"]["python"]
    assert list(flags.values()) == list(tomllib.loads(settings.text)["run"]["python"].values())
    (policy,) = [block for block in DOCUMENTS["docs/planner.md"].blocks if block.kind == "toml"]
    (world.folder / "policy.toml").write_text(policy.text)
    code, said = type_line("bacalhau run python f.py --policy policy.toml --explain --json")
    assert code in (0, 4), said  # a wrong policy is 2; whether this machine obeys it is its own affair
    (flow,) = [block for block in DOCUMENTS["docs/flows.md"].blocks if block.kind == "yaml"]
    (short,) = [block for block in DOCUMENTS["README.md"].blocks if block.kind == "yaml"]
    for name, block, arguments in (("long", flow, "--arg top=5"), ("short", short, "")):
        folder = world.folder / name
        shutil.copytree(ROOT / "functions" / "flows" / "word_tree", folder)
        (folder / "report.py").write_text("def main(data, top): return top\n")
        shutil.copytree(folder / "count", folder / "compile")
        shutil.copytree(folder / "count", folder / "link")
        (folder / "source").mkdir()
        (folder / "source" / "main.c").write_text("int main(void) { return 0; }")
        (folder / "flow.yaml").write_text(block.text)
        code, said = type_line(f"bacalhau run flow {name}/flow.yaml {arguments} --dry-run")
        assert code == 0, f"{block.place}: {said}"


def test_the_pages_are_announced_and_end_with_an_interrupt(world, tmp_path):
    errors = tmp_path / "stderr"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            command("web"), env=environment(world.home), stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        line = first_line(process, errors)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#token=\S+\n", line)
