"""`bacalhau run docker` where a node runs: submits, follows, and ends like a run without one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bacalhau.cli.run_with_node import followed
from bacalhau.container_on_node import submit_container
from bacalhau.exit_codes import ExitCode, of_container
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

    report = followed(partial(submit_container, order, services), services, flags, node)
    if report is None:
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
