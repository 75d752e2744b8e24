"""`bacalhau run … --sharding-glob-pattern`: from flags to a job over shards, and to its report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhau.cli.options import node_of
from bacalhau.exit_codes import ExitCode, of_run
from bacalhau.layout import default_target
from bacalhau.progress import Display, shown_progress
from bacalhau.remote_shards import lay_out_shards_from_node, rows_from_node
from bacalhau.render import print_json, print_text, stderr_console
from bacalhau.render_shards import print_shards_plan, print_shards_run, totals_phrase
from bacalhau.run_on_node import find_present
from bacalhau.run_shards_job import ShardedOrder, plan_shards, run_shards_job
from bacalhau.shard_layout import lay_out_shards
from bacalhau.shard_report import ShardTotals, complete_report, shards_phrase
from storage.errors import UnavailableError

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient
    from bacalhau.run_job import Order
    from bacalhau.services import Services
    from runtime.shard_plan import Sharding


def run_over_shards(
    order: Order, sharding: Sharding, services: Services, flags: dict[str, Any], target: Path | None
) -> int:
    """Run an order over shards on the embedded nodes and return the exit code.

    Raises:
        UserError, UnavailableError, VerificationError: as `bacalhau.run_shards_job`.
    """
    sharded = ShardedOrder(
        order=order, sharding=sharding, max_failures=flags["max_failures"], asks_first=not flags["no_cache"]
    )
    with shown_progress() as display, _tells_what_stays(display) as count:
        report = run_shards_job(sharded, services, display, count)
    with services.open_jobs() as jobs:
        if flags["as_json"]:
            print_json(complete_report(report, jobs.each_shard(report["job"])))
        elif flags["id_only"]:
            print_text(report["job"])
        else:
            print_shards_run(report, jobs.each_shard(report["job"]))
    if (flags["download"] or target is not None) and report["output"] is not None:
        place = target or default_target(report["job"])
        with services.open_store() as store, services.open_jobs() as jobs:
            lay_out_shards(store, jobs, jobs.find(report["job"]), place)
        stderr_console().print(f"output is in {place}")
    return of_run(report["verdict"], report["exit_code"])


def show_shards_plan(order: Order, sharding: Sharding, services: Services, *, as_json: bool) -> int:
    """Print what an order over shards would run.

    Raises:
        UserError, UnavailableError, VerificationError: as `bacalhau.run_shards_job.plan_shards`.
    """
    with shown_progress() as display:
        plan = plan_shards(ShardedOrder(order=order, sharding=sharding), services, display)
    print_json(plan) if as_json else print_shards_plan(plan)
    return ExitCode.DONE


def run_shards_with_node(
    order: Order, sharding: Sharding, services: Services, flags: dict[str, Any], target: Path | None, node: NodeClient
) -> int:
    """Run an order over shards on a node and return the exit code.

    Raises:
        UserError, UnavailableError, VerificationError: as `bacalhau.run_shards_on_node`.
    """
    from bacalhau.cli.run_with_node import followed
    from bacalhau.run_shards_on_node import submit_shards_to_node, wait_for_shards

    sharded = ShardedOrder(
        order=order, sharding=sharding, max_failures=flags["max_failures"], asks_first=not flags["no_cache"]
    )

    def wait(job: str, node: NodeClient, display: Display, again: Callable[[], NodeClient | None]) -> dict[str, Any]:
        def count(totals: ShardTotals, total: int | None) -> None:
            display.count(totals_phrase(totals, total), totals.shards, total)

        return wait_for_shards(job, node, display, count, again)

    report = followed(partial(submit_shards_to_node, sharded, services), services, flags, node, wait)
    if report is None:
        return ExitCode.DONE
    with find_present(report["job"], lambda: node_of(services)) as present:
        _show(report, services, present, flags)
        if report["tier"] == "verified" and report["reason"]:
            # What was agreed is not all here: the output is less than what the shards gave.
            raise UnavailableError(report["reason"], where=report["job"])
        if (flags["download"] or target is not None) and report["output"] is not None:
            place = target or default_target(report["job"])
            _lay_out(report, services, present, place)
            stderr_console().print(f"output is in {place}")
    return of_run(report["verdict"], report["exit_code"])


def _show(report: dict[str, Any], services: Services, node: NodeClient, flags: dict[str, Any]) -> None:
    if flags["id_only"]:
        print_text(report["job"])
        return
    with services.open_jobs() as jobs:
        rows = rows_from_node(node, report["job"]) if node.is_elsewhere else jobs.each_shard(report["job"])
        print_json(complete_report(report, rows)) if flags["as_json"] else print_shards_run(report, rows)


def _lay_out(report: dict[str, Any], services: Services, node: NodeClient, place: Path) -> None:
    if node.is_elsewhere:
        lay_out_shards_from_node(node, report, place)
        return
    with services.open_store() as store, services.open_jobs() as jobs:
        lay_out_shards(store, jobs, jobs.find(report["job"]), place)


@contextmanager
def _tells_what_stays(display: Display) -> Iterator[Any]:
    """Count shards on the display, and tell what is kept of them when the job is interrupted."""
    last = ShardTotals()

    def count(totals: ShardTotals, total: int | None) -> None:
        nonlocal last
        last = totals
        display.count(totals_phrase(totals, total), totals.shards, total)

    try:
        yield count
    except KeyboardInterrupt:
        if last.verified:
            said = f"kept: {shards_phrase(last.verified)} that were verified; the same command again runs the others"
            stderr_console().print(said)
        raise
