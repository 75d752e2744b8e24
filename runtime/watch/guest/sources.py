"""Puts watched functions where chance, time, addresses, listings and names of the machine come from.

Each notes who asked, and gives another answer where the ledger wants that: for one line or for all. Where the answer is
drawn from a stream, as much is drawn as without, so that nobody else's answers change.
"""

from __future__ import annotations

import builtins
import locale
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

from .ledger import FUNCTION, Ledger, users_site

_DAY_S: Final = 90_000
_MASK: Final = 0x5A
Call = Callable[..., Any]

_CLOCKS: Final = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
                  "process_time_ns")  # fmt: skip
_DATES: Final = {"ctime": 1, "asctime": 1, "localtime": 1, "gmtime": 1, "strftime": 2}
"""Name -> arguments with which it does not look at the clock."""
_DRAWS: Final = (
    "random", "uniform", "triangular", "randint", "randrange", "choice", "choices", "sample", "shuffle", "gauss",
    "normalvariate", "lognormvariate", "expovariate", "betavariate", "gammavariate", "paretovariate", "weibullvariate",
    "vonmisesvariate", "getrandbits", "randbytes", "binomialvariate",
)  # fmt: skip
_HOST: Final[dict[str, dict[str, Any]]] = {
    "os": {"getpid": 4343, "getppid": 4141, "cpu_count": 7, "process_cpu_count": 7, "getlogin": "somebody"},
    "socket": {"gethostname": "elsewhere"}, "uuid": {"getnode": 0x123456789ABC},
    "platform": {"node": "elsewhere"}, "getpass": {"getuser": "somebody"},
}  # fmt: skip
"""Module -> what it says of the machine -> what another one would."""
LATE: Final = frozenset({"platform", "getpass", "numpy.random"})
"""Modules that are watched when the function has imported them: they take long to load."""


class Sources:
    """The watched functions, over one ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kept: list[object] = []
        self._twin = random.Random(20_000_101)  # noqa: S311  another answer, not a secret

    def install(self) -> None:
        """Take the places of all of them."""
        for name in _CLOCKS:
            self._watch(time, name, "clock", self._later)
        for name, arguments in _DATES.items():
            self._watch_dates(name, arguments)
        for name in _DRAWS:
            self._watch_draw(name)
        self._watch_generators()
        self._watch(os, "urandom", "randomness", _masked)
        random._urandom = os.urandom  # type: ignore[attr-defined]
        for module in ("os", "socket", "uuid", *LATE):
            if module in sys.modules:
                self.loaded(module)
        self._watch_listings()
        self._watch_locale()
        self._watch_identity()

    def loaded(self, name: str) -> None:
        """Watch a module of which it was waited that it is there."""
        if name == "numpy.random":
            self._watch_numpy()
        for function, other in _HOST.get(name, {}).items():
            if hasattr(sys.modules[name], function):
                self._watch(sys.modules[name], function, "host identity", lambda _value, other=other: other)

    def _watch(self, module: Any, name: str, kind: str, other: Call) -> None:
        original: Call = getattr(module, name)
        what = f"{module.__name__}.{name}"
        ledger = self._ledger

        def watched(*args: Any, **words: Any) -> Any:
            is_other = ledger.asked(kind, what, users_site())
            value = original(*args, **words)
            return other(value) if is_other else value

        setattr(module, name, _named(watched, name))

    @staticmethod
    def _later(value: float) -> float:
        """Return a reading a day and an hour later, in seconds or nanoseconds."""
        return value + (_DAY_S * 1_000_000_000 if isinstance(value, int) else _DAY_S)

    def _watch_dates(self, name: str, arguments: int) -> None:
        original: Call = getattr(time, name)
        ledger, now, localtime = self._ledger, time.time, time.localtime

        def watched(*args: Any) -> Any:
            if len(args) >= arguments or not ledger.asked("clock", f"time.{name}", users_site()):
                return original(*args)
            ledger.is_paused = True
            moment = now() + _DAY_S
            ledger.is_paused = False
            return original(*args, localtime(moment) if name in ("asctime", "strftime") else moment)

        setattr(time, name, _named(watched, name))

    def _watch_draw(self, name: str) -> None:
        original: Call = getattr(random, name)
        ledger, twin = self._ledger, self._twin

        def watched(*args: Any, **words: Any) -> Any:
            if not ledger.asked("randomness", f"random.{name}", users_site()):
                return original(*args, **words)
            return _other_draw(original, getattr(twin, name))(*args, **words)

        setattr(random, name, _named(watched, name))

    def _watch_generators(self) -> None:
        """Generators of the function's own that nobody gave a seed: they ask the system in C."""
        ledger, plain = self._ledger, random.Random

        class Random(plain):  # type: ignore[misc,valid-type]
            """random.Random, which says when it has no seed."""

            def __init__(self, x: Any = None) -> None:
                is_other = x is None and ledger.asked("randomness", "random.Random()", users_site())
                super().__init__(20_000_101 if is_other else x)

        Random.__module__, Random.__qualname__ = "random", "Random"
        random.Random = Random  # type: ignore[misc]

    def _watch_listings(self) -> None:
        listdir, scandir, ledger = os.listdir, os.scandir, self._ledger

        def listed(*args: Any, **words: Any) -> list[Any]:
            is_other = ledger.asked("listing order", "os.listdir", users_site())
            names = listdir(*args, **words)
            return names[::-1] if is_other else names

        def scanned(*args: Any, **words: Any) -> Any:
            is_other = ledger.asked("listing order", "os.scandir", users_site())
            found = scandir(*args, **words)
            return _Reversed(found) if is_other else found

        os.listdir, os.scandir = _named(listed, "listdir"), _named(scanned, "scandir")

    def _watch_locale(self) -> None:
        ledger, fold = self._ledger, locale.strxfrm
        override: dict[str, Any] = locale._override_localeconv  # type: ignore[attr-defined]
        other = {"decimal_point": ",", "thousands_sep": ".", "grouping": [3, 3, 0]}
        for name in ("localeconv", "format_string", "currency", "str", "atof", "setlocale", "getlocale"):
            original: Call = getattr(locale, name)

            def watched(*args: Any, _name: str = name, _original: Call = original, **words: Any) -> Any:
                is_other = ledger.asked("locale", f"locale.{_name}", users_site())
                if is_other:
                    override.update(other)
                try:
                    value = _original(*args, **words)
                finally:
                    if is_other:
                        override.clear()
                return "de_DE.UTF-8" if is_other and _name == "setlocale" else value

            setattr(locale, name, _named(watched, name))

        def key(text: str) -> str:
            return text.swapcase() if ledger.asked("locale", "locale.strxfrm", users_site()) else fold(text)

        def compare(one: str, two: str) -> int:
            if ledger.asked("locale", "locale.strcoll", users_site()):
                one, two = one.swapcase(), two.swapcase()
            return (one > two) - (one < two)

        locale.strxfrm, locale.strcoll = key, compare

    def _watch_identity(self) -> None:
        """id() and hash(), where the function itself asks: the library asks all the time, and forgets."""
        real_id, real_hash, ledger, kept = builtins.id, builtins.hash, self._ledger, self._kept

        def identity(thing: object, /) -> int:
            frame = sys._getframe(1)
            if frame.f_code.co_filename.startswith(FUNCTION) and ledger.asked("object id", "id()", users_site(frame)):
                kept.append(thing)  # so that no later object gets its address
            return real_id(thing)

        def digest(thing: object, /) -> int:
            frame = sys._getframe(1)
            if frame.f_code.co_filename.startswith(FUNCTION):
                what = _hashed(thing)
                if what and ledger.asked("hash", what, users_site(frame)):
                    return real_hash(thing) ^ 0x2545F491
            return real_hash(thing)

        builtins.id, builtins.hash = identity, digest

    def _watch_numpy(self) -> None:
        """Watch numpy's own generator."""
        module: Any = sys.modules.get("numpy.random")
        mtrand: Any = sys.modules.get("numpy.random.mtrand")
        if module is None or mtrand is None or getattr(mtrand, "_faas_watched", False):
            return
        original, twin, ledger = mtrand._rand, module.RandomState(20_000_101), self._ledger

        class Watched(module.RandomState):  # type: ignore[misc]
            """The generator that unseeded models draw from."""

            def __getattribute__(self, name: str) -> Any:
                is_draw = not name.startswith("_") and name not in ("set_state", "get_state", "seed")
                if is_draw and ledger.asked("randomness", f"numpy.random.{name}", users_site()):
                    return _other_draw(super().__getattribute__(name), getattr(twin, name))
                return super().__getattribute__(name)

        ledger.is_paused = True  # it reads its own attributes
        watched = Watched()
        watched.set_state(original.get_state())
        ledger.is_paused = False
        mtrand._rand, mtrand._faas_watched = watched, True
        for name in dir(module):
            if getattr(getattr(module, name), "__self__", None) is original:
                setattr(module, name, _Late(watched, name))


class _Late:
    """A function of numpy.random, looked up when it is called."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name

    def __call__(self, *args: Any, **words: Any) -> Any:
        return getattr(self._owner, self._name)(*args, **words)


class _Reversed:
    """What os.scandir returns, from the end."""

    def __init__(self, entries: Any) -> None:
        self._entries = entries
        self._left: list[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._left is None:
            self._left = list(self._entries)
        if not self._left:
            raise StopIteration
        return self._left.pop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the directory back."""
        self._entries.close()


def _other_draw(original: Call, other: Call) -> Call:
    """Return a draw from another generator, which takes as much from the original as that draw would have."""

    def draw(*args: Any, **words: Any) -> Any:
        if original.__name__ != "shuffle":
            original(*args, **words)
            return other(*args, **words)
        before = args[0][:] if isinstance(args[0], list) else args[0].copy()
        original(*args, **words)
        args[0][:] = before
        return other(*args, **words)

    return draw


def _masked(data: bytes) -> bytes:
    return bytes(byte ^ _MASK for byte in data)


def _named(function: Call, name: str) -> Any:
    function.__name__ = function.__qualname__ = name
    return function


def _hashed(thing: object) -> str:
    """Say what a hash depends on that is no value: text on the hash seed, objects on their address; empty: nothing."""
    if isinstance(thing, str | bytes):
        return f"hash({type(thing).__name__})"
    if type(thing).__hash__ is object.__hash__:
        return f"hash({type(thing).__name__} object)"
    if isinstance(thing, tuple | frozenset):
        return next((what for what in map(_hashed, thing) if what), "")
    return ""
