"""The command's exit codes: the only place where an outcome becomes a number."""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import Final

from storage.errors import PeerError, UnavailableError, UserError, VerificationError


class ExitCode(IntEnum):
    """Documented in docs/cli.md; scripts rely on them, so a published one keeps its meaning."""

    DONE = 0
    """Verified, valid, or done."""
    NOT_VERIFIED = 1
    """The nodes did not agree, or something was checked and is false."""
    USAGE = 2
    FUNCTION_FAILED = 3
    """The nodes agree that the function itself failed: verified all the same."""
    UNCHECKED = 4
    """Something is not here or could not be reached. Never mixed up with NOT_VERIFIED."""
    BUG = 70
    INTERRUPTED = 130
    """128 + SIGINT, as shells count."""
    BROKEN_PIPE = 141
    """128 + SIGPIPE: whoever read our output went away. Not 1, which would say "not verified"."""


HOST_TROUBLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of the operating system that no program can be blamed for."""


def of_error(error: BaseException) -> ExitCode:
    """Return the exit code for what ended a command."""
    if isinstance(error, UserError) or (isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG):
        return ExitCode.USAGE
    if isinstance(error, VerificationError | PeerError):
        return ExitCode.NOT_VERIFIED
    if isinstance(error, UnavailableError) or (isinstance(error, OSError) and error.errno in HOST_TROUBLE):
        return ExitCode.UNCHECKED
    return ExitCode.BUG


def of_run(verdict: str, exit_code: int | None) -> ExitCode:
    """Return the exit code of a run; exit_code: the function's, None where nothing was agreed."""
    if verdict not in ("agreed", "cached") or exit_code is None:
        return ExitCode.NOT_VERIFIED
    return ExitCode.DONE if exit_code == 0 else ExitCode.FUNCTION_FAILED


def of_container(verdict: str, exit_code: int | None) -> ExitCode:
    """Return the exit code of a run that nobody verifies: done is not verified, and differing runs are not done."""
    if verdict == "differs":
        return ExitCode.NOT_VERIFIED
    if verdict not in ("ran", "reproduced") or exit_code is None:
        return ExitCode.UNCHECKED
    return ExitCode.DONE if exit_code == 0 else ExitCode.FUNCTION_FAILED


def of_audit(verdict: str) -> ExitCode:
    """Return the exit code of an audit; what is not known to be valid or invalid is unchecked."""
    return {"valid": ExitCode.DONE, "invalid": ExitCode.NOT_VERIFIED}.get(verdict, ExitCode.UNCHECKED)
