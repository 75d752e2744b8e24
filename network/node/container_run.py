"""What a node states of a container that it ran. Blocks, in a thread of the executor."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from network.node.reasons import reason
from network.node.selection import NO_CONTAINERS
from network.statement import Statement, text_of
from runtime.container_engine import IncompleteRunError
from runtime.container_host import ContainerHost
from runtime.container_plan import ContainerPlan
from runtime.engine import UndeterminedError
from runtime.stop_signal import StopSignal
from storage.blocks import BlockStore
from storage.errors import UnavailableError, UserError

ENGINE_FAILED: Final = "the engine failed"
log = logging.getLogger(__name__)


def run_container(
    host: ContainerHost | None, plan: ContainerPlan, store: BlockStore, gpus: Sequence[str], stop: StopSignal
) -> Statement:
    """Run a container and return what there is to say: its output, or why the program has none.

    Raises:
        UndeterminedError: the host or its engine failed, or runs no containers: another one may do better.
    """
    if host is None:
        raise UndeterminedError(NO_CONTAINERS)
    try:
        run = host.run(plan, store, gpus, stop)
    except IncompleteRunError as error:
        if error.is_of_engine:
            raise _engine_failed(error) from error
        return _without_output(error.problem, error.stdout, error.stderr)
    except UndeterminedError:
        raise
    except UnavailableError as error:
        raise _engine_failed(error) from error
    except UserError as error:  # the program is not there: it is nowhere
        return _without_output(error.problem, b"", b"")
    return Statement(
        output=run.output,
        exit_code=run.exit_code,
        engine=run.engine,
        was_out_of_memory=run.was_out_of_memory,
        reason=None,
        stdout="",
        stderr="",
    )


def _engine_failed(error: UnavailableError) -> UndeterminedError:
    """Keep here what an engine says of its failure: it has paths and addresses of this machine."""
    log.warning("a container was not run to its end: %s", error)
    return UndeterminedError(ENGINE_FAILED)


def _without_output(why: str, stdout: bytes, stderr: bytes) -> Statement:
    return Statement(
        output=None,
        exit_code=None,
        engine=None,
        was_out_of_memory=False,
        reason=reason(why, otherwise="it gave no output"),
        stdout=text_of(stdout),
        stderr=text_of(stderr),
    )
