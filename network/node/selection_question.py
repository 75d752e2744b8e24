"""What an operator's probe is told of a job: one JSON object (docs/network.md). Pure.

It names everything and holds no contents: who may read them is for the probe to find out by CID.
"""

from __future__ import annotations

import json
from typing import Any, Final

from network.node.selection_policy import OfferedTask
from runtime.container_plan import ContainerPlan
from storage.cid import cid_text
from verifier.container_types import ContainerFunction
from verifier.model import Function
from verifier.wasm_types import WasmFunction

VERSION: Final = 1
"""Of the object; keys may be added to it without another number."""


def question(offered: OfferedTask) -> bytes:
    """Return the object in ASCII on one line; at most some megabytes, for the nodes of a task are blocks."""
    return (json.dumps(_question(offered), sort_keys=True) + "\n").encode("ascii")


def _question(offered: OfferedTask) -> dict[str, Any]:
    plan = offered.plan
    f, x = plan.function, plan.input
    packages = [] if isinstance(plan, ContainerPlan) else plan.lock.wheels
    return {
        "version": VERSION,
        "requester": offered.requester,
        "job": offered.job,
        "demand": offered.demand.to_node(),
        "task": cid_text(plan.task),
        "function": cid_text(plan.function_cid),
        "source": cid_text(f.source) if isinstance(f, Function) else None,
        "entry": f.entry if isinstance(f, Function) else None,
        "module": cid_text(f.module) if isinstance(f, WasmFunction) else None,
        "runtime": None if isinstance(f, ContainerFunction) else cid_text(f.runtime),
        "packages": [{"name": wheel.name, "version": wheel.version} for wheel in packages],
        "image": _image(f) if isinstance(f, ContainerFunction) else None,
        "input": cid_text(plan.input_cid),
        "data": None if x.data is None else cid_text(x.data),
        "volumes": [{"path": volume.path, "cid": cid_text(volume.cid)} for volume in x.volumes],
        "outputs": [{"name": output.name, "path": output.path} for output in x.outputs],
        "args": len(x.args),
        "env": len(x.env),
        "limits": x.limits.to_node(),
    }


def _image(f: ContainerFunction) -> dict[str, Any]:
    return {"id": f.image, "digest": f.repo_digest, "network": f.network, "user": f.user, "writable": f.writable_root}
