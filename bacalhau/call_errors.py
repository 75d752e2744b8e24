"""What a call raises when it does not give a value: the function's own exception, or the lack of agreement.

A function that fails is verified like any other: what is raised then carries the proof. It is also of the type that the
function raised, if that is one of Python's own, so that `except ValueError` works as if the function had run here.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from storage.errors import BacalhauError, VerificationError

if TYPE_CHECKING:
    from bacalhau.verified import Verified

_LAST_LINE: Final = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*))?$", re.DOTALL)
_GROUP_LINE: Final = re.compile(r"^ *\| ([A-Za-z_][\w.]*): (.*)$", re.MULTILINE)
"""Of a group of exceptions: its traceback has a margin."""
_NOT_RAISED: Final = (KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration)
"""Raised here they would mean something else."""


class RemoteTraceback(Exception):  # noqa: N818  what concurrent.futures calls it
    """The cause of a FunctionError: what the function wrote to stderr, its traceback at the end."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class FunctionError(BacalhauError):
    """The function itself failed, and enough nodes agree that it does.

    exit_code: 1 for an exception, 152 out of fuel, 137 out of memory, 153 too much output, else what it exited with.
    verified: the outcome with its proof, for which `value` raises this again.
    """

    def __init__(self, problem: str, *, verified: Verified[Any]) -> None:
        super().__init__(problem, where=f"job {verified.job[:8]}")
        self.verified = verified
        self.exit_code = verified.exit_code

    def __str__(self) -> str:
        return self.problem

    def __reduce__(self) -> tuple[Any, ...]:
        return function_error, (self.verified, getattr(self.__cause__, "text", ""))


class NotVerifiedError(VerificationError):
    """The nodes did not agree, or too few gave an answer: there is no output to believe.

    report: what `bacalhau run --json` prints, with every receipt and fault.
    """

    def __init__(self, report: Mapping[str, Any]) -> None:
        super().__init__(
            f"not verified: {report['reason']}",
            where=f"job {report['job'][:8]}",
            fix=f"see `bacalhau describe {report['job'][:8]}`",
        )
        self.report = dict(report)

    def __reduce__(self) -> tuple[Any, ...]:
        return NotVerifiedError, (self.report,)


def function_error(verified: Verified[Any], stderr: str) -> FunctionError:
    """Return what a call raises for a function that failed.

    stderr: what it wrote, of which the last line names the exception.
    """
    name, message = (_raised(stderr) or _said_alone(stderr)) if verified.exit_code == 1 else ("", "")
    problem = f"{name}: {message}" if name and message else name or f"exit code {verified.exit_code}"
    made = _type_of(name)(message if name in _TYPES_BY_NAME else problem, verified=verified)
    made.__cause__ = RemoteTraceback(stderr)
    return made


def _said_alone(stderr: str) -> tuple[str, str]:
    """Return the type and the message of the last line: what is raised outside of the function has no traceback.

    Such are a return value without a form, and arguments that do not fit. Only Python's own types are believed.
    """
    matched = _LAST_LINE.match(stderr.rstrip("\n").rpartition("\n")[2])
    known = matched is not None and matched[1] in _TYPES_BY_NAME and matched[2] is not None
    return (matched[1], matched[2]) if matched is not None and known else ("", "")


def _raised(stderr: str) -> tuple[str, str] | None:
    """Return the type and the message of the exception that ended the traceback at the end of a text, if any."""
    _, found, tail = stderr.rpartition("Traceback (most recent call last):\n")
    if not found:
        return None
    # The message may have several lines: it begins at the first one that is not indented.
    lines = tail.rstrip("\n").split("\n")
    first = next((number for number, line in enumerate(lines) if line and not line.startswith(" ")), None)
    matched = _GROUP_LINE.search(tail) if first is None else _LAST_LINE.match("\n".join(lines[first:]))
    return ("", "") if matched is None else (matched[1], matched[2] or "")


_TYPES_BY_NAME: Final[dict[str, type[Exception]]] = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, (*_NOT_RAISED, Warning))
}
_made: dict[str, type[FunctionError]] = {}


def _type_of(name: str) -> type[FunctionError]:
    """Return FunctionError, and at the same time the type of that name, if it can be made from a message alone."""
    if name not in _TYPES_BY_NAME:
        return FunctionError
    if name not in _made:
        _made[name] = _joined(name, _TYPES_BY_NAME[name])
    return _made[name]


def _joined(name: str, kind: type[Exception]) -> type[FunctionError]:
    try:
        kind("message")
        joined = type(name, (FunctionError, kind), {"__module__": __name__, "__doc__": FunctionError.__doc__})
    except TypeError:  # UnicodeDecodeError and its like want more than a message
        return FunctionError
    return joined
