"""From a plan over a whole input to one plan a shard: the same function, arguments and volumes, another `data`.

The plan of the whole is never executed: it is what the shards have in common. Each shard is a task like any other, with
its own CID, and so (where no seed is given) its own randomness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from runtime.engine import Plan
from runtime.plan import make_plan
from runtime.shard_pattern import ShardPattern, parse_pattern
from runtime.shard_tokens import FLAG
from runtime.shards import BASE_FLAG, BATCH_FLAG, MAX_BATCH, Shard, find_base, make_shards
from storage.blocks import BatchingBlockStore, BlockStore
from storage.errors import UserError
from storage.unixfs_read import UnixfsReader

INPUT_PATH: Final = "/inputs"
"""Where a function finds a directory that it gets as data, and so what a base path begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """How an input is split."""

    pattern: ShardPattern
    base: str
    """Path of the directory in which the pattern begins, from the input's root on; empty for the root."""
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """One shard, and the task that it is."""

    shard: Shard
    plan: Plan


def read_sharding(pattern: str, *, base_path: str = INPUT_PATH, batch_size: int = 1) -> Sharding:
    """Return the sharding that three texts of the command line mean.

    base_path: as the function would see it, `/inputs` or below.

    Raises:
        UserError: one of them is wrong.
    """
    if not 1 <= batch_size <= MAX_BATCH:
        problem, fix = f"{batch_size} is out of range", f"choose between 1 and {MAX_BATCH}"
        raise UserError(problem, where=BATCH_FLAG, fix=fix)
    if not f"{base_path}/".startswith(f"{INPUT_PATH}/"):
        fix = f"begin it with {INPUT_PATH}: volumes are not split"
        raise UserError("is not in the input", where=f"{BASE_FLAG} {base_path}", fix=fix)
    base = base_path.removeprefix(INPUT_PATH).strip("/")
    return Sharding(pattern=parse_pattern(pattern), base=base, batch_size=batch_size)


def shard_tasks(whole: Plan, sharding: Sharding, store: BlockStore) -> Iterator[ShardTask]:
    """Yield the tasks of a job, in the order of its shards; what each needs is in `store` when it is yielded.

    Raises:
        UserError: there is no input, it is no directory, the base path is not in it, or the pattern picks nothing.
        UnavailableError, VerificationError: as `shards.make_shards`.
    """
    if whole.input.data is None:
        raise UserError("there is no input to split", where=FLAG, fix="give a directory with -i")
    # One transaction a shard, not one for each of its blocks.
    batch = BatchingBlockStore(store)
    base = find_base(UnixfsReader(store), whole.input.data, sharding.base)
    for shard in make_shards(batch, base, sharding.pattern, batch_size=sharding.batch_size):
        plan = _of_shard(whole, shard, batch)
        batch.flush()
        yield ShardTask(shard=shard, plan=plan)


def _of_shard(whole: Plan, shard: Shard, store: BlockStore) -> Plan:
    input_ = replace(whole.input, data=shard.directory)
    plan = make_plan(whole.function, input_, whole.lock, store=store, wall_clock_s=whole.wall_clock_s)
    return replace(plan, submitter=whole.submitter)
