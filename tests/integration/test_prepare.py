"""Bad input: one line that names the fault and the fix, and nothing left behind."""

import dataclasses
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

import js_host
from runtime.npm_client import pyodide_package
from runtime.prepare import prepare
from runtime.pyodide_engine import PyodideEngine
from runtime.request import Request
from storage.cid import DAG_PB, RAW, cid_text, make_cid
from storage.errors import UnavailableError, UserError, VerificationError
from storage.sqlite_block_store import SqliteBlockStore
from tests.integration.conftest import House
from tests.requirements_gate import need

pytestmark = pytest.mark.integration

GOOD = "def main(data, n=1): return n\n"


@pytest.fixture
def fresh(tmp_path):
    """A house of its own, in which everything that is left can be seen."""
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    with SqliteBlockStore(home / "blocks.sqlite") as store, House(store, home, scratch) as house:
        yield house


def tree(home: Path) -> list[str]:
    """List what a run leaves: everything but the store's own file and what the package index was asked once."""
    names = (str(path.relative_to(home)) for path in home.rglob("*"))
    return sorted(name for name in names if not name.startswith(("blocks.sqlite", "cache")))


def refused(house, source=GOOD, **request):
    before = tree(house.home), house.store.size()
    with pytest.raises(UserError) as caught:
        house.plan(source, **request)
    assert (tree(house.home), house.store.size()) == before
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.fix, text
    return text


CALLS = {
    "-v no colon": ({"volumes": ("nothing",)}, "-v nothing: is not of the form CID:/path"),
    "-v relative": ({"volumes": ("x:y",)}, "-v x:y: is not of the form CID:/path"),
    "-v absent": ({"volumes": ("gone:/x",)}, "-v gone: is neither a CID nor an existing path"),
    "-v reserved": ({"volumes": (".:/tmp/x",)}, "/tmp belongs to the runtime"),
    "-v odd": ({"volumes": (".:/a//b",)}, "'/a//b' is not an absolute, plain path"),
    "-v two slashes": ({"volumes": (".:" + "//a",)}, "'//a' is not an absolute, plain path"),
    "-v inside output": ({"volumes": (".:/outputs/x",)}, "/outputs/x lies in /outputs"),
    "-o": ({"outputs": ("/x",)}, "-o /x: is not of the form name:/path"),
    "-o name": ({"outputs": ("../x:/x",)}, "-o ../x:/x: is not of the form name:/path"),
    "-o twice": ({"outputs": ("a:/x", "a:/y")}, "output 'a' is given twice"),
    "--arg": ({"args": ("n",)}, "--arg: 'n' is not of the form K=V"),
    "--arg unknown": ({"args": ("m=1",)}, "main() takes no argument 'm'"),
    "--arg data": ({"args": ("data=1",)}, "'data' is the input itself"),
    "--arg big": ({"args": ("n=99999999999999999999",)}, "integer does not fit in 64 bits"),
    "--arg deep": ({"args": ("n=" + "[" * 80 + "]" * 80,)}, "--arg: is nested"),
    "--arg surrogate": ({"args": ("n=\udcff",)}, "--arg:"),
    "-e": ({"env": ("=1",)}, "-e: '=1' is not of the form K=V"),
    "-e control": ({"env": ("A\nB=1",)}, "-e: has the variable name"),
    "--seed": ({"seed": "xyz"}, "--seed: 'xyz' is not a seed"),
    "--memory": ({"memory": "1Mb"}, "--memory: 1Mb is out of range"),
    "--memory text": ({"memory": "much"}, "--memory: 'much' is not a size"),
    "--epoch": ({"epoch": -1}, "--epoch: -1 is out of range"),
    "--timeout": ({"timeout_s": float("nan")}, "--timeout: nan is out of range"),
    "--fuel": ({"fuel": 0}, "0 is out of range"),
    "--entry odd": ({"entry": "a b"}, "--entry: 'a b' is not the name of a function"),
    "--entry": ({"entry": "start"}, "has no entry point 'start' (it defines main)"),
    "-i path": ({"data": "no/such/file"}, "-i no/such/file: is neither a CID nor an existing path"),
    "-i device": ({"data": "/dev/null"}, "-i /dev/null: is neither a file nor a directory"),
    "-i empty": ({"data": b""}, "is empty (0 bytes)"),
    "-i scheme": ({"data": "ftp://example.org/x"}, "'ftp' is not a scheme that is read"),
    "-i password": ({"data": "http://me:word@example.org/x"}, "holds a user name or password"),
    "-i checksum": ({"data": "http://example.org/x#sha256=00"}, "what follows # is no checksum"),
    "-i list absent": ({"data": "@no/such/list"}, "cannot be read: no such file"),
    "-v url alone": ({"volumes": ("https://example.org/x",)}, "is not of the form CID:/path"),
    "-v twice": ({"volumes": ("docs:/x", "tests:/x")}, "-v /x: two volumes are mounted here"),
    "-v in data": ({"data": ".", "volumes": (".:/inputs/x",)}, "/inputs/x lies in /inputs"),
    "-v around output": ({"volumes": (".:/a", ".:/a/b"), "outputs": ("o:/a/b/c",)}, "/a/b/c lies in /a"),
    "--url-limit": ({"url_limit": "0"}, "--url-limit: 0 is out of range"),
    "-c and function": ({"code": "1"}, "a function and -c are both given"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_wrong_call(fresh, case):
    request, said = CALLS[case]
    assert said in refused(fresh, **request)


def test_a_cid_that_is_not_here(fresh):
    absent, folder = (cid_text(make_cid(codec, b"never stored")) for codec in (RAW, DAG_PB))
    for request in ({"data": absent}, {"data": f"{folder}/sub/file"}, {"volumes": (f"{absent}:/x",)}):
        assert "is not in this store" in refused(fresh, **request)
    assert "'sub' is not there" in refused(fresh, data=f"{absent}/sub/file")


def test_a_private_url_is_refused_unless_asked_for(fresh):
    said = r"-i http://127\.0\.0\.1:9/x: 127\.0\.0\.1 is not on the public internet: 127\.0\.0\.1 \(loopback\);"
    with pytest.raises(UserError, match=said):
        fresh.plan(GOOD, data="http://127.0.0.1:9/x")


def test_a_wrong_function(fresh, tmp_path):
    assert "has no function.py" in refused(fresh, {"other.py": ""})
    assert "has no entry point 'main' (it defines no function)" in refused(fresh, "x = 1\n")
    assert "needs the argument 'k'" in refused(fresh, "def main(data, *, k): pass\n")
    assert "no function is given" in refused(fresh, None)
    assert "cannot be read: no such file" in refused(fresh, None, function=tmp_path / "absent.py")
    assert "a script takes no arguments" in refused(fresh, None, code="1", args=("n=1",))
    assert "more than 10 MiB" in refused(fresh, {"function.py": GOOD, "big": bytes((10 << 20) + 1)})


def test_a_link_to_a_directory_is_told_not_dropped(fresh, tmp_path):
    (tmp_path / "helpers").mkdir()
    folder = fresh.write(GOOD)
    (folder / "helpers").symlink_to(tmp_path / "helpers")
    assert "helpers: is a link to a directory" in refused(fresh, None, function=folder)


def test_syntax_errors_are_the_guests_to_judge(house):
    """What this Python cannot read, the guest may; what neither can is told with its line."""
    before = house.store.size()
    with pytest.raises(UserError, match=r"function\.py:2: syntax error: '\(' was never closed; correct the line"):
        house.plan("def main(data):\n  return (1\n")
    assert house.store.size() == before
    newer = (
        "def main(data):\n  try: 1 / 0\n  except ValueError, ZeroDivisionError: return t'{1}'.strings[0] or 'read'\n"
    )
    assert house.run(newer).result == "read"


def test_requirements_that_cannot_be_met(fresh):
    for text, said in (("numpy<1\n", "numpy"), ("-e .\n", "requirements.txt"), ("\xff==1\n", "requirements.txt")):
        files = {"function.py": GOOD, "requirements.txt": text.encode("latin-1")}
        try:
            message = refused(fresh, files)
        except UnavailableError as error:
            need("registry", False, str(error))
        assert said in message


def test_a_cache_that_cannot_be_written(fresh, tmp_path, session_home):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    engine = dataclasses.replace(fresh.engine, runtimes_dir=blocked / "runtimes")
    plan = fresh.plan(GOOD)
    with pytest.raises(UnavailableError, match=r"cannot be written: not a directory; make room there, or name another"):
        engine.execute(plan, fresh.store)
    assert [t for t in threading.enumerate() if isinstance(t, threading.Timer)] == []


def test_pyodide_that_is_not_the_pinned_one(fresh, tmp_path, monkeypatch):
    package = tmp_path / "npm" / "node_modules" / "pyodide"
    package.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        (tmp_path / "npm" / name).write_bytes((js_host.npm_manifest_dir() / name).read_bytes())
    (package / "package.json").write_text("{}")
    monkeypatch.setattr(js_host, "npm_manifest_dir", lambda: tmp_path / "npm")
    with pytest.raises(VerificationError, match=r"pyodide\.asm\.mjs: is not the file of Pyodide"):
        pyodide_package(fresh.home / "cache")


def _prepare_and_run(home: str) -> tuple[bytes, str]:
    root = Path(home)
    with SqliteBlockStore(root / "blocks.sqlite") as store:
        engine = PyodideEngine(runtimes_dir=root / "runtimes", wheels_dir=root / "cache" / "wheels")
        request = Request(function=root / "function.py", timeout_s=120)
        plan = prepare(request, store=store, cache_dir=root / "cache", engine=engine)
        execution = engine.execute(plan, store)
        engine.stop()
        return execution.output, execution.state_digest


def test_two_processes_prepare_the_same_runtime_at_once(tmp_path):
    (tmp_path / "function.py").write_text(GOOD)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        answers = list(pool.map(_prepare_and_run, [str(tmp_path)] * 2))
    assert answers[0] == answers[1]
    assert [path.name[0] for path in (tmp_path / "runtimes").iterdir()] == ["b"]
