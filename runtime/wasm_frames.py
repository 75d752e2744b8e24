"""One task as the worker of a module is told of it; `wasm_task.WasmTask.read` is the other end."""

from __future__ import annotations

import json
from typing import Any

from runtime.engine import Plan
from runtime.input_server import InputServer
from runtime.task_frames import DATA_MOUNT
from storage.cid import CID
from verifier.wasm_types import arguments_of


def task_text(plan: Plan, server: InputServer) -> bytes:
    """Describe a task as JSON; its inputs become handles of `server`.

    Raises:
        VerificationError: its arguments are not those of a module, or an input is no content.
        UnavailableError: a block of an input is not here.
    """
    x, limits = plan.input, plan.input.limits
    stdin, mounts = _data(x.data, server)
    mounts += [{"path": volume.path, **_handed(volume.cid, server)} for volume in x.volumes]
    task = {
        "arguments": list(arguments_of(x)),
        # In an order that does not depend on who planned the task: it can be seen by the program.
        "environment": sorted(f"{name}={value}" for name, value in x.env.items()),
        "stdin": stdin,
        "mounts": mounts,
        "outputs": [{"name": output.name, "path": output.path} for output in x.outputs],
        "epoch": x.epoch,
        "fuel": limits.fuel,
        "memory": limits.memory,
        "output": limits.output,
    }
    return json.dumps(task, ensure_ascii=False).encode()


def _data(data: CID | None, server: InputServer) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Return standard input, a file's bytes or a directory's tar stream, and where the data is mounted."""
    if data is None:
        return None, []
    handed = _handed(data, server)
    if handed["kind"] != "directory":
        return handed, [{"path": f"{DATA_MOUNT}/data", **handed}]
    handle, size = server.hand_over_tar(data)
    return {"kind": "file", "size": size, "handle": handle}, [{"path": DATA_MOUNT, **handed}]


def _handed(content: CID, server: InputServer) -> dict[str, Any]:
    handle, stat = server.hand_over(content)
    return {"kind": stat.kind, "size": stat.size, "handle": handle}
