"""The function contract: data, arguments, volumes, outputs, scripts, async, time, and what is sealed off."""

import json
import textwrap

import pytest

pytestmark = pytest.mark.integration


def run(house, source, **request):
    outcome = house.run(textwrap.dedent(source), **request)
    assert (outcome.exit_code, outcome.stderr) == (0, ""), outcome.stderr
    return outcome


def test_data_of_a_file(house):
    source = """
        import io, shutil
        def main(data):
            print(open("/inputs/data", "rb").read() == bytes(data), data.read(4), data.readline(), data[0], data[-1:])
            assert [data[i:j:k] for i in (0, 7, None) for j in (3, None) for k in (1, -2)] == [
                bytes(data)[i:j:k] for i in (0, 7, None) for j in (3, None) for k in (1, -2)]
            data.seek(1 << 20)
            out = io.BytesIO()
            shutil.copyfileobj(data, out)
            return [len(data), bool(data), len(out.getvalue()), data.tell()]
        """
    content = b"line one\nline two\n" * 100_000
    outcome = run(house, source, data=content)
    assert outcome.stdout == f"True b'line' b' one\\n' {ord('l')} b'\\n'\n"
    assert json.loads(outcome.result) == [len(content), True, len(content) - (1 << 20), len(content)]


def test_data_of_a_directory_is_a_tar_stream_and_a_tree(house, tmp_path):
    for name in ("a.txt", "sub/b.txt"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    source = """
        import os, tarfile
        def main(data):
            with tarfile.open(fileobj=data) as archive:
                members = {m.name: archive.extractfile(m).read().decode() for m in archive if m.isfile()}
            return [members, sorted(os.listdir("/inputs")), open("/inputs/sub/b.txt").read()]
        """
    outcome = run(house, source, data=str(tmp_path / "in"))
    assert json.loads(outcome.result) == [
        {"a.txt": "a.txt", "sub/b.txt": "sub/b.txt"}, ["a.txt", "sub"], "sub/b.txt"
    ]  # fmt: skip


def test_arguments_environment_volumes_and_outputs(house, tmp_path):
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "file").write_text("v")
    source = """
        import os
        def main(data, n=10, *, word, **more):
            with open("/results/made", "w") as out: out.write(open("/ref/file").read())
            for path in ("/ref/new", "/ref/file", "/new", "/results/../new", "/function/new", "/run/x", "/inputs/x"):
                try: open(path, "w")
                except OSError: continue
                return path
            variables = [os.environ["A"], list(os.environ)[-2:]]
            return [len(data), data.read().decode(), n, word, list(more.items()), *variables]
        """
    outcome = run(
        house,
        source,
        args=("zeta=1.0", "word=plain text", "alpha=[1, 9007199254740993]", "n=-0.0"),
        env=("B=2", "A=ä=1"),
        volumes=(f"{tmp_path / 'volume'}:/ref",),
        outputs=("results:/results",),
    )
    expected = '[0,"",-0.0,"plain text",[["alpha",[1,9007199254740993]],["zeta",1.0]],"ä=1",["A","B"]]'
    assert outcome.result == expected
    assert outcome.names("outputs") == ["outputs", "results"]
    assert outcome.bytes("outputs/results/made") == b"v"


def test_a_script_prints_its_output(house):
    code = "import sys, os\nprint(__name__, sys.argv, os.getcwd())\nif __name__ == '__main__': sys.exit(0)\n"
    outcome = house.run(code=code)
    assert (outcome.exit_code, outcome.stdout) == (0, "__main__ ['function.py'] /work\n")
    assert outcome.bytes("result") == b""


def test_streams_keep_their_order_and_lose_nothing(house):
    source = """
        import io, os, sys, atexit
        def main(data):
            print("one")
            os.write(1, b"")
            sys.stdout.flush(); os.write(1, b"two\\n")
            print("three", end="")
            atexit.register(print, "four")
            old, sys.stdout = sys.stdout, io.StringIO()
            print("lost")
            sys.stdout = old
            print("", "kept")
            sys.stdout = io.StringIO()
        """
    assert run(house, source).stdout == "one\ntwo\nthree kept\n"


def test_async_main_on_virtual_time(house):
    source = """
        import asyncio, time
        async def main(data):
            loop, seen = asyncio.get_running_loop(), []
            start = loop.time()
            same = start + 5
            for n in range(20): loop.call_at(same, seen.append, n)
            loop.call_later(1, seen.append, "first")
            async def worker(n, delay):
                await asyncio.sleep(delay); return n
            assert await asyncio.gather(*(worker(n, 3600 - n) for n in range(5))) == list(range(5))
            assert seen == ["first", *range(20)], seen
            assert 3600 <= loop.time() - start < 3600.01
            try:
                async with asyncio.timeout(5): await asyncio.sleep(100)
            except TimeoutError: seen = ["timeout"]
            queue = asyncio.Queue(2)
            async def put():
                for n in range(6): await queue.put(n)
            async with asyncio.TaskGroup() as group:
                group.create_task(put())
                seen += [await queue.get() for _ in range(6)]
            async def numbers():
                try:
                    for n in range(3): yield n
                finally: seen.append("closed")
            seen += [n async for n in numbers()]
            try: await asyncio.to_thread(len, "")
            except RuntimeError as error: seen.append(str(error)[:20])
            await asyncio.sleep(0); await asyncio.sleep(-1)
            return seen
        """
    assert json.loads(run(house, source).result) == [
        "timeout", 0, 1, 2, 3, 4, 5, "closed", 0, 1, 2, "there are no threads"
    ]  # fmt: skip


def test_waiting_moves_the_clock_by_its_length_and_costs_nothing(house):
    source = """
        import queue, select, threading, time
        def main(data):
            def took(wait):
                start = time.monotonic()
                try: wait()
                except Exception as error: return f"{type(error).__name__}: {error}"
                return round(time.monotonic() - start, 3)
            held = threading.Lock(); held.acquire()
            return [took(wait) for wait in (
                lambda: time.sleep(86400 * 365), lambda: time.sleep(0), lambda: time.sleep(0.25),
                lambda: select.select([], [], [], 1.5), lambda: threading.Event().wait(7),
                lambda: held.acquire(timeout=0.01), lambda: queue.Queue().get(timeout=2),
                lambda: threading.Event().wait(), lambda: queue.Queue().get(),
                lambda: time.sleep(-1), lambda: time.sleep(float("nan")), lambda: time.sleep("1"),
                lambda: time.sleep(1e30),
                lambda: threading.Thread(target=print).start(),
            )]
        """
    alone = "RuntimeError: waits for another thread, and there are none"
    assert json.loads(run(house, source).result) == [
        31536000, 0, 0.25, 1.5, 7, 0.01, "Empty: ", alone, alone,
        "ValueError: sleep length must be non-negative", "ValueError: Invalid value NaN (not a number)",
        "TypeError: 'str' object cannot be interpreted as an integer",
        "OverflowError: timestamp out of range for platform time_t", "RuntimeError: can't start new thread",
    ]  # fmt: skip


def test_time_is_the_tasks_and_utc(house):
    source = """
        import datetime, os, time
        def main(data):
            a, b = time.time_ns(), time.time_ns()
            open("/tmp/f", "w").close()
            os.utime("/tmp/f", (5, 6))
            return [b - a, time.gmtime()[:6], time.localtime()[:6], time.tzname, time.strftime("%H:%M:%S %Z %z"),
                    datetime.datetime.now().astimezone().utcoffset() / datetime.timedelta(hours=1),
                    time.mktime(time.localtime(1e9)),
                    os.stat("/tmp/f").st_mtime, os.stat("/function/function.py").st_mtime,
                    time.clock_gettime(time.CLOCK_REALTIME) // 1, time.process_time() < 1, list(os.times())]
        """
    moment = [2001, 9, 9, 1, 46, 40]
    assert json.loads(run(house, source, epoch=10**9).result) == [
        1000, moment, moment, ["UTC", "UTC"], "01:46:40 UTC +0000", 0.0, 1e9, 6.0, 315532800.0, 1e9, True, [0.0] * 5
    ]  # fmt: skip


def test_javascript_is_out_of_reach(house):
    source = """
        import builtins, gc, importlib, sys
        def main(data):
            said = []
            names = "js pyodide_js pyodide pyodide.ffi pyodide.code _pyodide _pyodide_core micropip"
            for name in names.split():
                try: importlib.import_module(name)
                except ModuleNotFoundError as error: said.append("JavaScript is not reachable" in str(error))
            proxies = [n for n, m in sys.modules.items() if type(m) is not type(sys)]
            seen = {}
            for thing in gc.get_objects():
                for part in (thing, *gc.get_referents(thing)):
                    if type(part).__name__ == "JsProxy": seen[id(part)] = 1
            import __main__
            return [said, proxies, len(seen), [n for n in vars(builtins) if n.startswith("Js")],
                    [n for n in vars(__main__) if not n.startswith("__")]]
        """
    assert json.loads(run(house, source).result) == [[True] * 8, [], 0, [], []]


def test_the_host_cannot_be_reached(house):
    source = """
        import os, socket, subprocess, ctypes, signal
        def main(data):
            def attempt(call):
                try: return repr(call())
                except BaseException as error: return type(error).__name__
            return [attempt(call) for call in (
                lambda: socket.socket(), lambda: os.fork(), lambda: os.system("true"), lambda: subprocess.run(["true"]),
                lambda: os.listdir("/etc"), lambda: open("/proc/self/environ"), lambda: os.execv("/bin/true", ["true"]),
                lambda: os.kill(1, 0) and None,
            )]
        """
    assert json.loads(run(house, source).result)[:7] == [
        "OSError", "OSError", "-1", "OSError", "FileNotFoundError", "FileNotFoundError", "OSError"
    ]  # fmt: skip
