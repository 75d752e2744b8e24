"""`bacalhau.Executor`: calls that run verified, behind the interface of `concurrent.futures`.

One executor keeps its engines and the interpreters in them from call to call. Where a node runs, its calls go there, as
the runs of the command do; else they run on nodes of this process (docs/verification.md says what their agreement
shows), or on the workers of a Dask cluster.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from bacalhau.call_runner import CallRunner
from bacalhau.call_terms import make_terms
from bacalhau.home import Home
from bacalhau.python_function import Function, make_function
from bacalhau.services import Services, default_services
from bacalhau.verified import Verified
from storage.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

    from bacalhau.function_options import Data
    from bacalhau.sharded import Sharded

R = TypeVar("R")
T = TypeVar("T")


class Executor(futures.Executor):
    """Runs functions verified, several at a time.

    concurrency: nodes that run each call, 3 by default; confidence: nodes that must agree, 2 by default; trust: instead
    of these two, the probability with which an answer is to be right, from 0.5 to less than 1, which takes as many
    nodes as their records make necessary; bad_nodes: share of the nodes that is assumed to be bad then, 0.1 by default
    (docs/trust.md); diverse: on different engines, Node and Bun in turn; strict: refuse where a layer of the jail is
    missing; cache: take what was verified before.
    node: True: on a node that runs; False: on nodes of this process; an address: on the node there, with the token that
    BACALHAU_API_TOKEN has; None: each call goes where `bacalhau run` would, to the node that BACALHAU_API names, else
    to the one that runs on this home, else to nodes of this process.
    max_workers: calls at the same time, default as many as there are cores, on a node 16, or with Dask three times its
    threads; dask: a `distributed.Client` or the address of a scheduler: executions run on its workers; home: instead of
    BACALHAU_DIR; progress: told in a short phrase when a long step begins.

    Examples:
        >>> with bacalhau.Executor(concurrency=3) as ex:  # doctest: +SKIP
        ...     for r in ex.map(total, ["a.csv", "b.csv"]):
        ...         print(r.value, r.record)

    Raises:
        UserError: numbers that do not go together, or a home that cannot be used.
        UnavailableError: an engine is not installed, or no scheduler answers.
    """

    def __init__(
        self,
        *,
        concurrency: int | None = None,
        confidence: int | None = None,
        trust: float | None = None,
        bad_nodes: float | None = None,
        diverse: bool = False,
        strict: bool = False,
        cache: bool = True,
        node: bool | str | None = None,
        max_workers: int | None = None,
        dask: Client | str | None = None,
        home: str | Path | None = None,
        progress: Callable[[str], None] | None = None,
        services: Services | None = None,
    ) -> None:
        if max_workers is not None and max_workers < 1:
            raise UserError(f"max_workers is {max_workers}", where="Executor", fix="give a number of calls, from 1")
        services = services or default_services()
        if home is not None:
            services = replace(default_services(), home=Home(Path(home).expanduser().absolute()))
        self._runner: Final = CallRunner.open(
            services,
            make_terms(
                concurrency=concurrency,
                confidence=confidence,
                trust=trust,
                bad_nodes=bad_nodes,
                diverse=diverse,
                strict=strict,
                cache=cache,
                node=node,
            ),
            dask=dask,
            progress=progress,
        )
        self._threads: Final = ThreadPoolExecutor(
            max_workers=max_workers or self._runner.at_once, thread_name_prefix="bacalhau-call"
        )
        self._closed = False

    @overload  # type: ignore[override]
    def submit(self, fn: Function[R], /, data: Data = None, *args: Any, **kwargs: Any) -> Future[Verified[R]]: ...
    @overload
    def submit(self, fn: Callable[..., R], /, data: Data = None, *args: Any, **kwargs: Any) -> Future[Verified[R]]: ...
    def submit(self, fn: Any, /, data: Data = None, *args: Any, **kwargs: Any) -> Future[Verified[Any]]:
        """Schedule a call and return its future, whose result is a `Verified`.

        fn: a function of `bacalhau.function` or `load_function`, or a plain one, which is taken as if it were decorated
        without options; data, args, kwargs: as in a call of it.

        What a plain function is made of, and `data` that is bytes, is taken now; a path is read when the call begins.
        The future raises what the call does (FunctionError, NotVerifiedError, …). A call that has begun is not ended by
        `cancel`, as everywhere in `concurrent.futures`; `shutdown(cancel_futures=True)` gives up those that have not.

        Raises:
            RuntimeError: the executor was shut down.
        """
        made = fn if isinstance(fn, Function) else make_function(fn, {})
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        return self._threads.submit(self._runner.call, made, data, made.bound(args, kwargs))

    @overload  # type: ignore[override]
    def map(
        self, fn: Function[R], /, *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Verified[R]]: ...
    @overload
    def map(
        self, fn: Callable[..., R], /, *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Verified[R]]: ...
    def map(
        self, fn: Any, /, *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Verified[Any]]:
        """Schedule a call for each of the inputs and yield what they gave, in order; arguments as in `submit`.

        iterables: the inputs, then what its further parameters get; timeout: seconds from now until the last result,
        then TimeoutError; chunksize: without effect, as with threads.
        """
        return cast(Iterator[Verified[Any]], super().map(fn, *iterables, timeout=timeout, chunksize=chunksize))

    def call(self, fn: Function[R], data: Data, /, *args: Any, **kwargs: Any) -> Verified[R]:
        """Run one call in this thread; takes and raises what `Function.__call__` does."""
        return self._runner.call(fn, data, fn.bound(args, kwargs))

    def shard(
        self,
        fn: Function[Any],
        data: Data,
        /,
        glob: str,
        *,
        base: str = "",
        batch: int = 1,
        max_failures: int | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> Sharded:
        """Run a function over the shards of a directory; takes and raises what `Function.shard` does."""
        return self._runner.shard(
            fn, data, glob, base=base, batch=batch, max_failures=max_failures, arguments=fn.bound((), arguments or {})
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the engines once those under way have ended.

        wait: return only then; cancel_futures: do not begin those that wait.
        """
        self._closed = True
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            self._runner.close()
        else:
            _close_later(self._threads, self._runner)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        # After an interrupt nobody waits for what is under way.
        if kind is not None and not issubclass(kind, Exception):
            self._runner.stop()
            self.shutdown(wait=True, cancel_futures=True)
            return None
        return super().__exit__(kind, value, traceback)


def _close_later(threads: ThreadPoolExecutor, runner: CallRunner) -> None:
    """Close a runner when the last thread has ended, without anybody waiting."""

    def close() -> None:
        threads.shutdown(wait=True)
        runner.close()

    Thread(target=close, name="bacalhau-shutdown").start()


_lock: Final = Lock()
_default: tuple[tuple[int, Path], Executor] | None = None


def default_executor() -> Executor:
    """Return the executor of calls that name none: of this process and the home that the environment names.

    Made at the first call, and ended with the process.
    """
    global _default
    with _lock:
        services = default_services()
        key = (os.getpid(), services.home.root)
        if _default is None or _default[0] != key:
            before, _default = _default, (key, Executor(services=services))
            # One that was made before a fork belongs to the other process.
            if before is not None and before[0][0] == os.getpid():
                before[1].shutdown()
        return _default[1]


@atexit.register
def _end_default() -> None:
    if _default is not None and _default[0][0] == os.getpid():
        _default[1]._runner.stop()
        _default[1].shutdown(cancel_futures=True)
