"""What the steps of a flow apply and take, brought here before anything runs: functions, and content that is no step's.

A function that several steps share is prepared once, a content that several name is brought once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from bacalhau.prepared_parts import PreparedParts
from runtime.flow_graph import Graph
from runtime.flow_inputs import Given, GivenValue
from runtime.flow_thunk import StepFunction, Thunk
from runtime.flow_types import Content, Literal, Reference, Step, Tree
from runtime.flow_values import Value, ValueReader
from runtime.input_draft import draft_input
from storage.cid import CID, cid_text
from storage.errors import UserError
from storage.unixfs_import import Importer
from verifier.model import store_node

_FLAG: Final = re.compile(r"^(-i|-v|FUNCTION) ")
"""What stands before a text in the errors of `prepare`, and in no flow."""


@dataclass(kw_only=True)
class FlowSteps:
    """The steps of a graph, ready to begin."""

    graph: Graph
    parts: PreparedParts
    _steps: dict[str, Step] = field(default_factory=dict)
    _made: dict[str, StepFunction] = field(default_factory=dict)
    _readers: dict[str, ValueReader] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Prepare all functions, then bring all contents.

        Raises:
            UserError: a function or content is not what it should be; says where that was written.
            UnavailableError, VerificationError: as `runtime.prepare.prepare`.
        """
        self._steps = {step.name: step for step in self.graph.steps}
        for step in self.graph.steps:
            with _told(step, step.at):
                plan = self.parts.function(step.request)
                self._made[step.name] = StepFunction(
                    function=plan.function,
                    lock=plan.lock,
                    draft=draft_input(step.request),
                    wall_clock_s=step.request.timeout_s,
                )
        for step in self.graph.steps:
            data = _parts(step.data)
            for content, is_data in [(one, True) for one in data] + [(one, False) for _, one in step.volumes]:
                if isinstance(content, Literal):
                    with _told(step, content.at):
                        self.parts.content(content.text, is_data=is_data)

    def thunk(self, name: str, values: Mapping[str, Value]) -> Thunk:
        """Return the thunk of a step whose needs are met; values: what the steps before gave.

        Raises:
            UserError, UnavailableError, VerificationError: as `Thunk`.
        """
        step = self._steps[name]
        data = frozenset(_parts(step.data))

        def find(content: Literal | Reference) -> Given:
            if isinstance(content, Literal):
                return self.parts.content(content.text, is_data=content in data)
            if content.step not in self._readers:
                self._readers[content.step] = ValueReader(values[content.step], self.parts.store)
            reader = self._readers[content.step]
            return GivenValue(cid=reader.find(content), path=content.path, reader=reader)

        return Thunk(step, self._made[name], find, self.parts.store)

    def definition(self) -> tuple[CID, CID]:
        """Return what is done and what is asked of it: two files of JSON in the store, the same on every machine.

        In the first every function and every content that is no step's is named by its CID.
        """
        steps = {step.name: self._defined(step) for step in self.graph.steps}
        importer = Importer(self.parts.store)
        texts = ({"flow": 1, "steps": steps}, {"targets": list(self.graph.targets)})
        flow, asked = (json.dumps(one, sort_keys=True, separators=(",", ":")).encode() for one in texts)
        return importer.bytes(flow).cid, importer.bytes(asked).cid

    def _defined(self, step: Step) -> dict[str, Any]:
        made = self._made[step.name]
        draft = made.draft
        split = None if step.split is None else {"glob": step.split.pattern.text, "batch": step.split.batch}
        return {
            "kind": step.kind.value,
            "function": cid_text(store_node(self.parts.store, made.function)),
            "data": self._named(step.data, is_data=True),
            "split": split,
            "volumes": {path: self._named(content, is_data=False) for path, content in step.volumes},
            "outputs": {output.name: output.path for output in draft.outputs},
            "args": dict(draft.args),
            "env": dict(draft.env),
            "seed": draft.seed,
            "epoch": draft.epoch,
            "limits": draft.limits.to_node(),
        }

    def _named(self, content: Content | None, *, is_data: bool) -> Any:
        if isinstance(content, Tree):
            return {path: self._named(one, is_data=is_data) for path, one in content.entries}
        if isinstance(content, Literal):
            return cid_text(self.parts.content(content.text, is_data=is_data).cid)
        return None if content is None else str(content)


def _parts(content: Content | None) -> tuple[Literal | Reference, ...]:
    if isinstance(content, Tree):
        return tuple(one for _, one in content.entries)
    return () if content is None else (content,)


@contextmanager
def _told(step: Step, at: str) -> Iterator[None]:
    """Say of which step something is wrong, and where that was written."""
    try:
        yield
    except UserError as error:
        where = _FLAG.sub("", error.where).removesuffix(":/inputs/it")
        problem = f"step {step.name}: {where}: {error.problem}" if where else f"step {step.name}: {error.problem}"
        raise UserError(problem, where=at, fix=error.fix) from error
