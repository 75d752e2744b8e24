"""Flows without Pyodide: an engine whose function is a Python function over the input's files."""

from __future__ import annotations

import json
import threading
from functools import partial
from pathlib import Path

from network.embedded import run_embedded
from network.embedded_flow import StepEnded, TaskEnded, run_flow
from runtime.engine import Execution, UndeterminedError
from runtime.flow_file import read_flow
from runtime.flow_graph import make_graph
from runtime.flow_inputs import GivenLiteral, GivenValue
from runtime.flow_thunk import StepFunction, Thunk
from runtime.flow_values import ValueReader
from runtime.input_draft import draft_input
from runtime.plan import plan_of_task
from storage.cid import parse_cid
from storage.unixfs_import import Importer
from storage.unixfs_members import members
from storage.unixfs_read import UnixfsReader
from storage.unixfs_tree import TreeBuilder
from tests.vectors.records.world import STATE, World
from verifier.compare import make_rule
from verifier.model import EngineInfo

ENGINE = EngineInfo(name="scripted", version="1", arch="x86_64", isolation=())


def files_of(store, cid):
    """Return {path: content} of an input; of a file, {"": content}."""
    reader = UnixfsReader(store)
    if cid is None:
        return {}
    if reader.stat(cid).kind == "file":
        return {"": reader.read_bytes(cid, 1 << 20)}
    return {one.path: reader.read_bytes(one.cid, 1 << 20) for one in members(reader, cid) if one.kind == "file"}


def words(files, args):
    """Give the names of all files with their content, the outputs of `args`, and 1 if a file says `fail`."""
    if any(b"broken" in content for content in files.values()):
        raise UndeterminedError("the host died")
    result = " ".join(f"{path}={content.decode()}" for path, content in sorted(files.items()))
    return result.encode(), args.get("writes", {}), int(any(b"fail" in content for content in files.values()))


class WordsEngine:
    """Runs `behave(files, args)`, which gives result, outputs by path and exit code; counts."""

    def __init__(self, behave=words):
        self.behave = behave
        self.stops = 0
        self.tasks = []
        self._lock = threading.Lock()

    def stop(self):
        self.stops += 1

    def execute(self, plan, store, progress=lambda phrase: None, stop=None):
        with self._lock:
            self.tasks.append(plan.task)
        result, writes, code = self.behave(files_of(store, plan.input.data), plan.input.args)
        builder = TreeBuilder(Importer(store))
        files = {"result": result, "stdout": b"", "stderr": b"", "exit_code": b"%d" % code}
        for path, content in writes.items():
            files[f"outputs/outputs/{path}"] = content.encode()
        for path, content in files.items():
            builder.add_file(path, content)
        return Execution(
            task=plan.task,
            output=builder.finish().cid,
            exit_code=code,
            fuel=None,
            state_digest=STATE,
            engine=ENGINE,
        )


class FlowWorld:
    """A store, an engine, and flows over them. Contents that are no step's are CIDs."""

    def __init__(self, tmp_path: Path, engine=None, replication=2):
        world = World()
        world.build()
        self.store, self.engine = world.store, engine or WordsEngine()
        plan = plan_of_task(world.task, self.store, 7.0)
        self.function, self.lock = plan.function, plan.lock
        rule = make_rule(replication=replication, confidence=replication)
        self.run_one = partial(
            run_embedded, engine=self.engine, store=self.store, keys_dir=tmp_path, rule=rule, parallel=2
        )

    def tree(self, **files):
        """Import a directory; return its CID as text."""
        from storage.cid import cid_text

        builder = TreeBuilder(Importer(self.store))
        for path, content in files.items():
            builder.add_file(path.replace("__", "/"), content.encode())
        return cid_text(builder.finish().cid)

    def graph(self, text, *targets):
        return make_graph(read_flow(f"flow: 1\nsteps:\n{text}".encode(), "f.yaml", Path("/"), {}), targets)

    def thunk(self, graph, name, values):
        step = next(one for one in graph.steps if one.name == name)
        draft = draft_input(step.request)
        made = StepFunction(function=self.function, lock=self.lock, draft=draft, wall_clock_s=7.0)

        def find(content):
            if hasattr(content, "text"):
                return GivenLiteral(cid=parse_cid(content.text.lstrip("/")), parents=frozenset())
            reader = ValueReader(values[content.step], self.store)
            return GivenValue(cid=reader.find(content), path=content.path, reader=reader)

        return Thunk(step, made, find, self.store)

    def verify(self, task):
        return self.run_one(task.plan, parents=task.parents)

    def events(self, graph, run=None, **more):
        settings = {"at_once": 1, "stop": self.engine.stop} | more
        return run_flow(graph.needs, partial(self.thunk, graph), run or self.verify, **settings)

    def run(self, text, *targets, **more):
        """Run a flow; return {step: how it ended} and the tasks as they ended."""
        happened = list(self.events(self.graph(text, *targets), **more))
        ends = {one.step: one for one in happened if isinstance(one, StepEnded)}
        return ends, [one for one in happened if isinstance(one, TaskEnded)]

    def read(self, value, path="result"):
        reader = UnixfsReader(self.store)
        return reader.read_bytes(reader.resolve(value.output, path), 1 << 20).decode()


def step(name, *, data=None, args=None, split="", **more):
    """Return the lines of one step."""
    lines = [f"  {name}:", "    function: f.py"]
    if data is not None:
        lines.append(f"    data: {data if isinstance(data, str) else json.dumps(data)}")
    if split:
        lines.append(f"    {split}")
    if args:
        lines.append(f"    args: {json.dumps(args)}")
    lines += [f"    {key}: {json.dumps(value)}" for key, value in more.items()]
    return "\n".join(lines) + "\n"
