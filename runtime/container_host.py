"""Containers for others: which of them a node runs, and what it makes of their ends. Asks the engine.

Its operator has said that containers run here at all. Images come from no registry unless that was said too, and no
container reaches a network unless that was: both are what a stranger could use this machine for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from runtime.container_engine import ContainerEngine, ContainerRun
from runtime.container_plan import ContainerPlan
from runtime.engine import UndeterminedError
from runtime.image_reference import is_public, leads_inside, registry_of
from runtime.stop_signal import StopSignal
from storage.blocks import BlockStore
from storage.errors import UnavailableError, UserError
from storage.pinned_transport import Resolve, resolve_name

log = logging.getLogger(__name__)
SILENT: Final = "its container engine does not answer"
INTERNET_ALONE: Final = "this node pulls from registries of the internet alone"
SILENCE_S: Final = 30.0
"""How long an engine that did not answer is not asked again: other offers wait meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """What the operator said."""

    pulls: bool = False
    """Images that are not here are pulled by the digest that a task names."""
    networks: bool = False
    """Containers may have a network."""
    registries: frozenset[str] = frozenset()
    """Hosts of registries from which images are pulled wherever they are."""


@dataclass(slots=True, kw_only=True)
class ContainerHost:
    """An engine, and the operator's word on what runs there. Thread-safe."""

    engine: ContainerEngine
    settings: HostSettings
    name: str
    """What the engine calls itself."""
    arch: str
    resolve: Resolve = resolve_name
    policy_objection: Callable[[ContainerPlan], str] = field(default=lambda _plan: "")
    """Why the policy of this home does not have a container; empty if it does. Blocks."""

    _silent_until: float = 0.0

    def objection(self, plan: ContainerPlan) -> str:
        """Return why a container is not run here, in one line that tells nothing of this machine; empty if it is."""
        function = plan.function
        if function.network != "none" and not self.settings.networks:
            return "this node gives containers no network"
        if refusal := self.policy_objection(plan):
            return refusal
        if time.monotonic() < self._silent_until:
            return SILENT
        try:
            is_here = self.engine.has_image(function.image)
        except UnavailableError:
            self._silent_until = time.monotonic() + SILENCE_S
            return SILENT
        if is_here:
            return ""
        if self.settings.pulls and function.repo_digest is not None:
            return (
                "" if self._is_of_operator(function.repo_digest) or is_public(function.repo_digest) else INTERNET_ALONE
            )
        return f"this node does not have the image {function.image}{_no_pulls(self.settings, plan)}"

    def run(self, plan: ContainerPlan, store: BlockStore, gpus: Sequence[str], stop: StopSignal) -> ContainerRun:
        """Run a container for which there is room; see `ContainerEngine.run`.

        Raises:
            UndeterminedError: it is not run here; also what `ContainerEngine.run` raises.
        """
        if refusal := self.objection(plan):
            raise UndeterminedError(refusal)
        self._bring(plan, stop)
        return self.engine.run(plan, store, stop=stop, gpus=gpus)

    def _bring(self, plan: ContainerPlan, stop: StopSignal) -> None:
        """Pull the image if it is not here: by its digest alone, and only what has the id that the task names."""
        function = plan.function
        if function.repo_digest is None or self.engine.has_image(function.image):
            return
        if not self._is_of_operator(function.repo_digest) and leads_inside(function.repo_digest, self.resolve):
            raise UndeterminedError(INTERNET_ALONE)
        try:
            found = self.engine.bring_image(function.repo_digest, stop)
        except (UserError, UnavailableError) as error:
            if isinstance(error, UndeterminedError):
                raise
            # What a registry said is not told: its name is the requester's choice, and the way to it this machine's.
            log.info("image %s: %s", function.repo_digest, error)
            raise UndeterminedError("the image cannot be pulled") from error
        if found.id != function.image:
            raise UndeterminedError(f"{function.repo_digest} is another image here than {function.image}")

    def _is_of_operator(self, reference: str) -> bool:
        registry = registry_of(reference)
        return registry is not None and registry[0] in self.settings.registries


def _no_pulls(settings: HostSettings, plan: ContainerPlan) -> str:
    if settings.pulls:
        return ", and no registry is known that does"
    return "" if plan.function.repo_digest is None else ", and pulls none"
