"""One container from request to a job of a running node: plans here, submits there."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from bacalhau.input_records import check_parents, parent_records
from bacalhau.report import origin_list
from bacalhau.run_container import prepare_order
from bacalhau.run_on_node import SubmittedJob, upload
from bacalhau.taint_report import require_verified
from storage.cid import cid_text
from storage.sqlite_pins import hold

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient
    from bacalhau.progress import Display
    from bacalhau.run_container import ContainerOrder
    from bacalhau.services import Services
    from runtime.contents import Noted


def submit_container(
    order: ContainerOrder, services: Services, display: Display, node: NodeClient, announce: Callable[[str], None]
) -> SubmittedJob:
    """Plan an order and have the node accept it; announce its id before the node is asked.

    The image is looked up by the engine of this machine; without one it has to be named by its id.

    Raises:
        UserError, UnavailableError, VerificationError: as `runtime.container_prepare.prepare_container` and
            `NodeClient`.
    """
    noted: list[Noted] = []
    with services.open_store() as store, services.open_jobs() as jobs:
        engine = services.make_containers(services.home)
        plan = prepare_order(order, engine, services, store, display, noted, may_be_elsewhere=True)
        hold(store, plan.task)
        parents = parent_records(order.request.content, plan, store, jobs, services)
        check_parents(parents)
        if order.require_verified:
            require_verified(parents, store)
        if node.is_elsewhere:
            display.step("sending the task to the node")
            upload(node, store, plan.task, parents)
        job = uuid.uuid4().hex
        announce(job)
        node.submit(
            {
                "job": job,
                "task": cid_text(plan.task),
                "no_cache": True,
                "rule": {"replication": order.times, "confidence": order.times, "diverse": False},
                "labels": list(order.labels),
                "selector": dict(order.selector),
                "timeout_s": order.request.content.timeout_s,
                "parents": [cid_text(parent) for parent in parents],
                "origins": origin_list(noted),
                **({"require_verified": True} if order.require_verified else {}),
            }
        )
    return SubmittedJob(job=job, task=plan.task, function=plan.function_cid, input=plan.input_cid)
