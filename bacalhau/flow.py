"""Flows in Python: steps are made by calls, and only what a target needs is done.

    flow = bacalhau.Flow()
    counts = flow.map("functions/count", over="texts", glob="/**/*.txt", batch=100)
    total = flow.reduce("functions/total", over=counts, glob="/shards/*/result", batch=100)
    result = flow.run(total)
    result.verified, result.output, result.record, result.read()

Nothing runs before `run`. Steps are what docs/flows.md says; a circle of them cannot be written down here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

from bacalhau.flow_call import FlowStep, Source, StepOptions, free_name, request_of
from bacalhau.flow_stack import with_flow_stack
from bacalhau.prepared_parts import Fetching
from bacalhau.progress import Display
from bacalhau.run_flow import FlowOrder, plan_flow, run_flow_job
from bacalhau.services import Services, default_services
from runtime import arguments
from runtime.flow_graph import make_graph
from runtime.flow_text import anchored
from runtime.flow_types import (
    MAX_STEPS,
    Content,
    Literal,
    Reference,
    Split,
    Step,
    StepKind,
    Tree,
    is_step_name,
    what_is_wrong,
)
from runtime.flow_types import Flow as Steps
from runtime.input_draft import draft_input
from runtime.mounts import check_places
from runtime.shard_pattern import parse_pattern
from runtime.shards import MAX_BATCH
from storage.cid import CID, parse_cid
from storage.errors import UserError
from storage.unixfs_read import UnixfsReader
from verifier.compare import DEFAULT_CONFIDENCE, DEFAULT_REPLICATION, make_rule

MAX_RESULT_BYTES = 1 << 30
"""What `FlowResult.read` returns at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowResult:
    """What came of a flow."""

    report: Mapping[str, Any]
    """What `bacalhau run flow --json` prints."""
    services: Services = field(repr=False)

    @property
    def verified(self) -> bool:
        """Every step that was needed ended with 0, and enough nodes agree on it."""
        return bool(self.report["tier"] == "verified" and self.report["exit_code"] == 0)

    @property
    def output(self) -> CID | None:
        """The target's output directory; of several, a directory of these by name. None unless all are done."""
        return _cid(self.report["output"])

    @property
    def record(self) -> CID | None:
        """The record of the target, if it is one task."""
        return _cid(self.report["record"])

    def read(self, path: str = "result") -> bytes:
        """Return a file of the output.

        Raises:
            UserError: there is no output, or no such file in it, or it is larger than 1 GiB.
        """
        if self.output is None:
            raise UserError("gave no output", where=self.report["job"], fix=str(self.report["reason"]))
        with self.services.open_store() as store:
            reader = UnixfsReader(store)
            return reader.read_bytes(reader.resolve(self.output, path), MAX_RESULT_BYTES)


class Flow:
    """Steps whose inputs are other steps' outputs."""

    def __init__(self, name: str = "flow", *, services: Services | None = None) -> None:
        """Begin a flow; name: for errors; services: what it works with, else that of this environment."""
        self._name = name
        self._services = services or default_services()
        self._steps: dict[str, Step] = {}

    def step(
        self,
        function: str | Path | None = None,
        *,
        data: Source | Mapping[str, Source] | None = None,
        **options: Unpack[StepOptions],
    ) -> FlowStep:
        """Add a step of one task.

        function: a directory or a Python file; data: what it gets, or a mapping of path to content to put together.

        Raises:
            UserError: something is wrong with the call; whether content is there is looked at by `run`.
        """
        return self._add(StepKind.ONE, function, data, None, options)

    def map(
        self,
        function: str | Path | None = None,
        *,
        over: Source,
        glob: str,
        batch: int = 1,
        **options: Unpack[StepOptions],
    ) -> FlowStep:
        """Add a step of one task for each batch of what a pattern picks; raises as `step`."""
        return self._add(StepKind.MAP, function, over, self._split(glob, batch, 1), options)

    def reduce(
        self,
        function: str | Path | None = None,
        *,
        over: Source,
        glob: str,
        batch: int = MAX_BATCH,
        **options: Unpack[StepOptions],
    ) -> FlowStep:
        """Add a step like a map that goes on over what its tasks give until one is left; raises as `step`."""
        return self._add(StepKind.REDUCE, function, over, self._split(glob, batch, 2), options)

    def plan(self, *targets: FlowStep, **how: Any) -> dict[str, Any]:
        """Return what `run` would do and what is known already; takes and raises what `run` does."""
        return plan_flow(self._order(targets, **how), self._services, _display(None))

    def run(
        self,
        *targets: FlowStep,
        concurrency: int = DEFAULT_REPLICATION,
        confidence: int = DEFAULT_CONFIDENCE,
        diverse: bool = False,
        strict: bool = False,
        at_once: int | None = None,
        cache: bool = True,
        labels: tuple[str, ...] = (),
        require_verified: bool = False,
        fetching: Fetching | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> FlowResult:
        """Do what some steps need, all of those that no other takes anything of if none are named.

        Raises:
            UserError: something is not as it should be; nothing has run.
            UnavailableError, VerificationError: content is not to be had, or not what it should be.
        """
        order = self._order(
            targets,
            concurrency=concurrency,
            confidence=confidence,
            diverse=diverse,
            strict=strict,
            at_once=at_once,
            cache=cache,
            labels=labels,
            require_verified=require_verified,
            fetching=fetching,
        )
        # What Python asks for has no defaults that give way: a policy allows it, or the call is refused.
        order, _, _ = with_flow_stack(order, self._services, said=("concurrency", "confidence"))
        report = run_flow_job(order, self._services, _display(progress))
        return FlowResult(report=report, services=self._services)

    def _order(
        self,
        targets: tuple[FlowStep, ...],
        *,
        concurrency: int = DEFAULT_REPLICATION,
        confidence: int = DEFAULT_CONFIDENCE,
        diverse: bool = False,
        strict: bool = False,
        at_once: int | None = None,
        cache: bool = True,
        labels: tuple[str, ...] = (),
        require_verified: bool = False,
        fetching: Fetching | None = None,
    ) -> FlowOrder:
        for target in targets:
            self._check_own(target)
        if not self._steps:
            raise UserError("has no steps", where=self._name, fix="add some with `step`, `map` or `reduce`")
        return FlowOrder(
            graph=make_graph(Steps(name=self._name, steps=tuple(self._steps.values())), [one.name for one in targets]),
            rule=make_rule(replication=concurrency, confidence=confidence, diverse=diverse),
            labels=labels,
            require_verified=require_verified,
            strict=strict,
            at_once=at_once,
            is_cached=cache,
            fetching=fetching or Fetching(),
        )

    def _add(
        self,
        kind: StepKind,
        function: str | Path | None,
        data: Source | Mapping[str, Source] | None,
        split: Split | None,
        options: StepOptions,
    ) -> FlowStep:
        name = options.get("name") or free_name(function or options.get("module"), self._steps)
        where = f"step {name}"
        if not is_step_name(name) or name in self._steps:
            fix = "use up to 64 letters, digits, '_' and '-', and each name once"
            raise UserError("is no name for a step, or taken", where=where, fix=fix)
        given = {"function": function, **options}
        if (wrong := what_is_wrong([key for key, value in given.items() if value is not None])) is not None:
            raise UserError(wrong[0], where=where, fix=wrong[1])
        if len(self._steps) >= MAX_STEPS:
            raise UserError(f"is one more than the {MAX_STEPS} that a flow may have", where=where, fix="use a map")
        request = request_of(where, function, options)
        paths = [arguments.check_guest_path(path, f"{where}: volumes") for path in options.get("volumes", {})]
        check_places(paths, data=None, outputs=[one.path for one in draft_input(request, paths).outputs])
        self._steps[name] = Step(
            name=name,
            kind=kind,
            request=request,
            data=None if data is None else self._content(data, where),
            split=split,
            volumes=tuple((path, self._one(source, where)) for path, source in options.get("volumes", {}).items()),
            at=where,
        )
        return FlowStep(flow=self, name=name)

    def _split(self, glob: str, batch: int, least: int) -> Split:
        if not least <= batch <= MAX_BATCH:
            raise UserError(f"batch is {batch}", where=glob, fix=f"give a number from {least} to {MAX_BATCH}")
        return Split(pattern=parse_pattern(glob), batch=batch)

    def _content(self, data: Source | Mapping[str, Source], where: str) -> Content:
        if not isinstance(data, Mapping):
            return self._one(data, where)
        return Tree(entries=tuple((path, self._one(source, where)) for path, source in data.items()), at=where)

    def _one(self, source: Source, where: str) -> Literal | Reference:
        if isinstance(source, FlowStep):
            self._check_own(source)
            return Reference(step=source.name, path=source.path, at=where)
        if not str(source):
            raise UserError("takes content that has no name", where=where, fix="give a path, a CID or a URL")
        return Literal(text=anchored(str(source), Path.cwd()), at=where)

    def _check_own(self, step: FlowStep) -> None:
        if step.flow is not self:
            raise UserError("is a step of another flow", where=f"step {step.name}", fix="make it in this one")


def _display(progress: Callable[[str], None] | None) -> Display:
    return Display(step=progress or (lambda _phrase: None), transfer=lambda _what, _done, _total: None)


def _cid(text: str | None) -> CID | None:
    return None if text is None else parse_cid(text)
