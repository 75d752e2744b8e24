"""`--trust` and `--bad-nodes`: how far an answer is to be trusted, in place of node counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bacalhau.cli.run_stack import was_said
from storage.errors import UserError
from verifier.credibility import BAD_SHARE, TrustGoal

if TYPE_CHECKING:
    from bacalhau.run_job import Order

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = (
    click.option("--trust", type=float, metavar="P",
                 help="Ask as many nodes as it takes for an answer to be right with this probability, in place of"
                      " --concurrency and --confidence (docs/trust.md)."),
    click.option("--bad-nodes", type=float, default=BAD_SHARE, show_default=True,
                 help="With --trust: share of the nodes that is assumed to be bad."),
)  # fmt: skip


def trust_options(command: F) -> F:
    """Add the flags to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_trust(ctx: click.Context, flags: dict[str, Any]) -> TrustGoal | None:
    """Return how far answers are to be trusted; None if the counts say what is wanted.

    Raises:
        UserError: it is no probability, no number of nodes is trusted that far, or counts were given as well.
    """
    if flags["trust"] is None:
        if was_said(ctx, "bad_nodes"):
            raise UserError("means nothing without --trust", where="--bad-nodes", fix="say how far, or leave it out")
        return None
    for name in ("concurrency", "confidence"):
        if was_said(ctx, name):
            fix = f"leave --{name} out: how many nodes it takes is found out"
            raise UserError(f"and --{name} both say how many nodes are needed", where="--trust", fix=fix)
    return TrustGoal(asked=flags["trust"], bad=flags["bad_nodes"])


def among_own(order: Order) -> Order:
    """Return an order for nodes of this machine: of which nothing is known but that they are one's own."""
    if order.trust is None:
        return order
    from bacalhau.trust_report import words_among_newcomers

    return replace(order, rule=words_among_newcomers(order.trust, order.rule))
