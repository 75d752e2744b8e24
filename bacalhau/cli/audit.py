"""`bacalhau audit`: is there sound evidence that y = f(x) was agreed on?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bacalhau.cli.options import json_option, named_path, services_of
from bacalhau.cli.run_stack import was_said
from bacalhau.exit_codes import of_audit
from bacalhau.services import Services
from runtime.request import DEFAULT_TIMEOUT_S
from storage.errors import UserError

if TYPE_CHECKING:
    from bacalhau.auditing import Audit, Count, Replay
    from bacalhau.shard_auditing import ShardsAudit


@click.command("audit", short_help="Check the evidence that y = f(x) was agreed on.")
@click.argument("target", metavar="CID|JOB", required=False)
@click.option("--rerun", is_flag=True, help="Run the task again here and compare.")
@click.option("--engine", default="node", show_default=True, help="JavaScript engine of the rerun: node or bun.")
@click.option("--car", type=named_path, metavar="FILE", help="Audit offline, with this file alone.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=DEFAULT_TIMEOUT_S, show_default=True,
              help="Seconds after which a rerun gives up.")  # fmt: skip
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, target: str | None, rerun: bool, engine: str, car: Path | None, timeout: float, as_json: bool
) -> int:
    """Check a record, the newest record of an output or task, or a job: valid, invalid or unchecked.

    Of a job over shards every record is checked, and that they are the job.

    The checks are numbered; docs/audit.md says what each of them looks at.
    """
    from bacalhau.auditing import Replay
    from bacalhau.engines import engine_for_all
    from bacalhau.planning import host_name, jail_level, plan_rerun
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_audit, print_json

    services = services_of(ctx)
    with shown_progress() as display:
        replay = None
        if rerun:
            _check_timeout(timeout)
            stack = plan_rerun(services, engine, said=was_said(ctx, "engine"))
            replay = Replay(
                engine=engine_for_all(services, host_name(stack.part), level=jail_level(stack.part)),
                knows_runtime=services.knows_runtime,
                wall_clock_s=min(timeout, stack.max_wall_clock_s or timeout),
                max_memory=stack.max_memory,
                progress=display.step,
            )
        try:
            found = _audit(target, car, services, replay, display.count).to_json()
        finally:
            if replay is not None:
                replay.engine.stop()
    print_json(found) if as_json else print_audit(found)
    return of_audit(found["verdict"])


def _check_timeout(timeout_s: float) -> None:
    from runtime.input_draft import MAX_TIMEOUT_S  # takes a while to load

    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise UserError(f"{timeout_s} is out of range", where="--timeout", fix="give seconds, up to 30 days")


def _audit(
    target: str | None, car: Path | None, services: Services, replay: Replay | None, count: Count
) -> Audit | ShardsAudit:
    from bacalhau.auditing import audit_file, audit_here

    if car is not None:
        return audit_file(car, target, services, replay, count)
    if target is None:
        raise UserError("nothing to audit", where="audit", fix="give the CID of a record or output, or a job id")
    return audit_here(target, services, replay, count)
