"""Calls of the Python API, on nodes that run the captured source in this process: what goes in, and what comes out."""

import asyncio
import concurrent.futures
import io
import json
import pickle
import threading
import traceback

import pytest

import bacalhau
from bacalhau.executor import Executor
from bacalhau.home import Home
from js_host.guest import _faas_result
from storage.cid import parse_cid
from storage.errors import UserError
from storage.unixfs_read import UnixfsReader
from tests.unit.bacalhau.fakes import Desk, FakeEngine, Gave
from verifier.model import Record, load_node


def run_here(number, plan, store):
    """Run the function of a plan as the guest would, as far as these tests need it."""
    reader = UnixfsReader(store)
    text = reader.read_bytes(reader.resolve(plan.function.source, "function.py"), 1 << 20)
    data = b""
    if plan.input.data is not None and reader.stat(plan.input.data).kind == "file":
        data = reader.read_bytes(plan.input.data, 1 << 20)
    elif plan.input.data is not None:
        data = " ".join(name for name, _ in reader.entries(plan.input.data)).encode()
    space = {}
    try:
        exec(compile(text, "function.py", "exec"), space)  # noqa: S102
        value = space[plan.function.entry](io.BytesIO(data), **plan.input.args)
        return Gave(result=_faas_result.encode_result(value), outputs={"made.txt": b"made"})
    except BaseException as error:  # noqa: BLE001  what the guest does with it, too
        said = "".join(traceback.format_exception(error))
        return Gave(exit_code=1, stderr=f"before\n{said}".encode())


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACALHAU_DIR", str(tmp_path / "home"))
    return Desk(home=Home(tmp_path / "home"), engine=FakeEngine(run_here), read_output=None)


@pytest.fixture
def executor(desk):
    with Executor(services=desk.services()) as executor:
        yield executor


@bacalhau.function
def size(data, times=1, plus=0):
    return len(data.read()) * times + plus


@bacalhau.function
def upper(data) -> str:
    return data.read().decode().upper()


@bacalhau.function
def fails(data, kind="ValueError"):
    raise {"ValueError": ValueError, "UnicodeError": UnicodeError, "OSError": OSError}[kind]("no\ngood: 7")


def test_a_call_is_verified_and_is_a_job_with_a_record(executor, desk):
    r = executor.submit(size, b"12345", times=2).result()
    assert (r.value, r.verdict, r.exit_code, len(r.receipts)) == (10, "agreed", 0, 3)
    assert r.raw == b"10"
    with desk.store() as store:
        record = load_node(store, parse_cid(r.record), Record)
        assert record.output == parse_cid(r.output)
    with desk.jobs() as jobs:
        assert jobs.find(r.job).record == parse_cid(r.record)
    # The receipts and the record are sound; what the fake runtime is made of is, too.
    assert r.audit()["verdict"] == "valid"


def test_every_kind_of_input(executor, tmp_path):
    (tmp_path / "file").write_bytes(b"123")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(b"x")
    cid = bacalhau.add(tmp_path / "file")
    with (tmp_path / "file").open("rb") as stream:
        for given in [b"123", bytearray(b"123"), memoryview(b"123"), "file", tmp_path / "file", cid, stream]:
            assert executor.call(size, given).value == 3
    assert executor.call(size, None).value == 0
    assert executor.call(upper, tmp_path / "folder").value == "A"


def test_what_a_path_names_is_read_anew_with_each_call(executor, tmp_path):
    (tmp_path / "file").write_bytes(b"123")
    assert executor.call(size, "file").value == 3
    (tmp_path / "file").write_bytes(b"12345")
    assert executor.call(size, "file").value == 5


def test_a_result_as_input_makes_its_record_a_parent(executor, desk):
    first = executor.call(upper, b"abc")
    second = executor.call(size, first)
    third = executor.call(size, first / "outputs/outputs/made.txt")
    assert (second.value, third.value) == (3, 4)
    with desk.store() as store:
        for r in (second, third):
            assert load_node(store, parse_cid(r.record), Record).parents == (parse_cid(first.record),)


def test_a_known_call_answers_without_running(desk):
    with Executor(services=desk.services()) as executor:
        first = executor.call(size, b"1")
        count = desk.engine.calls
        again = executor.call(size, b"1")
        assert (again.verdict, desk.engine.calls) == ("cached", count)
        assert again == first
        assert hash(again) == hash(first)
        assert again.job != first.job
    with Executor(services=desk.services(), cache=False) as executor:
        assert executor.call(size, b"1").verdict == "agreed"
        assert desk.engine.calls == count + 3


def test_map_gives_the_results_in_order(executor):
    inputs = [b"x" * number for number in range(20)]
    assert [r.value for r in executor.map(size, inputs)] == list(range(20))
    assert [r.value for r in executor.map(size, inputs, [2] * 20)] == list(range(0, 40, 2))


def test_arguments_are_bound_as_the_function_has_them(executor):
    assert executor.call(size, b"12", 3, 1).value == 7
    assert executor.call(size, b"12", plus=5).value == 7
    for args, kwargs, words in [
        ((1,), {"times": 2}, "got 'times' twice"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((), {"tiems": 2}, "function 'size': takes no argument 'tiems'; it takes: times, plus"),
        ((), {"times": {1}}, "argument 'times' is no JSON value"),
        ((), {"times": float("nan")}, "argument 'times' is no JSON value"),
    ]:
        with pytest.raises(UserError, match=words):
            executor.submit(size, b"", *args, **kwargs)


@pytest.mark.parametrize("kind", ["ValueError", "UnicodeError", "OSError"])
def test_an_exception_comes_back_as_its_own_type_with_the_proof(executor, kind):
    future = executor.submit(fails, b"", kind)
    with pytest.raises(getattr(__builtins__, kind, None) or __builtins__[kind]) as caught:
        future.result()
    error = caught.value
    assert isinstance(error, bacalhau.FunctionError)
    assert str(error) == "no\ngood: 7"
    assert error.exit_code == error.verified.exit_code == 1
    assert error.verified.audit()["verdict"] == "valid"
    assert 'File "function.py", line 2, in fails' in str(error.__cause__)
    with pytest.raises(bacalhau.FunctionError):
        _ = error.verified.value
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(again), str(again), again.verified) == (type(error), str(error), error.verified)
    assert str(again.__cause__) == str(error.__cause__)


def test_an_exception_of_a_package_is_a_function_error(desk):
    desk.engine.behave = lambda *_: Gave(exit_code=1, stderr=b"Traceback (most recent call last):\n  x\npkg.Bad: why\n")
    with Executor(services=desk.services()) as executor, pytest.raises(bacalhau.FunctionError, match=r"pkg.Bad: why"):
        executor.call(size, b"")


@pytest.mark.parametrize(
    ("stderr", "kind", "words"),
    [
        (b"warned: x\nTypeError: the return value has no canonical form: set\n", TypeError, "the return value has"),
        (
            b"  + Exception Group Traceback (most recent call last):\n  |   File\n"
            b"  | ExceptionGroup: g (1 sub-exception)\n  +-+--- 1 ---\n    | ValueError: 1\n    +---\n",
            bacalhau.FunctionError, r"g \(1 sub-exception\)",
        ),
    ],
)  # fmt: skip
def test_an_exception_without_a_traceback_of_its_own_is_named_too(desk, stderr, kind, words):
    desk.engine.behave = lambda *_: Gave(exit_code=1, stderr=stderr)
    with Executor(services=desk.services()) as executor, pytest.raises(bacalhau.FunctionError, match=words) as caught:
        executor.call(size, b"")
    assert isinstance(caught.value, kind)


@pytest.mark.parametrize(
    ("code", "stderr"),
    [(152, b"out of fuel\n"), (7, b""), (7, b"TypeError: no\n"), (1, b"no traceback"), (1, b"Note: this\n")],
)
def test_other_exit_codes(desk, code, stderr):
    desk.engine.behave = lambda *_: Gave(exit_code=code, stderr=stderr)
    with Executor(services=desk.services()) as executor, pytest.raises(bacalhau.FunctionError) as caught:
        executor.call(size, b"")
    assert (caught.value.exit_code, str(caught.value)) == (code, f"exit code {code}")


def test_what_is_not_agreed_on_raises_and_is_kept(desk):
    desk.engine.behave = lambda number, *_: Gave(result=b"%d" % number)
    with Executor(services=desk.services()) as executor, pytest.raises(bacalhau.NotVerifiedError) as caught:
        executor.call(size, b"")
    report = caught.value.report
    assert (report["verdict"], report["output"], report["tier"]) == ("split", None, "unverified")
    with desk.jobs() as jobs:
        assert jobs.find(report["job"]).verdict == "split"
    assert pickle.loads(pickle.dumps(caught.value)).report == report  # noqa: S301


def test_results_are_read_as_their_annotation_says(desk):
    @bacalhau.function
    def digits(data) -> str:
        return "5"

    @bacalhau.function
    def unsaid(data):
        return "5"

    @bacalhau.function
    def raw(data) -> bytes:
        return b'{"a":1}'

    @bacalhau.function(returns="json")
    def nested(data):
        return {"b": [1.5, None, b"\x00\xff"], "a": "é"}

    @bacalhau.function
    def nothing(data):
        return None

    @bacalhau.function
    def spaced(data):
        return "[1, 2]"

    @bacalhau.function
    def binary(data):
        return b"\xff\xfe"

    with Executor(services=desk.services()) as executor:
        values = [executor.call(each, b"").value for each in (digits, unsaid, raw, nested, nothing, spaced, binary)]
    assert values == ["5", 5, b'{"a":1}', {"b": [1.5, None, b"\x00\xff"], "a": "é"}, None, "[1, 2]", b"\xff\xfe"]


def test_a_plain_function_and_a_directory_do_as_well(executor, tmp_path):
    def plain(rows, n):
        return n

    assert executor.submit(plain, b"", 4).result().value == 4
    with pytest.raises(UserError, match="function 'plain': 'rows' is the input itself; pass it first"):
        executor.submit(plain, None, rows=b"", n=4)
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "function.py").write_text("def main(data, n=1):\n    return n + 1\n")
    loaded = bacalhau.load_function(tmp_path / "f")
    assert executor.submit(loaded, b"", n=4).result().value == 5
    with pytest.raises(UserError, match="takes its arguments by name"):
        executor.submit(loaded, b"", 4)
    for slip, said in (({"m": 4}, "no argument 'm'; it takes: n"), ({"data": 4}, "is the input itself; pass it first")):
        with pytest.raises(UserError, match=said):
            loaded.bound((), slip)
        with pytest.raises(UserError, match=said):  # before the directory is looked at
            executor.shard(loaded, tmp_path / "nowhere", "/*", arguments=slip)
    with pytest.raises(UserError, match="needs the argument 'n'; call it with n="):
        executor.submit(plain, b"")
    (tmp_path / "f" / "function.py").write_text("def main(data, n=1):\n    return n + 2\n")
    assert executor.submit(loaded, b"", n=4).result().value == 6


def test_a_wrong_function_is_named_as_its_caller_knows_it(executor, tmp_path, monkeypatch):
    (tmp_path / "f").mkdir()
    for place in ("f/function.py", "one.py"):
        (tmp_path / place).write_text("def main(data):\n    return 1\n")

    def refuse(_parts, request):
        raise UserError("does not parse", where=f"{request.function / 'function.py'}:1", fix="correct it")

    monkeypatch.setattr("bacalhau.prepared_parts.PreparedParts.function", refuse)
    loaded = [bacalhau.load_function(tmp_path / place) for place in ("f", "one.py")]
    shown = (str(tmp_path / "f/function.py:1"), str(tmp_path / "one.py:1"), "function 'size'")
    for made, where in zip((*loaded, size), shown, strict=True):
        with pytest.raises(UserError, match="does not parse") as caught:
            executor.call(made, b"")
        assert caught.value.where == where


def test_the_same_function_is_the_same_cid_from_a_file_and_from_here(executor, tmp_path):
    from bacalhau.captured_source import capture

    (tmp_path / "function.py").write_text(capture(size.__wrapped__))
    there = executor.call(bacalhau.load_function(tmp_path / "function.py", entry="size"), b"1")
    assert executor.call(size, b"1").function == there.function


def test_wrong_calls_are_told_in_one_line(executor):
    for call, words in [
        (lambda: executor.call(size, "nowhere"), "no such file or directory"),
        (lambda: executor.call(size, ""), "the input has an empty name"),
        (lambda: executor.call(size, io.StringIO("x")), "a StringIO is no input"),
        (lambda: executor.call(size, 5), "a int is no input"),
        (lambda: bacalhau.function(size=1), None),
        (lambda: bacalhau.function(pandas=True)(lambda data: 1), "no function with a name"),
        (lambda: bacalhau.function(pandas=True)(upper.__wrapped__), "has no option 'pandas'"),
        (lambda: bacalhau.function(returns="csv")(upper.__wrapped__), "returns='csv' is unknown"),
        (
            lambda: executor.call(bacalhau.function(requirements="nowhere.txt")(upper.__wrapped__), b""),
            "cannot be read",
        ),
        (lambda: bacalhau.load_function("nowhere"), "nowhere"),
        (lambda: Executor(concurrency=2, confidence=3), "confidence"),
        (lambda: Executor(concurrency=1), "say confidence=1"),
        (lambda: Executor(concurrency=0, confidence=0), "Executor: "),
        (lambda: Executor(max_workers=0), "max_workers is 0"),
        (lambda: Executor(dask=5), "5 is no Dask client"),
        (lambda: bacalhau.add(5), "a int is no content"),
        (lambda: executor.call(size, b"") / "../x", "is not a plain path"),
    ]:
        if words is None:
            assert callable(call())
            continue
        with pytest.raises(bacalhau.BacalhauError) as caught:
            call()
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_requirements_and_volumes_are_part_of_the_task(desk):
    with Executor(services=desk.services()) as executor:
        plain = executor.call(size, b"")
        packed = executor.call(size.with_options(requirements=["idna==3.10"]), b"")
        mounted = executor.call(size.with_options(volumes={"/inputs/v": b"volume"}), b"")
    assert len({plain.function, packed.function}) == 2
    assert (plain.function, plain.value) == (mounted.function, mounted.value)
    assert plain.input != mounted.input


def test_an_executor_that_was_shut_down_takes_nothing_more(desk):
    executor = Executor(services=desk.services())
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(size, b"")
    executor.shutdown()


def test_waiting_calls_are_cancelled_and_the_one_under_way_ends(desk):
    begun, go_on = threading.Event(), threading.Event()

    def behave(number, plan, store):
        begun.set()
        assert go_on.wait(60)
        return run_here(number, plan, store)

    desk.engine.behave = behave
    executor = Executor(services=desk.services(), max_workers=1)
    first, second = (executor.submit(size, data) for data in (b"1", b"22"))
    assert begun.wait(60)
    assert not first.cancel()
    with pytest.raises(concurrent.futures.TimeoutError):
        first.result(timeout=0)
    executor.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    assert first.result(timeout=60).value == 1
    assert second.cancelled()
    executor.shutdown(wait=True)


def test_calls_from_many_threads_share_what_is_known(desk):
    with Executor(services=desk.services(), max_workers=8) as executor:
        results = [future.result() for future in [executor.submit(size, b"same") for _ in range(16)]]
    assert {r.value for r in results} == {4}
    assert desk.engine.calls == 3
    assert sorted({r.verdict for r in results}) == ["agreed", "cached"]


def test_asyncio(desk, monkeypatch):
    with Executor(services=desk.services()) as executor:
        monkeypatch.setattr("bacalhau.executor.default_executor", lambda: executor)

        async def main():
            both = await asyncio.gather(size.aio(b"1"), size.aio(b"22", times=2))
            return [r.value for r in both] + [r.value async for r in size.amap([b"", b"1"], times=3)]

        assert asyncio.run(main()) == [1, 4, 0, 3]
        assert [r.value for r in size.map([b"1", b"22"], plus=1)] == [2, 3]
        assert size(b"123").value == 3


def test_shards(executor, tmp_path):
    (tmp_path / "data").mkdir()
    for name, content in [("a.txt", b"1"), ("b.txt", b"22"), ("c.csv", b"333")]:
        (tmp_path / "data" / name).write_bytes(content)
    sharded = executor.shard(size, tmp_path / "data", "/*.txt", arguments={"plus": 1})
    assert sharded.verified
    assert [shard["first"] for shard in sharded.shards] == ["a.txt", "b.txt"]
    assert list(sharded.values()) == [6, 6]
    assert sharded.read("outputs/outputs/made.txt") == b"made"
    with pytest.raises(UserError, match="no shard 7"):
        sharded.result(7)
    failed = executor.shard(fails, tmp_path / "data", "/*.txt")
    assert not failed.verified
    with pytest.raises(ValueError, match="no\ngood"):
        failed.result(1)


def test_a_result_travels_and_is_found_again(executor, tmp_path, monkeypatch):
    r = executor.call(upper, b"abc")
    again = pickle.loads(pickle.dumps(r))  # noqa: S301
    assert (again, again.value, again.stdout) == (r, "ABC", r.stdout)
    with again.open("outputs/outputs/made.txt") as stream:
        assert stream.read(2) == b"ma"
    place = r.save(tmp_path / "out")
    assert (place / "result").read_bytes() == b"ABC"
    assert (place / "record.car").exists()
    with pytest.raises(UserError, match="is there already"):
        r.save(tmp_path / "out")
    assert r != "ABC"
    assert "record='bafyrei" in repr(r)
    assert "3 of 3 agree" in repr(r)


def test_html_escapes_what_a_function_says(desk):
    @bacalhau.function
    def markup(data):
        return "<script>alert(1)</script>"

    with Executor(services=desk.services()) as executor:
        r = executor.call(markup, b"")
    html = r._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert r.record in html


def test_the_report_is_what_the_command_prints(executor):
    r = executor.call(size, b"1")
    assert json.loads(json.dumps(dict(r.report)))["tier"] == "verified"
    assert {"job", "task", "function", "input", "output", "record", "verdict", "receipts"} <= set(r.report)
