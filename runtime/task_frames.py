"""One task as a worker is told of it, and what the worker's last frame says of it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from runtime.engine import Plan
from runtime.frames import Frame
from runtime.input_server import InputServer

SOURCE_MOUNT = "/function"
DATA_MOUNT = "/inputs"
"""A directory is mounted here, a file as /inputs/data."""
DATA_STREAM = "/run/data"
"""What `data` reads: the file, or the tar stream of the directory; empty where there is no input."""


def task_frame(
    plan: Plan, server: InputServer, *, has_source: bool, is_last: bool, checkpoints: dict[str, Any] | None = None
) -> Frame:
    """Describe a task; its inputs become handles of `server`.

    has_source: the worker keeps the function's directory. is_last: the worker ends when it is done. checkpoints: those
    to go on from and to make (`run_steps`).
    """
    limits = plan.input.limits
    return Frame(
        header={
            "type": "task",
            "mounts": _mounts(plan, server, has_source=has_source),
            "outputs": [{"name": output.name, "path": output.path} for output in plan.input.outputs],
            "epoch": plan.input.epoch,
            "entropy_key": entropy_key(plan),
            "limits": {"fuel": limits.fuel, "memory": limits.memory, "output": limits.output},
            "guest": _guest_task(plan),
            "is_last": is_last,
            "checkpoints": checkpoints,
        }
    )


def entropy_key(plan: Plan) -> str:
    """Return the ChaCha20 key of a task's randomness, hex: sha-256 of the seed, or of the task where none was given."""
    seed = plan.task if plan.input.seed is None else bytes.fromhex(plan.input.seed)
    kind = b"task" if plan.input.seed is None else b"seed"
    return hashlib.sha256(b"bacalhau-entropy/1\0" + kind + b"\0" + seed).hexdigest()


def _guest_task(plan: Plan) -> str:
    """Return what the guest's main reads: JSON text that Node passes on unread, since its numbers are all floats.

    Keys are sorted: the order of arguments and variables can be seen by the function, and must not depend on who
    planned the task.
    """
    task = {
        "entry": plan.python.entry,
        "args": dict(plan.input.args),
        "env": dict(plan.input.env),
        "source": f"{SOURCE_MOUNT}/function.py",
    }
    return json.dumps(task, sort_keys=True, ensure_ascii=True)


def _mounts(plan: Plan, server: InputServer, *, has_source: bool) -> list[dict[str, Any]]:
    mounts = []

    def mount(path: str, content: Any) -> None:
        handle, stat = server.hand_over(content)
        mounts.append({"path": path, "handle": handle, "kind": stat.kind, "size": stat.size})

    if not has_source:
        mount(SOURCE_MOUNT, plan.python.source)
    if plan.input.data is not None:
        handle, stat = server.hand_over(plan.input.data)
        is_directory = stat.kind == "directory"
        where = DATA_MOUNT if is_directory else f"{DATA_MOUNT}/data"
        mounts.append({"path": where, "handle": handle, "kind": stat.kind, "size": stat.size})
        stream, size = server.hand_over_tar(plan.input.data) if is_directory else (handle, stat.size)
        mounts.append({"path": DATA_STREAM, "handle": stream, "kind": "file", "size": size})
    for volume in plan.input.volumes:
        mount(volume.path, volume.cid)
    return mounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What the worker says of a task that it has run."""

    exit_code: int
    fuel: int
    state_digest: str
    timings_s: dict[str, float]


def read_done(frame: Frame) -> Done:
    """Check the fields of a frame `done`.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is malformed.
    """
    header = frame.header
    return Done(
        exit_code=_exit_code(header["exit_code"]),
        fuel=_fuel(header["fuel"]),
        state_digest=_state_digest(header["state_digest"]),
        timings_s={str(name): seconds(ms) for name, ms in header["timings_ms"].items()},
    )


def _exit_code(value: object) -> int:
    if type(value) is not int or not 0 <= value <= 255:
        raise ValueError(f"exit code {value!r}")
    return value


def _fuel(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"fuel {value!r}")
    return value


def _state_digest(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError(f"state digest {value!r}")
    return value


def seconds(milliseconds: object) -> float:
    """Return a worker's milliseconds in seconds."""
    if not isinstance(milliseconds, int | float) or not math.isfinite(milliseconds):
        raise ValueError(f"time {milliseconds!r}")
    return milliseconds / 1000
