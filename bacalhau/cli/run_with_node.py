"""`bacalhau run … ` where a node runs: submits, follows, and ends like a run without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from bacalhau.cli.options import node_of
from bacalhau.cli.run_python import say_place, show_report
from bacalhau.exit_codes import ExitCode, of_run
from bacalhau.layout import default_target, lay_out
from bacalhau.progress import Display, shown_progress
from bacalhau.remote_results import lay_out_from_node
from bacalhau.render import print_json, print_text, stderr_console
from bacalhau.run_on_node import submit_to_node, wait_for_report
from storage.cid import parse_cid
from storage.errors import UnavailableError

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient
    from bacalhau.run_job import Order
    from bacalhau.services import Services


def run_with_node(
    order: Order, services: Services, flags: dict[str, Any], target: Path | None, node: NodeClient
) -> int:
    """Run an order on a node and return the exit code.

    Raises:
        UserError, UnavailableError, VerificationError: as `bacalhau.run_on_node`.
    """
    report = followed(partial(submit_to_node, order, services), services, flags, node)
    if report is None:
        return ExitCode.DONE
    show_report(report, flags, is_here=not node.is_elsewhere)
    if report["verdict"] in ("agreed", "cached") and report["stdout"] is None:
        raise UnavailableError(report["reason"] or "the agreed output is not here", where=report["job"])
    if (flags["download"] or target is not None) and report["record"] is not None:
        _download(report, services, flags, node, target or default_target(report["job"]))
    return of_run(report["verdict"], report["exit_code"])


class Submitted(Protocol):
    """A job that a node has accepted."""

    @property
    def job(self) -> str:
        """Its id."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return what `run --no-wait --json` prints."""
        ...


Wait: TypeAlias = Callable[[str, "NodeClient", Display, Callable[[], "NodeClient | None"]], dict[str, Any]]
"""Follows a job on a node, found again if it is gone for a while, and returns its report."""


def followed(
    submit: Callable[[Display, NodeClient, Callable[[str], None]], Submitted],
    services: Services,
    flags: dict[str, Any],
    node: NodeClient,
    wait: Wait = wait_for_report,
) -> dict[str, Any] | None:
    """Submit a job and return its report; None where nobody waits for it: then the job is printed."""
    announced: list[str] = []
    with goes_on(announced), shown_progress() as display:
        submitted = submit(display, node, announced.append)
        if flags["wait"]:
            return wait(submitted.job, node, display, lambda: node_of(services))
    print_json(submitted.to_json()) if flags["as_json"] else print_text(submitted.job)
    return None


@contextmanager
def goes_on(announced: list[str]) -> Iterator[None]:
    """Tell, when it is interrupted, that the job is not."""
    try:
        yield
    except KeyboardInterrupt:
        for job in announced:
            said = f"job {job} goes on: `bacalhau cancel {job[:8]}` ends it, `bacalhau events -f {job[:8]}` follows it"
            stderr_console().print(said)
        raise


def _download(report: dict[str, Any], services: Services, flags: dict[str, Any], node: NodeClient, place: Path) -> None:
    output, record = parse_cid(report["output"]), parse_cid(report["record"])
    if node.is_elsewhere:
        lay_out_from_node(node, report["job"], record, place)
    else:
        with services.open_store() as store:
            lay_out(store, output, record, place)
    say_place(place, flags)
