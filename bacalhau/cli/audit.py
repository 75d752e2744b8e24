"""`bacalhau audit`: is there sound evidence that y = f(x) was agreed on?"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from bacalhau.cli.completion import job_ids
from bacalhau.cli.options import json_option, named_path, services_of
from bacalhau.cli.run_stack import was_said
from bacalhau.exit_codes import of_audit
from bacalhau.services import Services
from runtime.request import DEFAULT_TIMEOUT_S
from storage.cid import is_cid_text
from storage.errors import UserError

if TYPE_CHECKING:
    from bacalhau.audit_demand import Demand
    from bacalhau.auditing import Audit, Count
    from bacalhau.file_audit import FileAudit
    from bacalhau.shard_auditing import ShardsAudit
    from verifier.audit_sample import Sample


@click.command("audit", short_help="Check the evidence that y = f(x) was agreed on.")
@click.argument("target", metavar="CID|JOB", shell_complete=job_ids, required=False)
@click.option("--rerun", is_flag=True, help="Run the task again here and compare.")
@click.option("--deep", is_flag=True, help="Audit the records that it comes from too.")
@click.option("--sample", metavar="PART", help="Of many records look at 5% only; with --rerun: run 5% again.")
@click.option("--sample-seed", metavar="HEX", help="Repeat the choice of an earlier audit; else one is drawn.")
@click.option("--engine", default="node", show_default=True,
              help="JavaScript engine to rerun on, node or bun; implies --rerun.")  # fmt: skip
@click.option("--car", type=named_path, metavar="FILE", help="Audit offline, with this file alone.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=DEFAULT_TIMEOUT_S, show_default=True,
              help="Seconds after which a rerun gives up.")  # fmt: skip
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    target: str | None,
    rerun: bool,
    deep: bool,
    sample: str | None,
    sample_seed: str | None,
    engine: str,
    car: Path | None,
    timeout: float,
    as_json: bool,
) -> int:
    """Check a record, the newest record of an output or task, or a job: valid, invalid or unchecked.

    Of a job over shards every record is checked, and that they are the job. What only a sample was looked at of is
    unchecked, never valid.

    The checks are numbered; docs/audit.md says what each of them looks at.
    """
    from bacalhau.audit_demand import Demand, Replay
    from bacalhau.engines import engine_for_all
    from bacalhau.graph_auditing import audit_published, with_disputes_here
    from bacalhau.planning import host_name, jail_level, plan_rerun
    from bacalhau.progress import shown_progress
    from bacalhau.render import print_audit, print_json

    services = services_of(ctx)
    rerun = rerun or ctx.get_parameter_source("engine") is ParameterSource.COMMANDLINE
    chosen = _sample(sample, sample_seed)
    refused = "--rerun" if rerun else "--sample" if sample else ""
    with shown_progress() as display:
        published = audit_published(target, car, services, display.count, refused=refused)
        if published is not None:
            shown = published.to_json()
            print_json(shown) if as_json else print_audit(shown)
            return of_audit(shown["verdict"])
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
            demand = Demand(replay=replay, deep=deep, sample=chosen)
            audited = _audit(target, car, services, demand, display.count)
        finally:
            if replay is not None:
                replay.engine.stop()
    found = audited.to_json()
    if car is None:
        found = with_disputes_here(found, audited.records, services, audited.confirmed)
    print_json(found) if as_json else print_audit(found)
    return of_audit(found["verdict"])


def _check_timeout(timeout_s: float) -> None:
    from runtime.input_draft import MAX_TIMEOUT_S  # takes a while to load

    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise UserError(f"{timeout_s} is out of range", where="--timeout", fix="give seconds, up to 30 days")


def _sample(part: str | None, seed: str | None) -> Sample | None:
    from verifier.audit_sample import SEED_BYTES, Sample, parse_part, parse_seed

    if part is None:
        if seed is not None:
            raise UserError("needs --sample", where="--sample-seed", fix="say how much, such as --sample 5%")
        return None
    return Sample(part=parse_part(part), seed=secrets.token_bytes(SEED_BYTES) if seed is None else parse_seed(seed))


def _audit(
    target: str | None, car: Path | None, services: Services, demand: Demand, count: Count
) -> Audit | ShardsAudit | FileAudit:
    from bacalhau.auditing import audit_file, audit_here

    if car is not None:
        return audit_file(car, target, services, demand, count)
    if target is None:
        raise UserError("nothing to audit", where="audit", fix="give the CID of a record or output, or a job id")
    if not is_cid_text(target) and Path(target).is_file():
        raise UserError("is a file", where=target, fix=f"`bacalhau audit --car {target}` audits one")
    return audit_here(target, services, demand, count)
