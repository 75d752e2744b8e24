"""A job over shards on the embedded nodes: one verified session a shard, several at a time, until all are done.

Shards are taken as they are needed, so the first runs while the input is still being split. Engines are the caller's:
workers stay warm from one shard to the next. Knows no clock and keeps no job.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from network.embedded import SessionResult
from runtime.engine import Plan
from runtime.shard_plan import ShardTask


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardResult:
    """What came of one shard."""

    task: ShardTask
    session: SessionResult

    @property
    def exit_code(self) -> int | None:
        """The function's, as agreed; None without agreement."""
        return self.session.exit_code

    @property
    def has_failed(self) -> bool:
        """Tell whether there is no agreed output, or the function itself failed."""
        return self.exit_code != 0


def run_shards(
    tasks: Iterable[ShardTask],
    run: Callable[[Plan], SessionResult],
    *,
    at_once: int,
    max_failures: int | None = None,
    stop: Callable[[], None],
) -> Generator[ShardResult, None, None]:
    """Yield results as shards end; what ended at the same time comes in the order of shards.

    run: verifies one task, mostly `run_embedded` with all its arguments; called by several threads.
    at_once: sessions at the same time, at least 1.
    max_failures: failed shards that are put up with; one more, and no shard is begun that was not under way. Those
        that were are waited for and yielded. None: all shards run.
    stop: called once if there is an error or the caller gives up: ends what is under way, like `Engine.stop`.

    Raises:
        whatever `tasks` and `run` raise; nothing is under way any more then.
    """
    pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="shard")
    running: dict[Future[SessionResult], ShardTask] = {}
    waiting, failures = iter(tasks), 0
    try:
        while True:
            may_begin = max_failures is None or failures <= max_failures
            while may_begin and len(running) < at_once and (task := next(waiting, None)) is not None:
                running[pool.submit(run, task.plan)] = task
            if not running:
                return
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(ended, key=lambda future: running[future].shard.index):
                result = ShardResult(task=running.pop(future), session=future.result())
                failures += result.has_failed
                yield result
    except BaseException:  # an interrupt as well, and a caller that closes this: nobody takes the other results
        stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
