"""`bacalhau run docker` where a node runs: submits, follows, and ends like a run without one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhau.cli.options import node_of
from bacalhau.cli.run_with_node import goes_on
from bacalhau.container_on_node import submit_container
from bacalhau.exit_codes import ExitCode, of_container
from bacalhau.progress import shown_progress
from bacalhau.render import print_json, print_text
from bacalhau.run_on_node import wait_for_report
from storage.errors import UnavailableError

if TYPE_CHECKING:
    from bacalhau.node_client import NodeClient
    from bacalhau.run_container import ContainerOrder
    from bacalhau.services import Services


def run_docker_with_node(
    order: ContainerOrder, services: Services, flags: dict[str, Any], target: Path | None, node: NodeClient
) -> int:
    """Run an order on a node and return the exit code.

    Raises:
        UserError, UnavailableError, VerificationError: as `bacalhau.container_on_node` and `bacalhau.run_on_node`.
    """
    from bacalhau.cli.run_docker import lay_out_output, show_container

    announced: list[str] = []
    with goes_on(announced), shown_progress() as display:
        submitted = submit_container(order, services, display, node, announced.append)
        if flags["wait"]:
            report = wait_for_report(submitted.job, node, display, lambda: node_of(services))
    if not flags["wait"]:
        print_json(submitted.to_json()) if flags["as_json"] else print_text(submitted.job)
        return ExitCode.DONE
    show_container(report, flags)
    if report["output"] is not None and report["stdout"] is None:
        raise UnavailableError(report["reason"] or "what the nodes gave is not here", where=report["job"])
    if flags["download"] or target is not None:
        if node.is_elsewhere:
            fix = f"run `bacalhau get {report['job'][:8]}` where the node is"
            raise UnavailableError("nobody can check what a node elsewhere gives", where="--download", fix=fix)
        lay_out_output(report, services, target)
    return of_container(report["verdict"], report["exit_code"])
