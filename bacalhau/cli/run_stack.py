"""`run …`: flags to wishes, the stack that is chosen for them, and `--explain`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bacalhau.cli.options import named_path
from bacalhau.exit_codes import ExitCode, of_error

if TYPE_CHECKING:
    from bacalhau.run_job import Order
    from bacalhau.services import Services
    from runtime.planner.answer import Chosen
    from runtime.planner.wishes import Wishes
    from verifier.credibility import TrustGoal

policy_option = click.option("--policy", "policy", metavar="FILE", type=named_path,
                             help="Obey this policy too; policy.toml of BACALHAU_DIR always holds.")  # fmt: skip
_explain_option = click.option("--explain", is_flag=True, help="Print how it would be run and why; run nothing.")


def stack_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command that takes `**flags`."""
    return policy_option(_explain_option(command))


def was_said(ctx: click.Context, name: str) -> bool:
    """Tell whether a flag was given, and does not only have its default."""
    return ctx.get_parameter_source(name) not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


def read_wishes(
    ctx: click.Context,
    flags: dict[str, Any],
    *,
    has_node: bool,
    order: Order | None = None,
) -> Wishes:
    """Return what the flags ask of a stack. order: of a run that goes by trust, with the counts that makes.

    Raises:
        UserError: the memory is no size.
    """
    from bacalhau.trust_report import trust_flag
    from runtime.planner.wishes import Wish, Wishes
    from runtime.quantity import parse_bytes

    def wish(name: str, value: float) -> Wish:
        return Wish(value=value, said=was_said(ctx, name))

    needs_node = (
        ("--no-wait", not flags["wait"]),
        ("--min-bids", flags["min_bids"] > 0),
        ("--selector", bool(flags["selectors"])),
    )
    return Wishes(
        nodes=wish("concurrency", flags["concurrency"] if order is None else order.rule.replication),
        confidence=wish("confidence", flags["confidence"] if order is None else order.rule.confidence),
        timeout=wish("timeout", flags["timeout"]),
        memory=wish("memory", parse_bytes(flags["memory"], where="--memory")),
        diverse=flags["diverse"],
        trust=trust_flag(None if order is None else order.trust),
        strict=flags["isolation"] == "strict",
        local=flags["local"],
        needs_node=tuple(flag for flag, is_given in needs_node if is_given),
        has_node=has_node,
    )


def with_stack(order: Order, chosen: Chosen) -> Order:
    """Return the order as its stack has it."""
    from bacalhau.planning import ONE_PART
    from verifier.compare import make_rule

    stack = chosen.stack
    rule = make_rule(
        replication=int(stack.numbers["nodes"]), confidence=int(stack.numbers["confidence"]), diverse=stack.diverse
    )
    request = replace(order.request, timeout_s=float(stack.numbers["timeout"]))
    return replace(order, request=request, rule=rule, parts=stack.parts or ONE_PART)


def show_departures(wishes: Wishes, chosen: Chosen) -> None:
    """Say on stderr where the stack is not what the command does when nobody says anything else."""
    from bacalhau.explanation import departures
    from bacalhau.render import stderr_console

    for line in departures(wishes, chosen):
        stderr_console().print(line)


def explain(wishes: Wishes, services: Services, flags: dict[str, Any], goal: TrustGoal | None = None) -> int:
    """Print the stack with its reasons, or the clash, and return the exit code that a run would begin with."""
    from bacalhau.explanation import explained
    from bacalhau.planning import answer_run, clash_error, load_policy
    from bacalhau.render import print_json
    from bacalhau.render_stack import print_explanation
    from bacalhau.trust_report import planned_trust_entry
    from runtime.planner.answer import Clash

    found = answer_run(wishes, load_policy(services.home, flags["policy"]), services)
    said = {**explained(found, wishes), "trust": planned_trust_entry(goal)}
    print_json(said) if flags["as_json"] else print_explanation(said)
    if not isinstance(found.answer, Clash):
        return ExitCode.DONE
    return of_error(clash_error(found.answer, ""))
