"""`bacalhau get`: an output as files, with the proof beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bacalhau.cli.completion import job_ids
from bacalhau.cli.options import json_option, named_path, node_of, services_of
from bacalhau.exit_codes import ExitCode
from storage.cid import cid_text, is_cid_text, parse_cid
from storage.errors import UnavailableError, UserError, VerificationError

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient
    from network.job_store import Job, JobStore
    from storage.sqlite_block_store import SqliteBlockStore


@click.command("get", short_help="Lay out an output as files, with its proof.")
@click.argument("target", metavar="JOB|RECORD|OUTPUT", shell_complete=job_ids)
@click.option("--output-dir", type=named_path, help="Where to.  [default: ./job-<8 characters>]")
@json_option
@click.pass_context
def command(ctx: click.Context, /, target: str, output_dir: Path | None, as_json: bool) -> int:
    """Write stdout, stderr, exit_code, result, outputs/ and record.car to a new directory.

    record.car holds everything that the audit needs: `bacalhau audit --car record.car` works anywhere, offline. Of a
    job over shards: shards/<i>/ for each, outputs/ of all together, shards.jsonl, and the proofs.
    """
    from bacalhau.layout import PROOF_NAME, default_target, lay_out
    from bacalhau.render import print_json, print_text, stderr_console
    from bacalhau.shard_report import is_over_shards
    from bacalhau.targets import find_target
    from verifier.graph_reading import read_facts

    services = services_of(ctx)
    node = node_of(services)
    if node is not None:
        with node:
            report = _report_of(node, target)
            if node.is_elsewhere:
                return _get_from(node, report, output_dir, as_json=as_json)
    with services.open_store() as store, services.open_jobs() as jobs:
        found = find_target(target, jobs)
        output = found.find_output(store)
        if output is None:
            verdict = found.job.verdict if found.job else "no verdict"
            raise VerificationError(f"was not verified ({verdict}), so it has no output", where=target)
        found.check_record(store)
        if found.job is not None and found.record is None and is_over_shards(found.job.report):
            return _get_shards(found.job, store, jobs, output_dir, as_json=as_json)
        place = output_dir.absolute() if output_dir else default_target(found.job.id if found.job else target[-8:])
        # A record that was merged has no job here: its own block says of which tier it is.
        is_unverified = found.record is not None and not read_facts(store, found.record).is_verified
        lay_out(store, output, None if is_unverified else found.record, place)
    if is_unverified:
        stderr_console().print(f"unverified: nobody can check this output, so there is no {PROOF_NAME}")
    elif found.record is None:
        stderr_console().print(f"no record here names this output, so there is no {PROOF_NAME}")
    if as_json:
        record = cid_text(found.record) if found.record else None
        print_json({"path": str(place), "output": cid_text(output), "record": record})
    else:
        print_text(str(place))
    return ExitCode.DONE


def _get_shards(job: Job, store: SqliteBlockStore, jobs: JobStore, output_dir: Path | None, *, as_json: bool) -> int:
    """Lay out a job over shards."""
    from bacalhau.layout import PROOF_NAME, default_target
    from bacalhau.render import print_json, print_text, stderr_console
    from bacalhau.shard_layout import lay_out_shards

    place = output_dir.absolute() if output_dir else default_target(job.id)
    laid = lay_out_shards(store, jobs, job, place)
    if laid.proven > laid.with_own_proof:
        said = f"the proofs of single shards would be too large: those of all are in {PROOF_NAME}"
        stderr_console().print(said)
    if as_json:
        output = None if job.output is None else cid_text(job.output)
        print_json({"path": str(place), "output": output, "record": None, "shards": laid.proven})
    else:
        print_text(str(place))
    return ExitCode.DONE


def _report_of(node: NodeClient, target: str) -> dict[str, Any] | None:
    """Return the report of a job that the node knows; None: it knows none, but the target is a CID.

    Raises:
        UnavailableError: it has not ended, or ended without a verdict.
    """
    try:
        view = node.job(target)
    except UserError:
        if is_cid_text(target) and not node.is_elsewhere:
            return None
        raise
    if isinstance(view["report"], dict):
        return dict(view["report"])
    fix = f"see `bacalhau events -f {view['job'][:8]}`"
    if view["state"] == "ended":
        said = "was cancelled" if view["cancelled"] else "ended without a verdict"
        raise UnavailableError(said, where=target, fix=fix)
    raise UnavailableError("has not ended yet", where=target, fix=fix)


def _get_from(node: NodeClient, report: dict[str, Any] | None, output_dir: Path | None, *, as_json: bool) -> int:
    from bacalhau.layout import default_target
    from bacalhau.remote_results import lay_out_from_node
    from bacalhau.remote_shards import lay_out_shards_from_node
    from bacalhau.render import print_json, print_text
    from bacalhau.shard_report import is_over_shards

    if report is not None and is_over_shards(report) and report["output"] is not None:
        place = output_dir.absolute() if output_dir else default_target(report["job"])
        laid = lay_out_shards_from_node(node, report, place)
        if as_json:
            print_json({"path": str(place), "output": report["output"], "record": None, "shards": laid.proven})
        else:
            print_text(str(place))
        return ExitCode.DONE
    if report is None or report["record"] is None:
        verdict = "no verdict" if report is None else report["verdict"]
        raise VerificationError(f"was not verified ({verdict}), so it has no output", where=node.name)
    place = output_dir.absolute() if output_dir else default_target(report["job"])
    output = lay_out_from_node(node, report["job"], parse_cid(report["record"]), place)
    if as_json:
        print_json({"path": str(place), "output": cid_text(output), "record": report["record"]})
    else:
        print_text(str(place))
    return ExitCode.DONE
