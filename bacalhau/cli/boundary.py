"""The one place where what a command raises becomes a line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import platform
import sys
import traceback
from collections.abc import Callable
from typing import Final

import click

from bacalhau import __version__
from bacalhau.exit_codes import ExitCode, of_error
from bacalhau.terminal_text import one_line
from storage.errors import BacalhauError

_PREFIX = "bacalhau: "
DEBUG_VARIABLE = "BACALHAU_DEBUG"
_NAME_SHOWN: Final = 80
"""Characters of a name that is too long."""


def guarded(call: Callable[[], int]) -> int:
    """Return the exit code of `call`, whatever happens in it; every error is one line on stderr."""
    try:
        return call()
    except click.exceptions.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        return ExitCode.BROKEN_PIPE
    except click.ClickException as error:
        _say(usage_line(error))
        return ExitCode.USAGE
    except Exception as error:  # noqa: BLE001  the boundary: a bug of ours is told as one
        _say(error_line(error))
        _show_traceback()
        return of_error(error)


def usage_line(error: click.ClickException) -> str:
    """Return a wrong call as `where: problem; fix`."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "bacalhau"
    where = path.removeprefix("bacalhau").strip()
    problem = error.format_message().rstrip(".")
    return f"{where}: {problem}; see `{path} --help`" if where else f"{problem}; see `{path} --help`"


def error_line(error: Exception) -> str:
    """Return an error as `where: problem; fix`."""
    if isinstance(error, BacalhauError):
        return _with_short_name(error)
    if of_error(error) is ExitCode.UNCHECKED and isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{(error.strerror or str(error)).lower()}; make room and run it again"
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"{_start(str(error.filename or 'a file'))}: its name is too long for this machine; check the path"
    system = f"bacalhau {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return (
        f"{_place(error)}: {type(error).__name__}: {error}; this is a bug: run it again with {DEBUG_VARIABLE}=1"
        f" and report what it prints ({system})"
    )


def _with_short_name(error: BacalhauError) -> str:
    cause = error.__cause__
    if not isinstance(cause, OSError) or cause.errno != errno.ENAMETOOLONG:
        return str(error)
    return str(BacalhauError(error.problem, where=_start(error.where), fix=error.fix))


def _start(text: str) -> str:
    return text if len(text) <= _NAME_SHOWN else f"{text[:_NAME_SHOWN]}…"


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "unknown place"  # noqa: PTH119


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"{_PREFIX}{one_line(text)}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        return


def _show_traceback() -> None:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()


def _drop_stdout() -> None:
    """Point stdout elsewhere, or Python would complain about the broken pipe once more when it exits."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
