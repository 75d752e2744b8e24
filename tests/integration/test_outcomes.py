"""Whatever a function does is an outcome: an exit code, a traceback with its own paths, and the files it left."""

import json
import textwrap
import threading

import pytest

from runtime.engine import UndeterminedError
from storage.errors import UserError

pytestmark = pytest.mark.integration

EXITS = {
    "sys.exit()": (0, ""),
    "sys.exit(None)": (0, ""),
    "sys.exit(3)": (3, ""),
    "sys.exit(-1)": (255, ""),
    "sys.exit(256 + 7)": (7, ""),
    "sys.exit(True)": (1, ""),
    "sys.exit(10**30)": (255, ""),
    "sys.exit(-2**63)": (0, ""),
    "sys.exit('bye')": (1, "bye\n"),
    "sys.exit([1])": (1, "[1]\n"),
    "sys.exit(Mute())": (1, ""),
    "raise SystemExit": (0, ""),
}


def test_every_form_of_sys_exit(house):
    """One run: each form is raised on its own and judged by the guest's own code."""
    source = textwrap.dedent("""
        import json, os, sys
        import _faas_main
        class Mute:
            def __str__(self): raise ValueError
        def main(data, forms):
            said, codes = [], []
            _faas_main._put = lambda device, text: said.append(text.decode())
            for form in forms:
                said.clear()
                try: exec(form, {"sys": sys, "Mute": Mute})
                except SystemExit as stop: codes.append([_faas_main._exit_code(stop), "".join(said)])
            sys.stdout.write(json.dumps(codes)); sys.stdout.flush()
            os._exit(9)
        """)
    forms = list(EXITS)
    outcome = house.run(source, args=(f"forms={json.dumps(forms)}",))
    assert outcome.exit_code == 9
    assert dict(zip(forms, map(tuple, json.loads(outcome.stdout)), strict=True)) == EXITS


YIELDED = "and what is yielded is no result: return a list of it (`yield` alone ends a step)"
OUTCOMES = {
    "exit": ("import sys\ndef main(d): sys.exit(3)", 3, ""),
    "exit-async": ("import sys\nasync def main(d): sys.exit('bye')", 1, "bye\n"),
    "os-exit": ("import os\ndef main(d): os._exit(4)", 4, ""),
    "abort": ("import os\ndef main(d): os.abort()", 134, ""),
    "trap": ("import ctypes\ndef main(d): ctypes.string_at(2**32 - 8, 100)", 139, ""),
    "no-form": (
        "def main(d): return {'a': [1, {2}]}",
        1,
        "TypeError: the return value['a'][1] has no canonical form: set has no order; return sorted(…)\n",
    ),
    "too-deep": (
        "def main(d):\n  x = 1\n  for _ in range(5000): x = [x]\n  return x",
        1,
        "TypeError: the return value has no canonical form: it is nested too deeply; return bytes or text\n",
    ),
    "yields": (
        "def main(d):\n  yield\n  for line in ['a']:\n    yield line",
        1,
        """\
        Traceback (most recent call last):
          File "function.py", line 4, in main
            yield line
        TypeError: the function yields str, YIELDED
        """.replace("YIELDED", YIELDED),
    ),
    "generator": (
        "def main(d): return (x for x in [1])",
        1,
        """\
        Traceback (most recent call last):
          File "function.py", line 1, in <genexpr>
            def main(d): return (x for x in [1])
                                 ^
        TypeError: the function yields int, YIELDED
        """.replace("YIELDED", YIELDED),
    ),
    "memory": (
        "def main(d):\n  x = []\n  while True: x.append(bytearray(10**7))",
        137,
        """\
        Traceback (most recent call last):
          File "function.py", line 3, in main
            while True: x.append(bytearray(10**7))
                                 ~~~~~~~~~^^^^^^^
        MemoryError
        """,
    ),
    "result-in-device": ("import os\ndef main(d):\n  open('/dev/result', 'w').write('mine')\n  os._exit(0)", 0, ""),
    "saboteur": (
        """\
        import builtins, os, sys, json, atexit
        def main(d):
            os.closerange(0, 50)
            sys.stdout = sys.stderr = None
            os.write = os.open = json.dumps = builtins.len = None
            sys.modules.clear()
            raise KeyError("x")
        """,
        1,
        "KeyError\n",  # formatting needs what the function took away
    ),
    "chain": (
        """\
        def inner():
            return {}["k"]
        def main(d):
            try: inner()
            except KeyError as e: raise ValueError("bad") from e
        """,
        1,
        """\
        Traceback (most recent call last):
          File "function.py", line 4, in main
            try: inner()
                 ~~~~~^^
          File "function.py", line 2, in inner
            return {}["k"]
                   ~~^^^^^
        KeyError: 'k'

        The above exception was the direct cause of the following exception:

        Traceback (most recent call last):
          File "function.py", line 5, in main
            except KeyError as e: raise ValueError("bad") from e
                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        ValueError: bad
        """,
    ),
    "group": (
        """\
        def one():
            raise OSError("disk")
        def main(d):
            try: one()
            except OSError as e: raise ExceptionGroup("both", [e, TypeError("type")]) from None
        """,
        1,
        """\
          + Exception Group Traceback (most recent call last):
          |   File "function.py", line 5, in main
          |     except OSError as e: raise ExceptionGroup("both", [e, TypeError("type")]) from None
          |                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          | ExceptionGroup: both (2 sub-exceptions)
          +-+---------------- 1 ----------------
            | Traceback (most recent call last):
            |   File "function.py", line 4, in main
            |     try: one()
            |          ~~~^^
            |   File "function.py", line 2, in one
            |     raise OSError("disk")
            | OSError: disk
            +---------------- 2 ----------------
            | TypeError: type
            +------------------------------------
        """,
    ),
    "broken-str": (
        "class E(Exception):\n  def __str__(self): raise KeyError\ndef main(d): raise E",
        1,
        """\
        Traceback (most recent call last):
          File "function.py", line 3, in main
            def main(d): raise E
                         ^^^^^^^
        function.E: <exception str() failed>
        """,
    ),
    "async": (
        "import asyncio\nasync def main(d):\n  await asyncio.sleep(1)\n  1 / 0",
        1,
        """\
        Traceback (most recent call last):
          File "function.py", line 4, in main
            1 / 0
            ~~^~~
        ZeroDivisionError: division by zero
        """,
    ),
    "hooks": (
        """\
        import atexit, sys, warnings
        class D:
            def __del__(self): 1 / 0
            def __repr__(self): return "<a D>"
        def main(d):
            warnings.warn("old")
            D()
            atexit.register(print, "at exit", file=sys.stderr)
            sys.stdout = None
        """,
        0,
        """\
        function.py:6: UserWarning: old
          warnings.warn("old")
        Exception ignored while calling deallocator <function D.__del__ at 0x?>: None
        Traceback (most recent call last):
          File "function.py", line 3, in __del__
            def __del__(self): 1 / 0
                               ~~^~~
        ZeroDivisionError: division by zero
        at exit
        """,
    ),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_outcome(house, case):
    source, code, stderr = OUTCOMES[case]
    outcome = house.run(textwrap.dedent(source))
    assert (outcome.exit_code, textwrap.dedent(without_addresses(outcome.stderr))) == (code, textwrap.dedent(stderr))
    assert outcome.bytes("result") == b""
    assert outcome.bytes("exit_code") == str(code).encode()


def without_addresses(text):
    return "".join(
        part if i == 0 else "0x?" + part.lstrip("0123456789abcdef") for i, part in enumerate(text.split("0x"))
    )


def test_paths_of_helpers_and_their_syntax_errors(house):
    source = {
        "function.py": "from pkg import good\ndef main(d):\n  try: good.fail()\n  except ValueError: import pkg.bad\n",
        "pkg/__init__.py": "",
        "pkg/good.py": "def fail():\n    raise ValueError('here')\n",
        "pkg/bad.py": "x = (1,\n",
    }
    outcome = house.run(source)
    assert outcome.exit_code == 1
    assert 'File "pkg/good.py", line 2, in fail' in outcome.stderr
    assert 'File "pkg/bad.py", line 1' in outcome.stderr
    assert outcome.stderr.endswith("SyntaxError: '(' was never closed\n")
    assert "/function" not in outcome.stderr
    assert "_faas" not in outcome.stderr


def test_recursion_ends_in_python(house):
    source = """
        import pickle, sys
        def main(data):
            def down(n): return down(n + 1)
            chain = iter([1])
            for _ in range(100_000): chain = map(int, chain)
            deep = []
            for _ in range(200_000): deep = [deep]
            said = []
            for risky in (lambda: down(0), lambda: list(chain), lambda: len(repr(deep)), lambda: pickle.dumps(deep)):
                try: said.append(str(risky()))
                except RecursionError: said.append("RecursionError")
            del chain, deep
            return said
        """
    outcome = house.run(textwrap.dedent(source))
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.result == '["RecursionError","[1]","400002","RecursionError"]'


def test_output_limit(house):
    """One byte over in any way is 153: what was printed stays, cut; result and files go."""
    source = """
        import os
        def main(data, stdout, result, file):
            print("x" * stdout, end="", flush=True)
            with open("/outputs/file", "wb") as out: out.truncate(file)
            return b"r" * result
        """
    limit = 256 << 20
    cases = [(limit + 1, 0, 0), (10, limit, 0), (10, 10, limit - 19)]
    for stdout, result, file in cases:
        args = (f"stdout={stdout}", f"result={result}", f"file={file}")
        outcome = house.run(textwrap.dedent(source), args=args, memory="2Gb")
        assert outcome.exit_code == 153, args
        assert len(outcome.bytes("stdout")) == min(stdout, limit)
        assert outcome.bytes("result") == b""
        assert outcome.names("outputs/outputs") == []


def test_a_disk_of_its_own_size_that_fills_and_empties(house):
    source = """
        import os
        def main(data):
            said = []
            for attempt in range(3):
                with open("/tmp/big", "wb") as out:
                    try:
                        for _ in range(20): out.write(bytes(1 << 20) * 8)
                    except OSError as error: said.append(error.strerror)
                said.append(os.path.getsize("/tmp/big") >> 20)
                os.replace("/tmp/big", "/tmp/bigger") if attempt else os.unlink("/tmp/big")
            try: os.truncate("/tmp/bigger", 1 << 40)
            except OSError as error: said.append(error.strerror)
            return said
        """
    outcome = house.run(textwrap.dedent(source), memory="64Mb")
    assert outcome.stderr == ""
    assert outcome.result.count("No space left on device") >= 3


def test_an_output_that_the_function_replaces_is_an_empty_one(house):
    source = """
        import os
        def main(data):
            os.rmdir("/outputs/../work/out")
            os.symlink("/tmp", "/work/out")
        """
    with pytest.raises(UserError, match="/work belongs to the runtime"):
        house.run(textwrap.dedent(source), outputs=("out:/work/out",))
    source = """
        import os
        def main(data):
            try: os.rmdir("/a/out")
            except OSError as error: return error.strerror
        """
    assert house.run(textwrap.dedent(source), outputs=("out:/a/out",)).result == "Permission denied"


def test_outputs_are_collected_whatever_their_modes(house):
    source = """
        import os
        def main(data):
            os.makedirs("/outputs/locked/in"); open("/outputs/locked/in/f", "w").write("1")
            os.chmod("/outputs/locked/in/f", 0); os.chmod("/outputs/locked", 0)
            open("/outputs/constructor", "w").write("2"); open("/outputs/__proto__", "w").write("3")
            os.symlink("constructor", "/outputs/near"); os.symlink("/etc/passwd", "/outputs/far")
        """
    outcome = house.run(textwrap.dedent(source))
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.names("outputs/outputs") == ["__proto__", "constructor", "locked", "near"]
    assert outcome.bytes("outputs/outputs/locked/in/f") == b"1"


def test_the_wall_clock_makes_no_output(house):
    with pytest.raises(UndeterminedError, match=r"wall-clock guard of 2\.5 s"):
        house.run("def main(data):\n  while True: pass", timeout_s=2.5)
    assert [t for t in threading.enumerate() if isinstance(t, threading.Timer)] == []
