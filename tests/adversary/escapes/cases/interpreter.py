"""The interpreter turned against itself: its memory, its tables, its descriptors, our modules in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Sabotage:
    """What a function does to its own interpreter, and the outcome of that."""

    name: str
    code: str
    exit_code: int
    stdout: str = "begun\n"
    stderr: str = ""
    """How it ends."""
    result: str = ""


CASES: Final = (
    Sabotage(
        name="result and exit code written, then all memory overwritten",
        code="""
            open("/dev/exit_code", "wb", 0).write(b"0"); open("/dev/result", "wb", 0).write(b"forged")
            ctypes.memset(0, 255, 1 << 22)
            """,
        exit_code=139,
    ),
    Sabotage(
        name="bytecode of caches",
        code="f = lambda: 1\nf.__code__ = f.__code__.replace(co_code=bytes(range(256)) * 4)\nf()",
        exit_code=134,
        stderr='File "<string>", line 1 in <module>\n',
    ),
    Sabotage(
        name="bytecode beyond its constants",
        code=r"f = lambda: 1" "\n" r"f.__code__ = f.__code__.replace(co_consts=(), co_code=b'\x53\xff' * 40)" "\nf()",
        exit_code=139,
    ),
    Sabotage(
        name="frames written to every descriptor",
        code="""
            import json, struct
            header = json.dumps({"type": "done", "exit_code": 0}).encode()
            for number in range(50):
                try: os.write(number, struct.pack("<II", len(header), 0) + header)
                except OSError: pass
            sys.exit(7)
            """,
        exit_code=7,
        stdout='begun\n \x00\x00\x00\x00\x00\x00\x00{"type": "done", "exit_code": 0}',
        stderr='{"type": "done", "exit_code": 0}',
    ),
    Sabotage(
        name="result and exit code written, then an exception",
        code="""
            open("/dev/exit_code", "wb", 0).write(b"0"); open("/dev/result", "wb", 0).write(b"forged")
            for device, text in (("exit_code", b"999"), ("exit_code", b"-1"), ("sleep", b"-5"), ("sleep", b"9" * 30)):
                try: open(f"/dev/{device}", "wb", 0).write(text)
                except OSError as error: print(device, error.errno)
            raise ValueError
            """,
        exit_code=1,
        stdout="begun\nexit_code 28\nexit_code 28\nsleep 28\nsleep 28\n",
        stderr="ValueError\n",
    ),
    Sabotage(
        name="an audit hook that refuses",
        code="def hook(*_): raise RuntimeError\nsys.addaudithook(hook)",
        exit_code=1,
    ),
    Sabotage(
        name="all modules and builtins emptied",
        code="""
            import builtins
            for name in [name for name in sys.modules if name.startswith("_faas")]: vars(sys.modules[name]).clear()
            sys.modules.clear(); vars(builtins).clear()
            """,
        exit_code=1,
        stderr="NameError: name 'SystemExit' is not defined\n",
    ),
    Sabotage(
        name="descriptors closed and replaced, code for after the end",
        code="""
            import atexit, __main__
            class Late:
                def __del__(self): print("too late")
            __main__.late = Late()
            gc.callbacks.append(lambda phase, _: print("collected"))
            atexit.register(lambda: open("/outputs/at_exit", "w").close())
            own = os.open("/tmp/own", os.O_CREAT | os.O_RDWR)
            os.closerange(0, 50)
            for number in range(50): os.dup2(os.open("/dev/null", os.O_RDWR), number)
            return "still here"
            """,
        exit_code=0,
        result="still here",
    ),
)
