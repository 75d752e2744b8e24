"""Whether a file parses, by the grammar of the guest's Python: the host's may be older. Runs nothing of the file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.engine import Engine
from runtime.input_draft import MIN_MEMORY
from runtime.plan import make_plan
from runtime.prepared_runtime import make_runtime
from runtime.release import PLATFORM, PYTHON_VERSION
from runtime.source_check import SyntaxProblem
from runtime.source_import import ENTRY_FILE, Source, import_source
from storage.blocks import BlockStore, OverlayBlockStore
from storage.unixfs_read import UnixfsReader
from verifier.model import Function, Input, Limits, Lock, store_node

_TIMEOUT_S: Final = 120.0
_CHECK: Final = """
import json, sys
try:
    compile(open("/function/checked.py", "rb").read(), "function.py", "exec", dont_inherit=True)
except SyntaxError as error:
    print(json.dumps([error.lineno or 1, error.msg]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the guest says."""

    problem: SyntaxProblem | None
    """None: the file parses, or the guest could not say."""
    is_known: bool
    """Whether the guest could say."""


def ask_guest(content: bytes, package: Path, *, store: BlockStore, engine: Engine) -> Answer:
    """Have the guest compile a file. package: Pyodide's; nothing is added to the store.

    Raises:
        UnavailableError, UndeterminedError: as `Engine.execute`.
    """
    store = OverlayBlockStore(store)
    checker = Source(files=(("checked.py", content), (ENTRY_FILE, _CHECK.encode())), where="check")
    lock = Lock(python=PYTHON_VERSION, platform=PLATFORM, wheels=())
    runtime = make_runtime(package, store)
    function = Function(source=import_source(checker, store), entry=None, lock=store_node(store, lock), runtime=runtime)
    limits = Limits(fuel=None, memory=MIN_MEMORY * 4, output=1 << 20)
    input_ = Input(data=None, volumes=(), outputs=(), args={}, env={}, seed=None, epoch=0, limits=limits)
    plan = make_plan(function, input_, lock, store=store, wall_clock_s=_TIMEOUT_S)
    execution = engine.execute(plan, store)
    reader = UnixfsReader(store)
    said = reader.read_bytes(reader.resolve(execution.output, "stdout"), 1 << 16)
    if said.strip():
        line, message = json.loads(said)
        return Answer(problem=SyntaxProblem(line=int(line), message=str(message)), is_known=True)
    return Answer(problem=None, is_known=execution.exit_code == 0)
