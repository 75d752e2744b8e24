"""A step whose inputs are known, and so its tasks: what gg calls a thunk, reduced one task at a time.

A step of one task is known at once. Of a map, the tasks are known one after the other as its directory is walked; of a
reduce, those of a round when all of the round before have ended. Runs nothing: it hands out tasks, and is told how they
ended. Not for several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from runtime.engine import Plan
from runtime.flow_inputs import Find, Given, GivenValue, find_step_inputs
from runtime.flow_types import Split, Step, StepKind
from runtime.flow_values import Part, Value, ValueReader
from runtime.plan import make_plan
from runtime.shard_plan import Sharding, shard_tasks
from runtime.shard_tokens import FLAG
from storage.blocks import BatchingBlockStore, BlockStore
from storage.cid import CID, cid_text
from storage.counting import counted
from storage.errors import UserError
from verifier.bounds import MAX_NODES
from verifier.model import Input, Lock
from verifier.shard_merge import Conflict, merge_shards
from verifier.wasm_types import AnyFunction

MAX_TASKS: Final = 100_000
"""Of one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFunction:
    """What a step applies: all of its tasks have it in common."""

    function: AnyFunction
    lock: Lock
    draft: Input
    """Without data and volumes."""
    wall_clock_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTask:
    """One task of a step."""

    step: str
    index: int
    """From 0, over all rounds."""
    plan: Plan
    parents: tuple[CID, ...]
    """Records that its inputs come from, sorted."""
    picks: int = 0
    """Of a map or reduce: how many of what the pattern picks."""


class Thunk:
    """The tasks of one step."""

    def __init__(self, step: Step, made: StepFunction, find: Find, store: BlockStore) -> None:
        """Find the step's inputs and its first task.

        Raises:
            UserError: a reference leads nowhere, a pattern picks nothing, or contents do not fit together.
            UnavailableError, VerificationError: content is not here or malformed.
        """
        self.step: Final = step
        self.value: Value | None = None
        """What the step gave; None as long as it is not over, or if it came to nothing."""
        self.problem = ""
        """Why it came to nothing, in words."""
        self.conflicts: tuple[Conflict, ...] = ()
        self.has_unknown = False
        """Of some task it is not known what it gives: of a flow that is only looked at."""
        self._made, self._store = made, store
        self._count = 0
        self._round_size = 0
        self._ended: dict[int, Part | None] = {}
        self._first = 0
        """Number of the first task of this round."""
        inputs = find_step_inputs(step, [output.path for output in made.draft.outputs], find, store)
        self._volumes, self._volume_records = inputs.volumes, inputs.volume_records
        data = inputs.data
        self._tasks = self._split(data) if step.split and data else iter([self._one(data)])
        self._next = next(self._tasks, None)

    def take(self) -> StepTask | None:
        """Return a task that may begin now; None: there is none, or none before others have ended."""
        task = self._next
        if self.problem or task is None:
            return None
        try:
            self._next = next(self._tasks, None)
        except UserError as error:
            self._next, self.problem = None, f"{error.where}: {error.problem}"
            return None
        self._round_size += 1
        return task

    def put(self, task: StepTask, part: Part | None) -> None:
        """Note how a task ended; None: it is not known."""
        self._ended[task.index] = part
        self.has_unknown |= part is None
        if self._is_round_over():
            self._conclude()

    def fail(self, task: StepTask, problem: str) -> None:
        """Note that a task failed: none is begun after it. What is said first stays said."""
        self.problem = self.problem or problem
        self._ended[task.index] = None

    @property
    def is_over(self) -> bool:
        """Nothing is under way, and nothing will begin."""
        return (self.value is not None or self._next is None or bool(self.problem)) and not self._under_way()

    def _under_way(self) -> int:
        return self._first + self._round_size - len(self._ended)

    def _is_round_over(self) -> bool:
        return self._next is None and not self._under_way() and not self.problem

    def _conclude(self) -> None:
        """Make the step's value of what a round gave, or begin the next round."""
        numbers = range(self._first, self._first + self._round_size)
        parts = [part for number in numbers if (part := self._ended[number]) is not None]
        if self.has_unknown:
            return
        is_last = self.step.kind is not StepKind.MAP and len(parts) == 1
        if is_last:
            self.value = Value(output=parts[0].output, parts=tuple(parts), is_merged=False)
            return
        merged = merge_shards(self._store, {number: part.output for number, part in enumerate(parts)})
        value = Value(output=merged.output, parts=tuple(parts), is_merged=True)
        if merged.conflict_count:
            self.conflicts = merged.conflicts
            self.problem = _conflict(merged.conflicts[0], merged.conflict_count)
        elif self.step.kind is StepKind.MAP:
            self.value = value
        else:
            self._begin_round(value)

    def _begin_round(self, value: Value) -> None:
        before = self._round_size
        self._first, self._round_size = self._count, 0
        given = GivenValue(cid=value.output, path="", reader=ValueReader(value, self._store))
        try:
            # All of them are known before one begins: a round that is no smaller than the one before is not begun.
            self._tasks = iter(list(self._split(given, most=before - 1)))
            self._next = next(self._tasks, None)
        except UserError as error:
            self.problem = f"{error.where}: {error.problem}"

    def _one(self, data: Given | None) -> StepTask:
        # One transaction, not one for each block.
        batch = BatchingBlockStore(self._store)
        plan = self._plan(None if data is None else data.cid, batch)
        batch.flush()
        return self._task(plan, set() if data is None else data.records(data.cid))

    def _split(self, data: Given, most: int = MAX_TASKS) -> Iterator[StepTask]:
        """Yield the tasks of a round; more than `most` are refused."""
        split: Split | None = self.step.split
        assert split is not None  # noqa: S101  a map or reduce has one
        sharding = Sharding(pattern=split.pattern, base="", batch_size=split.batch)
        try:
            for task in shard_tasks(self._plan(data.cid, self._store), sharding, self._store):
                if task.shard.index >= most:
                    raise self._too_many(most)
                yield self._task(task.plan, data.records(task.shard.directory), task.shard.picks)
        except UserError as error:
            if not error.where.startswith((FLAG, cid_text(data.cid))):
                raise
            problem = f"step {self.step.name}: {error.where.replace(FLAG, 'glob')}: {error.problem}"
            raise UserError(problem, where=self.step.at, fix=error.fix) from error

    def _too_many(self, most: int) -> UserError:
        if most == MAX_TASKS:
            return UserError(f"step {self.step.name} is more than {most} tasks", where=self.step.at, fix="raise batch")
        problem = f"step {self.step.name} does not get smaller: {most + 1} tasks gave what is {most + 1} tasks again"
        return UserError(
            problem, where=self.step.at, fix="let the pattern pick less of what a task gives, or raise batch"
        )

    def _plan(self, data: CID | None, store: BlockStore) -> Plan:
        made = self._made
        input_ = replace(made.draft, data=data, volumes=self._volumes)
        return make_plan(made.function, input_, made.lock, store=store, wall_clock_s=made.wall_clock_s)

    def _task(self, plan: Plan, records: set[CID], picks: int = 0) -> StepTask:
        parents = tuple(sorted(records | self._volume_records))
        if len(parents) > MAX_NODES:
            many = counted(len(parents), "record")
            problem = f"step {self.step.name}: one task takes something of {many}, at most {MAX_NODES}"
            raise UserError(problem, where=self.step.at, fix="reduce in batches")
        index, self._count = self._count, self._count + 1
        return StepTask(step=self.step.name, index=index, plan=plan, parents=parents, picks=picks)


def _conflict(first: Conflict, count: int) -> str:
    shards = " and ".join(str(version.shard) for version in first.versions)
    more = f", and {count - 1} more" if count > 1 else ""
    return f"tasks wrote different content to one path: outputs/{first.path} (tasks {shards}){more}"
