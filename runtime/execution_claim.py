"""What a worker of a cluster says of an execution: names of frames, and what it gave as a header; read strictly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from runtime.engine import Execution
from storage.cid import CID, cid_text, parse_cid
from storage.errors import UserError, VerificationError
from verifier.model import EngineInfo, ModelError

BEGIN: Final = "begin"
KNOWN: Final = "known"
PROGRESS: Final = "progress"
DONE: Final = "done"
FAILED: Final = "failed"
THANKS: Final = "thanks"
"""The frames of an execution, in their order: the last one is the node's."""
MAX_TIMINGS: Final = 64
MAX_MADE: Final = 1_024
MAX_NAME_CHARACTERS: Final = 255
MAX_EXIT_CODE: Final = 255
MAX_FUEL: Final = (1 << 63) - 1
_DIGEST_CHARACTERS: Final = frozenset("0123456789abcdef")


def claim_of(execution: Execution, made: Sequence[tuple[str, CID]] = ()) -> dict[str, Any]:
    """Return the header that says what an execution gave. made: names and CIDs of what other workers can do with."""
    engine = execution.engine
    return {
        "type": DONE,
        "output": cid_text(execution.output),
        "exit_code": execution.exit_code,
        "fuel": execution.fuel,
        "state_digest": execution.state_digest,
        "engine": [engine.name, engine.version, engine.arch, list(engine.isolation)],
        "timings_s": execution.timings_s,
        "made": [[name, cid_text(cid)] for name, cid in made],
    }


def read_claim(header: dict[str, Any], task: CID) -> Execution:
    """Return the execution of `task` that a header speaks of.

    Raises:
        VerificationError: it is malformed, or out of bounds.
    """
    try:
        name, version, arch, isolation = header["engine"]
        return Execution(
            task=task,
            output=parse_cid(header["output"]),
            exit_code=_number(header["exit_code"], MAX_EXIT_CODE),
            fuel=None if header["fuel"] is None else _number(header["fuel"], MAX_FUEL),
            state_digest=_digest(header["state_digest"]),
            engine=EngineInfo(name=name, version=version, arch=arch, isolation=tuple(isolation)),
            timings_s=_timings(header["timings_s"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, UserError, ModelError) as error:
        raise VerificationError(f"is no account of an execution: {error}") from error


def read_made(header: dict[str, Any]) -> list[tuple[str, CID]]:
    """Return names and CIDs of what the worker has made and other workers can do with.

    Raises:
        VerificationError: it is malformed, or out of bounds.
    """
    try:
        made = [(name, parse_cid(cid)) for name, cid in header["made"]]
        fits = len(made) <= MAX_MADE and all(0 < len(name) <= MAX_NAME_CHARACTERS for name, _ in made)
    except (KeyError, TypeError, ValueError, AttributeError, UserError) as error:
        raise VerificationError(f"is no list of things made: {error}") from error
    if not fits:
        raise VerificationError("made more, or of longer names, than there can be")
    return made


def _number(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no number up to {most}")
    return value


def _digest(value: object) -> str:
    if not isinstance(value, str) or len(value) != 64 or not _DIGEST_CHARACTERS.issuperset(value):
        raise ValueError("the state digest is not 64 hex digits")
    return value


def _timings(value: object) -> dict[str, float]:
    if not isinstance(value, dict) or len(value) > MAX_TIMINGS:
        raise ValueError("the timings are not a few")
    found = {str(name)[:64]: float(seconds) for name, seconds in value.items()}
    if not all(math.isfinite(seconds) and seconds >= 0 for seconds in found.values()):
        raise ValueError("a timing is no number of seconds")
    return found
