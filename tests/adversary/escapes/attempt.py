"""What an attempt is, and how several of them run in one execution.

A boot of Python costs more than all attempts of a group together, so those that leave the run alive share one. What an
attempt meets is written as `Type: message` for an exception and `returned value` else, and compared as a whole: "it
failed somehow" is no refusal.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.integration.conftest import House, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One way to get out, and what it meets."""

    name: str
    code: str
    """Body of a function in the guest: what it returns is what the attempt got."""
    met: str
    """What the innermost layer answers: `Type: message`, or `returned value` where the answer is a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """An attempt that ends the run."""

    name: str
    code: str
    """Body of `main`, after `begun` was printed."""
    exit_code: int


PRELUDE: Final = """
import ctypes, gc, os, sys
LIB = ctypes.CDLL(None)

def evaluate(text):
    LIB.emscripten_run_script_string.restype = ctypes.c_char_p
    return LIB.emscripten_run_script_string(text.encode()).decode()
"""
"""Begins every source: `evaluate` asks Emscripten's script entry point for the value of a JavaScript expression."""

_RUN_ALL: Final = """
def main(data):
    met = {}
    for name, attempt in ATTEMPTS.items():
        try: met[name] = f"returned {attempt()!r}"
        except BaseException as error: met[name] = f"{type(error).__name__}: {error}"
    return met
"""


def together(attempts: Iterable[Attempt]) -> str:
    """Return the source of a function that makes all attempts and returns what each of them met."""
    functions = [
        f"def attempt_{number}():\n{textwrap.indent(textwrap.dedent(attempt.code), '    ')}\n"
        for number, attempt in enumerate(attempts)
    ]
    table = ", ".join(f"{attempt.name!r}: attempt_{number}" for number, attempt in enumerate(attempts))
    return "\n".join([PRELUDE, *functions, f"ATTEMPTS = {{{table}}}", _RUN_ALL])


def alone(code: str) -> str:
    """Return the source of a function that says `begun` and makes one attempt."""
    body = textwrap.indent(textwrap.dedent(code), "    ")
    return f"{PRELUDE}\ndef main(data):\n    print('begun', flush=True)\n{body}\n"


def met_by(outcome: Outcome) -> dict[str, str]:
    """Return what the attempts of `together` met."""
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    met: dict[str, str] = json.loads(outcome.result)
    return met


def same_worker(first: Outcome, second: Outcome) -> bool:
    """Tell whether a worker ran both: how long it took to start, to the microsecond, is said with every task of it."""
    return first.execution.timings_s["start"] == second.execution.timings_s["start"]


def javascript(house: House, expressions: Mapping[str, str]) -> dict[str, str]:
    """Evaluate JavaScript in the realm of a house whose layers let it through; what is thrown is its text."""
    source = PRELUDE + textwrap.dedent("""
        import json
        def main(data):
            met = {}
            for name, text in json.load(data).items():
                met[name] = evaluate("(()=>{try{return String(" + text + ")}catch(e){return 'threw '+(e.code??e)}})()")
            return met
        """)
    outcome = house.run(source, data=json.dumps(dict(expressions)).encode())
    return met_by(outcome)
