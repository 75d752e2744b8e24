"""The rules of `bacalhau lint`: what each finds, why it matters, and what to write instead.

An id is never given to another rule: scripts and suppressions name it. docs/lint.md has the same table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Level(StrEnum):
    """How much a finding matters; the words are SARIF's."""

    ERROR = "error"
    """The function will not give what its author wants."""
    WARNING = "warning"
    NOTE = "note"


class Category(StrEnum):
    """What the runtime makes of it."""

    REFUSED = "refused"
    """The sealed runtime refuses it, or it cannot happen there."""
    PINNED = "pinned"
    """The same on every node, because the runtime pins it; but it follows the seed, the epoch, or an accident."""
    CONTRACT = "contract"
    """Breaks the function contract (docs/functions.md)."""
    PACKAGES = "packages"
    """About requirements.txt."""
    STYLE = "style"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One kind of finding."""

    id: str
    name: str
    """For people and for suppressions: `# bacalhau: allow NAME`."""
    level: Level
    category: Category
    what: str
    """Follows the name of what was found and a colon."""
    why: str
    advice: str


def _rule(id_: str, name: str, level: Level, category: Category, *, what: str, why: str, advice: str) -> Rule:
    return Rule(id=id_, name=name, level=level, category=category, what=what, why=why, advice=advice)


_E, _W, _N = Level.ERROR, Level.WARNING, Level.NOTE
_REFUSED, _PINNED, _CONTRACT = Category.REFUSED, Category.PINNED, Category.CONTRACT
_PACKAGES, _STYLE = Category.PACKAGES, Category.STYLE

_ALL: Final = (
    _rule("BAC101", "thread", _E, _REFUSED, what="there are no threads",
          why="Thread.start raises RuntimeError: the order in which threads run is no input of the task",
          advice="call the function directly; split the input into shards to use more cores"),
    _rule("BAC102", "process", _E, _REFUSED, what="there are no other processes",
          why="fork and exec raise OSError: what another program does is not part of the function",
          advice="do it in Python, or make it an input that was computed before"),
    _rule("BAC103", "socket", _E, _REFUSED, what="there is no network",
          why="socket calls raise OSError: what a server answers tomorrow is not part of the task",
          advice="give the data with -i or -v: a URL there is fetched once and becomes a CID"),
    _rule("BAC104", "network-library", _E, _REFUSED, what="asks the network, and there is none",
          why="its sockets raise OSError: what a server answers tomorrow is not part of the task",
          advice="give the data with -i or -v: a URL there is fetched once and becomes a CID"),
    _rule("BAC105", "timeout", _E, _REFUSED, what="there are no timers that interrupt",
          why="the guest's signal module lacks them: time moves only when it is read or slept",
          advice="bound the work by a count; the task's own bound is --fuel"),
    _rule("BAC106", "javascript", _E, _REFUSED, what="JavaScript is not reachable from a function",
          why="importing the bridge raises ModuleNotFoundError",
          advice="remove the import; packages come from requirements.txt, and files from the input"),
    _rule("BAC107", "native-library", _W, _REFUSED, what="there are no shared libraries of the system",
          why="only modules of locked wheels can be loaded, and the bare runtime has none beside them",
          advice="use a package that has a wheel for Pyodide"),
    _rule("BAC108", "absent-module", _E, _REFUSED, what="the guest's Python does not have this module",
          why="Pyodide's standard library leaves out what needs a terminal, a display or another system, and "
              "Python 3.13 removed others",
          advice="use what replaces it, or import it where a function of yours runs elsewhere"),
    _rule("BAC109", "interactive", _E, _REFUSED, what="nobody is there to answer",
          why="standard input is empty, so this raises EOFError or reads nothing",
          advice="take it as an argument of the entry point (--arg), or as the input"),

    _rule("BAC201", "clock", _W, _PINNED, what="is the task's epoch, not the time",
          why="the clock starts at --epoch (2000-01-01 unless said) and moves by a microsecond each time it is read",
          advice="take the date as an argument, or leave it out of the output"),
    _rule("BAC202", "stopwatch", _N, _PINNED, what="counts how often clocks were read, not how long something took",
          why="no real time passes inside a task", advice="leave timings out; count work instead"),
    _rule("BAC203", "unseeded-random", _W, _PINNED, what="draws from a generator that the function did not seed",
          why="it follows --seed, which by default changes with every input",
          advice="use a generator of your own with a seed that is an argument: random.Random(seed)"),
    _rule("BAC204", "unseeded-model", _W, _PINNED, what="has no random_state",
          why="it follows --seed, which by default changes with every input", advice="write random_state=0"),
    _rule("BAC205", "uuid", _W, _PINNED, what="is a name that nobody chose",
          why="uuid4 follows --seed, uuid1 the epoch as well: another input, another name for the same thing",
          advice="name things by their content: uuid.uuid5(namespace, text), or a hash of it"),
    _rule("BAC206", "hash-seed", _W, _PINNED, what="hash() of text or of an object is no digest",
          why="the runtime pins the hash seed to 0 and the addresses of objects; elsewhere they change with each start",
          advice="use hashlib, or zlib.crc32, over bytes"),
    _rule("BAC207", "object-id", _W, _PINNED, what="an address is used as a key or shown",
          why="an address is given to another object when its own is gone: a cache by id() gives stale answers",
          advice="key by value, or by position; keep the object itself beside its id"),
    _rule("BAC208", "set-order", _W, _PINNED, what="takes the order of a set",
          why="it depends on hashes and on what was inserted before; here they are pinned, elsewhere not",
          advice="iterate over sorted(…)"),
    _rule("BAC209", "float-sum", _W, _PINNED, what="adds up in the order of a set",
          why="a sum of floats depends on their order, and a set's order on hashes",
          advice="use math.fsum, or sum over sorted(…)"),
    _rule("BAC210", "archive-time", _W, _PINNED, what="writes the clock, or files' times, into what it makes",
          why="the time is the task's epoch: another epoch, other bytes for the same content",
          advice="fix it: ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), TarInfo with mtime 0, gzip with mtime=0"),
    _rule("BAC211", "listing-order", _W, _PINNED, what="takes the order of a directory listing",
          why="the runtime sorts listings; every other file system has an order of its own",
          advice="iterate over sorted(…)"),
    _rule("BAC212", "locale", _W, _PINNED, what="depends on the locale",
          why="the locale is C.UTF-8 and stays it: no language's names or orders are there",
          advice="format and sort by explicit rules; take names as data"),
    _rule("BAC213", "host-identity", _W, _PINNED, what="is a constant here, and names the machine elsewhere",
          why="process id, host, user and CPU count are fixed by the runtime",
          advice="leave it out; for a unique path use a counter or the content"),
    _rule("BAC214", "file-time", _N, _PINNED, what="is no time at which anything happened",
          why="handed-over files are of 1980-01-01, the function's own follow the epoch",
          advice="take dates from the data"),

    _rule("BAC301", "no-entry-point", _E, _CONTRACT, what="is not defined at the top level",
          why="the task calls it by name", advice="add `def main(data):`, or say --entry NAME"),
    _rule("BAC302", "entry-signature", _E, _CONTRACT, what="cannot be called as entry points are",
          why="an entry point is called with the input as its one positional argument, everything else by name",
          advice="write `def main(data, option=default):` and return the result"),
    _rule("BAC303", "required-argument", _N, _CONTRACT, what="has no default, so every run must give it with --arg",
          why="a run without it is refused", advice="give it a default that makes sense"),
    _rule("BAC304", "no-canonical-form", _E, _CONTRACT, what="has no canonical form",
          why="a result is bytes, str, None, or JSON of dict, list, str, int, finite float and bool",
          advice="return sorted(…), list(…), .tolist(), .to_csv(), or text"),
    _rule("BAC305", "not-writable", _W, _CONTRACT, what="lies where a function may not write, unless it is an output",
          why="writable are /work (the current directory), /tmp, /outputs and what -o names",
          advice="write below /outputs"),
    _rule("BAC306", "beside-the-function", _E, _CONTRACT, what="lies beside the function, not in the current directory",
          why="the function's files are in /function, and it runs in /work",
          advice="open Path(__file__).parent / NAME"),
    _rule("BAC307", "syntax", _E, _CONTRACT, what="does not parse",
          why="nothing of it can run", advice="correct the line"),

    _rule("BAC401", "bad-requirement", _E, _PACKAGES, what="is no requirement that can be locked",
          why="a lock names exact wheels, wherever it is made", advice="write name==version"),
    _rule("BAC402", "no-wheel", _E, _PACKAGES, what="cannot be had for the guest",
          why="there must be a wheel in pure Python or for Pyodide for every package",
          advice="choose another package or version, or build its wheel with `pyodide build`"),
    _rule("BAC403", "not-locked-here", _N, _PACKAGES, what="was not looked up",
          why="the index was not asked, so whether there are wheels is not known",
          advice="run it again without --offline"),
    _rule("BAC404", "unpinned", _N, _PACKAGES, what="is not pinned to one version",
          why="a later release may give another lock, and so another function", advice="write name==version"),
    _rule("BAC405", "heavy", _N, _PACKAGES, what="much to fetch, and to import, for every node that runs it first",
          why="each node needs all wheels, and makes an image with the imports of the function",
          advice="leave out what is not imported"),
    _rule("BAC406", "not-required", _E, _PACKAGES, what="is a package that requirements.txt does not bring",
          why="only locked packages are there", advice="add it to requirements.txt"),

    _rule("BAC501", "pickle", _N, _STYLE, what="writes bytes that belong to the versions that wrote them",
          why="the same content has other bytes, or none, with other versions of the libraries",
          advice="keep numbers as well, in a format that has a description"),
)  # fmt: skip

RULES: Final = MappingProxyType({rule.name: rule for rule in _ALL})
"""By name, in the order of their ids."""
