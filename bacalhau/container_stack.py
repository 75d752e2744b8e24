"""Whether the policy of this home lets a container run: the planner's answer for the tier that nobody verifies."""

from __future__ import annotations

from pathlib import Path

from bacalhau.planning import accepted, answer_run, load_policy
from bacalhau.run_container import ContainerOrder
from bacalhau.services import Services
from runtime.planner.stack import Kind
from runtime.planner.wishes import Wish, Wishes
from runtime.quantity import parse_bytes


def check_policy(order: ContainerOrder, services: Services, further: Path | None) -> None:
    """Refuse an order that a policy forbids; without a policy nothing is looked at.

    A policy cannot change the order, as it may a function's: all that is asked for was said, or is part of the task.

    Raises:
        UserError: a policy cannot be read.
        UnavailableError: a policy forbids it, or there is no engine.
    """
    policy = load_policy(services.home, further)
    if not policy:
        return
    request = order.request
    wishes = Wishes(
        kind=Kind.DOCKER,
        nodes=Wish(value=order.times, said=True),
        confidence=Wish(value=order.times, said=True),
        timeout=Wish(value=request.content.timeout_s, said=True),
        memory=Wish(value=parse_bytes(request.content.memory, where="--memory"), said=True),
        gpu=request.gpus > 0,
        networking=request.network != "none",
    )
    accepted(answer_run(wishes, policy, services).answer, "run docker")
