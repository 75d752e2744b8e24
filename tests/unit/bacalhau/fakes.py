"""A planner and an engine without Pyodide: real blocks and real records, made in milliseconds."""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

from bacalhau.home import Home
from bacalhau.services import Services
from runtime.arguments import parse_args, parse_outputs, parse_seed, split_volume
from runtime.engine import Execution
from runtime.jail import Level
from runtime.plan import make_plan
from runtime.planner.facts import EngineFacts, MachineFacts
from runtime.planner.stack import EngineName, Isolation, Machine
from runtime.source_import import import_source, read_source
from storage.cid import cid_text, is_cid_text, parse_cid
from storage.errors import UnavailableError
from storage.ipld_path import content_at
from storage.unixfs_import import Importer
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from verifier.model import EngineInfo, Function, Input, Limits, Lock, Runtime, RuntimeFile, Volume, store_node

STATE = "5a" * 32
ENGINE = EngineInfo(name="fake", version="1.0", arch="x86_64", isolation=("process",))

_JAILS = tuple(Isolation(level.value) for level in Level)
FACTS = MachineFacts(
    machine=Machine.BARE,
    engines=(
        EngineFacts(engine=EngineName.PYODIDE_NODE, isolations=_JAILS),
        EngineFacts(engine=EngineName.PYODIDE_BUN, isolations=_JAILS),
        EngineFacts(engine=EngineName.WASMTIME, isolations=_JAILS),
        EngineFacts(engine=EngineName.DOCKER, absent="this release cannot run containers"),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Gave:
    """What one execution gives."""

    result: bytes = b""
    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int = 0
    state_digest: str = STATE
    outputs: dict = field(default_factory=dict)


def shout(number, plan, store):
    """Give the input in capitals, the same each time."""
    data = b"" if plan.input.data is None else UnixfsReader(store).read_bytes(plan.input.data, 1 << 20)
    return Gave(result=data.upper(), stdout=b"shouting\n", outputs={"made.txt": b"made"})


class FakeEngine:
    """Does what `behave(number of the execution, plan, store)` returns or raises."""

    def __init__(self, behave=shout):
        self.behave = behave
        self.calls = 0
        self._lock = threading.Lock()

    def stop(self):
        """End nothing: an execution of this engine takes no time."""

    def execute(self, plan, store, progress=lambda phrase: None, stop=None):
        with self._lock:
            self.calls += 1
            number = self.calls
        progress("running")
        gave = self.behave(number, plan, store)
        if isinstance(gave, BaseException):
            raise gave
        return Execution(
            task=plan.task,
            output=output_of(store, gave),
            exit_code=gave.exit_code,
            fuel=None,
            state_digest=gave.state_digest,
            engine=ENGINE,
            timings_s={"run": 0.001},
        )


def output_of(store, gave):
    tree = TreeBuilder(Importer(store))
    files = {"result": gave.result, "stdout": gave.stdout, "stderr": gave.stderr}
    files |= {"exit_code": str(gave.exit_code).encode()}
    files |= {f"outputs/outputs/{name}": data for name, data in gave.outputs.items()}
    for path, data in files.items():
        tree.add_file(path, data)
    return tree.finish().cid


def fake_prepare(request, *, store, engine, progress, report, note):
    """Plan like the real planner, with a runtime of one small file and no packages."""
    source = read_source(request.function, request.code, request.requirements)
    importer = Importer(store)
    file = RuntimeFile(path="boot.mjs", size=9, cid=importer.bytes(b"export {}").cid)
    runtime = store_node(store, Runtime(profile="pyodide-1", pyodide="314.0.3", files=(file,)))
    lock = Lock(python="3.14", platform="pyemscripten_2026_0_wasm32", wheels=())
    function = Function(
        source=import_source(source, store),
        entry=None if request.code else request.entry,
        lock=store_node(store, lock),
        runtime=runtime,
    )
    return make_plan(function, _input(request, store), lock, store=store, wall_clock_s=request.timeout_s)


def _input(request, store):
    volumes = [Volume(path=path, cid=_content(place, store)) for place, path in map(split_volume, request.volumes)]
    return Input(
        data=None if request.data is None else _content(request.data, store),
        volumes=tuple(volumes),
        outputs=parse_outputs(request.outputs),
        args=parse_args(request.args),
        env={},
        seed=parse_seed(request.seed),
        epoch=request.epoch,
        limits=Limits(fuel=None, memory=1 << 29, output=1 << 26),
    )


def _content(text, store):
    head, _, path = text.partition("/")
    if is_cid_text(head):
        return content_at(store, parse_cid(head), path)
    return Importer(store).path(Path(text)).cid


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one call of the command gave."""

    code: int
    out: bytes
    err: str

    @property
    def text(self):
        return self.out.decode()

    @property
    def json(self):
        (line,) = self.text.splitlines()
        return json.loads(line)


@dataclass(kw_only=True)
class Desk:
    """A home with a fake engine, and the command to call."""

    home: Home
    engine: FakeEngine
    read_output: object
    prepare: object = fake_prepare
    knows_runtime: object = lambda _runtime: True
    asked: list = field(default_factory=list)
    """(host, strict) of every engine that was made."""

    levels: list = field(default_factory=list)
    """The level of the jail of each of them, None where the best was asked for."""
    facts: object = FACTS
    """What the machine has."""
    looked: int = 0
    """How often the machine was looked at."""
    containers: object = None
    """The engine of the unverified tier; None: there is none here."""

    def make_engine(self, host="node", *, strict=False, level=None, room=None, beside=None):
        self.asked.append((host, strict))
        self.levels.append(level)
        return self.engine

    def make_containers(self, _home):
        if self.containers is None:
            raise UnavailableError("no Docker or Podman listens here", where="containers", fix="start one")
        return self.containers

    def find_facts(self):
        self.looked += 1
        return self.facts

    def services(self):
        return Services(
            home=self.home,
            make_engine=self.make_engine,
            prepare=self.prepare,
            knows_runtime=lambda runtime: self.knows_runtime(runtime),
            make_runtime=lambda store: self.runtime,
            find_facts=self.find_facts,
            make_containers=self.make_containers,
        )

    def __call__(self, *arguments):
        from bacalhau.cli.main import main

        self.read_output()
        code = main([str(argument) for argument in arguments], self.services())
        captured = self.read_output()
        return Said(code=code, out=captured.out, err=captured.err.decode())

    def store(self):
        return self.services().open_store()

    def jobs(self):
        return self.services().open_jobs()

    def run(self, *arguments):
        """Run a function over the given input and return the JSON report."""
        said = self("run", "python", self.function, "--json", *arguments)
        assert said.out, said.err
        return said.json

    @property
    def function(self):
        path = self.home.root.parent / "function.py"
        path.write_text("def main(data):\n    return data.read().upper()\n")
        return path

    def file(self, content=b"hello", name="input.txt"):
        path = self.home.root.parent / name
        path.write_bytes(content)
        return path


__all__ = ["ENGINE", "STATE", "Desk", "FakeEngine", "Gave", "cid_text", "shout"]
