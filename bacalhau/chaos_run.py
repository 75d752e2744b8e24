"""`bacalhau chaos` without its printing: prepares the function, finds engines, carries the experiment out."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bacalhau.planning import NodeStack, host_name, jail_level, plan_rerun
from runtime.chaos.experiment import Findings, experiment
from runtime.chaos.factors import Factor, factors
from runtime.chaos.runner import Runner, is_tree, parts_of, seeded
from storage.blocks import OverlayBlockStore
from storage.errors import UnavailableError, UserError
from storage.sqlite_pins import hold

if TYPE_CHECKING:
    from bacalhau.progress import Display
    from bacalhau.services import Services
    from runtime.engine import Engine, Plan
    from runtime.request import Request

_NOT_ALWAYS_THERE: Final = ("input order", "shard order", "engine bun")
"""Factors that some functions, inputs or machines do not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """What is asked for."""

    request: Request
    runs: int
    """Trials of each factor that has many values."""
    only: tuple[str, ...]
    """Names of factors; empty: all."""


def run_chaos(chaos: Chaos, services: Services, display: Display) -> dict[str, Any]:
    """Carry out the trials and return the report of docs/chaos.md.

    Raises:
        UserError, UnavailableError, VerificationError: as `runtime.prepare.prepare`; a factor is unknown; a run had no
            outcome.
    """
    with ExitStack() as stack, services.open_store() as kept:
        usual = plan_rerun(services, "node", said=False)
        engines, skipped = _engines(chaos.only, usual, services, stack)
        plan = services.prepare(
            chaos.request, store=kept, engine=engines[""], progress=display.step, report=display.transfer, note=_forget
        )
        _check_bounds(plan, usual)
        hold(kept, plan.task)  # from a garbage collection, for as long as this process works
        store = OverlayBlockStore(kept)
        plan = seeded(plan, store)
        names = tuple(name for name in engines if name)
        every = factors(runs=chaos.runs, epoch=plan.input.epoch, has_tree=is_tree(plan, store), engines=names)
        chosen = _chosen(every, chaos.only)
        runner = Runner(plan, engines, store)
        display.step("running: without a watch")
        plain = runner.plain()
        parts = parts_of(plan, store) if not chaos.only or "shard order" in chaos.only else ()
        findings = experiment(runner, chosen, progress=display.step, parts=parts, skipped=skipped)
    return _report(findings, plain_output=plain.output, seed=plan.input.seed, epoch=plan.input.epoch)


def _forget(_note: object) -> None:
    return


def _check_bounds(plan: Plan, usual: NodeStack) -> None:
    """Refuse what the policy here does not let a task ask for."""
    asked, most = plan.input.limits.memory, usual.max_memory
    if most is not None and asked > most:
        raise UserError(f"the policy here allows {most} bytes of memory", where="--memory", fix="ask for less")
    if usual.max_wall_clock_s is not None and plan.wall_clock_s > usual.max_wall_clock_s:
        raise UserError(f"the policy here allows {usual.max_wall_clock_s:g} s", where="--timeout", fix="ask for less")


def _engines(
    only: tuple[str, ...], usual: NodeStack, services: Services, stack: ExitStack
) -> tuple[dict[str, Engine], tuple[str, ...]]:
    """Return the usual engine, and Bun's if it is here and wanted, with what was left out and why."""
    first = services.make_engine(host_name(usual.part), level=jail_level(usual.part))
    stack.callback(first.stop)
    engines: dict[str, Engine] = {"": first}
    if only and "engine bun" not in only:
        return engines, ()
    try:
        other = plan_rerun(services, "bun", said=True)
        engines["bun"] = services.make_engine(host_name(other.part), level=jail_level(other.part), beside=first)
    except (UnavailableError, UserError) as error:
        return engines, (f"engine bun: {error}",)
    return engines, ()


def _chosen(every: tuple[Factor, ...], only: tuple[str, ...]) -> tuple[Factor, ...]:
    known = (*(factor.name for factor in every), *_NOT_ALWAYS_THERE, "repetition")
    for name in only:
        if name not in known:
            listed = ", ".join(dict.fromkeys(known))
            raise UserError("is no factor", where=f"--factor {name!r}", fix=f"choose of {listed}")
    return tuple(factor for factor in every if not only or factor.name in only)


def _report(findings: Findings, *, plain_output: str, seed: str | None, epoch: int) -> dict[str, Any]:
    base = findings.baseline
    return {
        "badge": findings.badge.value,
        "output": plain_output,
        "exit_code": base.exit_code,
        "watched_alike": plain_output == base.output,
        "seed": seed,
        "epoch": epoch,
        "factors": [effect.to_json() for effect in findings.effects],
        "ledger": [entry.to_json() for entry in findings.ledger],
        "skipped": list(findings.skipped),
    }
