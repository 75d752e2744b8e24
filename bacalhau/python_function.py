"""`bacalhau.function`: a Python function that runs sealed, on several nodes, and gives a verified result.

What is decorated is captured as text (`captured_source`) when it is called, so that the same function is the same CID
wherever it is written: in a script, a module, a notebook. A directory with function.py does as well (`load_function`).
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, Unpack, cast, overload

from bacalhau.captured_source import capture
from bacalhau.function_folder import materialise
from bacalhau.function_options import Data, FunctionOptions, checked, requirements_text
from bacalhau.verified import Verified
from runtime import source_check
from runtime.source_import import ENTRY_FILE, REQUIREMENTS_FILE, read_source
from storage.errors import UserError

if TYPE_CHECKING:
    from bacalhau.sharded import Sharded

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, eq=False)
class Function(Generic[R]):
    """A function that can be called, mapped, sharded and submitted; made by `function` and `load_function`.

    Calling it runs it on the nodes of this process and waits. The first argument is the input, the others are passed as
    JSON values.
    """

    files: Callable[[], Mapping[str, bytes]] = field(repr=False)
    """Returns its source by path, as it is now."""
    entry: str
    options: FunctionOptions
    where: str
    """What errors call it."""
    signature: inspect.Signature | None = None
    """Of the function, if it is a live one."""

    def __call__(self, data: Data = None, /, *args: Any, **kwargs: Any) -> Verified[R]:
        """Run it and return what it gave, verified.

        data: what the function gets as its first argument; args, kwargs: its further ones, JSON values.

        Raises:
            FunctionError: it failed, and the nodes agree that it does; also of the type that it raised.
            NotVerifiedError: the nodes did not agree.
            UserError: the call is wrong. UnavailableError, VerificationError: something is not to be had, or is not
                what it should be.
        """
        from bacalhau.executor import default_executor

        return default_executor().call(self, data, *args, **kwargs)

    def with_options(self, **options: Unpack[FunctionOptions]) -> Function[R]:
        """Return the same function with other options; those that are not given stay."""
        return replace(self, options=checked({**self.options, **options}, self.where))

    def map(self, inputs: Iterable[Data], /, **kwargs: Any) -> Iterator[Verified[R]]:
        """Run it for each input, several at a time, and yield what they gave in the order of the inputs.

        Raises:
            FunctionError, NotVerifiedError, …: as a call, when the one that failed has its turn; the rest is given up.
        """
        from bacalhau.executor import default_executor

        return _results([default_executor().submit(self, data, **kwargs) for data in inputs])

    async def aio(self, data: Data = None, /, *args: Any, **kwargs: Any) -> Verified[R]:
        """Run it without blocking the event loop of asyncio; takes and raises what a call does.

        Examples:
            >>> await asyncio.gather(total.aio("a.csv"), total.aio("b.csv"))  # doctest: +SKIP
        """
        from bacalhau.executor import default_executor

        return await asyncio.wrap_future(default_executor().submit(self, data, *args, **kwargs))

    async def amap(self, inputs: Iterable[Data], /, **kwargs: Any) -> AsyncIterator[Verified[R]]:
        """Do what `map` does, for `async for`."""
        from bacalhau.executor import default_executor

        futures = [default_executor().submit(self, data, **kwargs) for data in inputs]
        try:
            for future in futures:
                yield await asyncio.wrap_future(future)
        finally:
            for future in futures:
                future.cancel()

    def shard(
        self,
        data: Data,
        /,
        glob: str,
        *,
        base: str = "",
        batch: int = 1,
        max_failures: int | None = None,
        **kwargs: Any,
    ) -> Sharded:
        """Run it once for each batch of what a pattern picks in a directory; docs/sharding.md has the patterns.

        glob: such as `/**/*.csv`; base: path in the directory where it begins; batch: picks of one shard;
        max_failures: shards that may fail before the rest is given up, None for any number.

        Raises:
            UserError, UnavailableError, VerificationError: as a call. Shards that fail are told of in the result.
        """
        from bacalhau.executor import default_executor

        return default_executor().shard(
            self, data, glob, base=base, batch=batch, max_failures=max_failures, arguments=self.bound((), kwargs)
        )

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments behind the first one by name.

        Raises:
            UserError: they do not fit, or are no JSON.
        """
        named = dict(kwargs)
        if args:
            if self.signature is None:
                problem = f"takes its arguments by name, and {len(args)} came without"
                raise UserError(problem, where=self.where, fix="write name=value")
            try:
                # The input stands for itself: it is no argument of the task.
                positional = self.signature.bind_partial(None, *args).arguments
            except TypeError as error:
                raise UserError(str(error), where=self.where, fix="call it as it is defined") from error
            first, *names = positional
            taken = [name for name in names if name in named]
            if taken or any(_is_variadic(self.signature.parameters[name]) for name in (first, *names)):
                problem = f"got {taken[0]!r} twice" if taken else "takes *args, which a task cannot have"
                raise UserError(problem, where=self.where, fix="pass arguments by name")
            named |= {name: positional[name] for name in names}
        if self.signature is not None:
            _check_names(self.signature, named, self.where)
        else:
            _check_written(self.files().get(ENTRY_FILE, b""), self.entry, named, self.where)
        for name, value in named.items():
            _check_json(name, value, self.where)
        return named

    def source(self) -> dict[str, bytes]:
        """Return what it is made of, by path: `function.py`, and `requirements.txt` if it has any.

        Raises:
            UserError: it cannot be captured.
        """
        files = dict(self.files())
        requirements = self.options.get("requirements")
        if requirements is not None:
            files[REQUIREMENTS_FILE] = requirements_text(requirements, self.where)
        return files

    def directory(self, cache_dir: Path) -> Path:
        """Write the source below `cache_dir`, under a name that says what it is made of, and return the directory."""
        return materialise(self.source(), self.entry, cache_dir / "functions")

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The live function; as `functools.wraps` has it.

        Raises:
            AttributeError: it was loaded from a directory.
        """
        live = getattr(self.files, "live", None)
        if live is None:
            raise AttributeError("__wrapped__")
        return cast(Callable[..., Any], live)


@dataclass(frozen=True, slots=True)
class _Live:
    """The source of a live function, captured at each call: what it uses may have been defined anew."""

    live: Callable[..., Any]

    def __call__(self) -> Mapping[str, bytes]:
        return {ENTRY_FILE: capture(self.live).encode()}


@overload
def function(live: Callable[..., R], /) -> Function[R]: ...
@overload
def function(**options: Unpack[FunctionOptions]) -> Callable[[Callable[..., R]], Function[R]]: ...
def function(live: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function one that runs verified: `@bacalhau.function`, or with options `@bacalhau.function(…)`.

    Its first parameter is the input: a seekable binary file, which also has a length and slices. What it returns is
    the value of the result: bytes, text, None, or anything that JSON can say.

    Examples:
        >>> @bacalhau.function(requirements=["pandas"])
        ... def total(data, column="price") -> float:
        ...     import pandas
        ...     return float(pandas.read_csv(data)[column].sum())
        >>> total(b"price\\n1.5\\n2.5\\n").value  # doctest: +SKIP
        4.0

    Raises:
        UserError: an option is unknown or wrong. What cannot be captured is told when it is called.
    """
    if live is None:
        return lambda given: make_function(given, options)
    return make_function(live, options)


def make_function(live: Callable[..., Any], options: Mapping[str, Any]) -> Function[Any]:
    """Return a live function as one that runs verified.

    Raises:
        UserError: it is no function, or an option is unknown or wrong.
    """
    name = getattr(live, "__name__", "")
    where = f"function {name or live!r}"
    if not inspect.isfunction(live) or not name.isidentifier():
        raise UserError("is no function with a name", where=where, fix="decorate what `def` defines")
    by_annotation = {"returns": _returned(live)}
    made: Function[Any] = Function(
        files=_Live(live),
        entry=name,
        options=checked({**by_annotation, **options}, where),
        where=where,
        signature=inspect.signature(live),
    )
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        object.__setattr__(made, attribute, getattr(live, attribute))
    return made


def load_function(path: str | Path, *, entry: str = "main", **options: Unpack[FunctionOptions]) -> Function[Any]:
    """Return the function of a directory with function.py (and requirements.txt), or of one Python file.

    Examples:
        >>> stats = bacalhau.load_function("functions/csv_stats")  # doctest: +SKIP
        >>> stats("prices.csv", column="price").value  # doctest: +SKIP

    Raises:
        UserError: it is no function, or an option is unknown or wrong.
    """
    place = Path(path).absolute()

    def files() -> Mapping[str, bytes]:
        return dict(read_source(place, None, None).files)

    files()  # a wrong path is told of now
    return Function(files=files, entry=entry, options=checked(options, str(path)), where=str(path))


_FIRST: Final = "pass it first, without its name"


def _results(futures: Sequence[Future[Verified[R]]]) -> Iterator[Verified[R]]:
    """Yield what futures give, in order; those that nobody waits for any more are not begun."""
    try:
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def _returned(live: Callable[..., Any]) -> str:
    """Return how the result of a function is to be read, by its annotation; no other annotation says it surely."""
    annotation = getattr(live, "__annotations__", {}).get("return")
    if annotation is bytes or annotation == "bytes":
        return "bytes"
    return "text" if annotation is str or annotation == "str" else "auto"


def _is_variadic(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _check_names(signature: inspect.Signature, named: Mapping[str, Any], where: str) -> None:
    """Refuse what the function has no parameter for, while its caller can still be told in the caller's own words."""
    first, *others = signature.parameters.values() or (None,)
    if any(other.kind is inspect.Parameter.VAR_KEYWORD for other in (first, *others) if other is not None):
        return
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    taken = [other.name for other in others if other.kind in by_name]
    for name in named:
        if first is not None and name == first.name:
            raise UserError(f"{name!r} is the input itself", where=where, fix=_FIRST)
        if name not in taken:
            fix = f"it takes: {', '.join(taken) or 'none'}"
            raise UserError(f"takes no argument {name!r}", where=where, fix=fix)
    for other in others:
        if other.name in taken and other.name not in named and other.default is inspect.Parameter.empty:
            raise UserError(f"needs the argument {other.name!r}", where=where, fix=f"call it with {other.name}=…")


def _check_written(source: bytes, entry: str, named: Mapping[str, Any], where: str) -> None:
    """Refuse what a function that was loaded has no parameter for, as far as reading it tells, before data is read."""
    module = source_check.parse(source, ENTRY_FILE)
    if isinstance(module, source_check.SyntaxProblem):
        return  # the guest decides
    try:
        source_check.check_entry(module, entry=entry, args=named, where=where)
    except UserError as error:
        fix = error.fix.replace("give it with --arg ", "call it with ").replace("give the input with -i", _FIRST)
        raise UserError(error.problem, where=where, fix=fix) from error


def _check_json(name: str, value: Any, where: str) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"argument {name!r} is no JSON value: {error}"
        raise UserError(problem, where=where, fix="pass it as data: bytes, a file, a CID") from error
