"""`bacalhau describe`: all that was kept of one job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from bacalhau.cli.completion import job_ids
from bacalhau.cli.options import json_option, node_of, services_of
from bacalhau.exit_codes import ExitCode
from bacalhau.services import Services

if TYPE_CHECKING:
    from network.job_shards import JobShard

_FIELDS = (
    "job", "created_at", "verdict", "reproduced", "reason", "tier", "taint_reason", "exit_code",
    "task", "function", "input", "output", "record",
    "state_digest", "seed", "epoch",
)  # fmt: skip
_SPLIT = ("shard_count", "max_failures")
_UNDER_WAY = ("job", "created_at", "state", "cancelled", "task")


@click.command("describe", short_help="Show all that is known of a job.")
@click.argument("target", metavar="JOB|CID", shell_complete=job_ids)
@json_option
@click.pass_context
def command(ctx: click.Context, /, target: str, as_json: bool) -> int:
    """Show a job, or the newest one of a record, output or task: what `run --json` printed.

    Of one that is under way: its state and what was asked for.
    """
    from bacalhau.flow_report import is_of_flow
    from bacalhau.render import print_fields, print_json, print_text
    from bacalhau.shard_report import is_over_shards
    from bacalhau.terminal_text import one_line
    from bacalhau.trust_report import node_lines, trust_lines

    report, under_way = _known(target, services_of(ctx))
    if is_over_shards(report):
        return _describe_shards(report, services_of(ctx), as_json=as_json)
    if is_of_flow(report):
        return _describe_flow(report, services_of(ctx), as_json=as_json)
    if as_json:
        print_json(report)
        return ExitCode.DONE
    if under_way:
        print_fields(report, _UNDER_WAY)
        shown = ("rule", "trust", "bad_nodes", "min_bids", "selector", "timeout_s", *_SPLIT)
        print_fields(_asked(report["submission"] or {}), shown)
        return ExitCode.DONE
    print_fields(report, _FIELDS)
    for origin in report.get("origins", ()):  # jobs of older versions have none
        _print_origin(origin)
    for run in report.get("runs", ()):
        who = f"{run['node']} " if run.get("node") else ""
        print_text(one_line(f"RAN {who}{run['engine']} {run['engine_version']} {run['arch']} {run['output']}"))
    for receipt in report["receipts"]:
        word = "agrees " if receipt["agrees"] else "DISSENT"
        print_text(one_line(f"{word} {receipt['node']} {receipt['engine']} {receipt['arch']} {receipt['output']}"))
    for line in (*trust_lines(report.get("trust")), *node_lines(report.get("trust"))):
        print_text(one_line(line))
    for fault in report["faults"]:
        print_text(one_line(f"FAULT {fault['kind']} {fault['node']} {fault['detail']}"))
    return ExitCode.DONE


def _describe_shards(report: dict[str, Any], services: Services, *, as_json: bool) -> int:
    """Describe a job over shards: its shards are in rows of this home, or of the node's."""
    from bacalhau.render import print_json
    from bacalhau.render_shards import print_shards_description
    from bacalhau.shard_report import complete_report

    def show(rows: Iterator[JobShard]) -> None:
        print_json(complete_report(report, rows)) if as_json else print_shards_description(report, rows)

    node = node_of(services)
    if node is not None:
        with node:
            if node.is_elsewhere:
                from bacalhau.remote_shards import rows_from_node

                show(rows_from_node(node, report["job"]))
                return ExitCode.DONE
    with services.open_jobs() as jobs:
        show(jobs.each_shard(report["job"]))
    return ExitCode.DONE


def _describe_flow(report: dict[str, Any], services: Services, *, as_json: bool) -> int:
    """Describe a flow: its tasks are in rows of this home."""
    from bacalhau.flow_render import print_flow_steps
    from bacalhau.render import print_fields, print_json
    from bacalhau.shard_report import complete_report

    with services.open_jobs() as jobs:
        if as_json:
            print_json(complete_report(report, jobs.each_shard(report["job"])))
            return ExitCode.DONE
    print_fields(report, _FIELDS)
    print_flow_steps(report)
    for origin in report["origins"]:
        _print_origin(origin)
    return ExitCode.DONE


def _known(target: str, services: Services) -> tuple[dict[str, Any], bool]:
    """Return the report of a job, or what a node knows of one that has no report yet (True)."""
    from bacalhau.targets import find_job

    node = node_of(services)
    if node is None:
        with services.open_jobs() as jobs:
            return dict(find_job(target, jobs).report), False
    with node:
        view = node.job(target)
    report = view.pop("report")
    return (report, False) if isinstance(report, dict) else (view, True)


def _asked(submission: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked of the node, for people."""
    shown = {name: value for name, value in submission.items() if name not in _SPLIT or submission.get("shards")}
    if shown.get("trust") is None:
        shown.pop("bad_nodes", None)
    if "rule" in shown:
        rule = shown["rule"]
        shown["rule"] = f"{rule['confidence']} of {rule['replication']}{', diverse' if rule['diverse'] else ''}"
    pairs = (f"{name}={value}" for name, value in (shown.pop("selector", None) or {}).items())
    selector = " ".join(pairs)
    return {**shown, "selector": selector} if selector else shown


def _print_origin(origin: dict[str, Any]) -> None:
    from bacalhau.render import print_text
    from bacalhau.terminal_text import one_line

    print_text(one_line(f"FETCHED {origin['path']} {origin['cid']} {origin['url']}"))
    moved = f" from {origin['final_url']}" if origin["final_url"] != origin["url"] else ""
    checksum = f", sha256 {origin['sha256']}" if origin["sha256"] else ""
    print_text("    " + one_line(f"{origin['size']} bytes at {origin['fetched_at']}{moved}{checksum}"))
    for name, value in origin["headers"]:
        print_text("    " + one_line(f"{name}: {value}"))
