"""A program in the place of Node that sends what a test wants, and a tiny runtime for it."""

import sys
from pathlib import Path

import js_host
from runtime.engine import Plan
from runtime.engine_host import EngineHost
from runtime.plan import make_plan
from runtime.source_files import MOST_BYTES
from storage.blocks import BlockStore
from storage.unixfs_import import Importer
from storage.unixfs_tree import TreeBuilder
from verifier.model import Function, Input, Limits, Lock, Runtime, RuntimeFile, store_node

EMPTY_MODULE = b"\0asm\1\0\0\0"
REWRITER = [
    name for name in js_host.HOST_MODULES if name.startswith("instrument/") or name in ("frames.mjs", "host.mjs")
]

PRELUDE = """#!{python} -I
import json, os, struct, sys, time, signal
reading, writing = int(sys.argv[-2]), int(sys.argv[-1])
def take(n):
    data = b""
    while len(data) < n:
        piece = os.read(reading, n - len(data))
        if not piece: sys.exit(1)
        data += piece
    return data
def receive():
    head, body = struct.unpack("<II", take(8))
    return json.loads(take(head)), take(body)
def raw(data):
    while data: data = data[os.write(writing, data):]
def send(header, payload=b""):
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    raw(struct.pack("<II", len(head), len(payload)) + head + payload)
def ask(**header):
    send(header)
    return receive()
def done(**fields):
    send(dict(dict(type="done", exit_code=0, fuel=1, state_digest="0" * 64, timings_ms=dict(boot=1)), **fields))
def give_image(**fields):
    state, memory = json.dumps({"is": "a stand-in"}).encode(), bytes(65536)
    send(dict(dict(type="image", modules=["sys"], state_bytes=len(state), memory_bytes=len(memory)), **fields))
    for data in (state, memory): send(dict(type="piece"), data)
booted, _ = receive()
opened, _ = receive()
"""
MAKES_IMAGES = """
if opened["preload"] is not None:
    give_image()
    sys.exit(0)
start, _ = receive()
"""


def stand_in(folder: Path, script: str, *, makes: str = MAKES_IMAGES) -> EngineHost:
    """Return a host that runs `script` (Python, after the prelude above) on a task, and `makes` before it."""
    binary = folder / "node"
    binary.write_text(PRELUDE.replace("{python}", sys.executable) + makes + script)
    binary.chmod(0o755)
    return EngineHost(name="node", binary=binary, version="24.0.0", arch="none")


def tiny_plan(
    store: BlockStore,
    *,
    data: bytes = b"",
    output_limit: int = 1 << 20,
    wall_clock_s: float = 20.0,
    has_large_source: bool = True,
) -> Plan:
    """Return a plan whose runtime has an empty main module and the real rewriter, and nothing else of substance."""
    importer = Importer(store)
    tree = TreeBuilder(importer)
    tree.add_file("function.py", b"def main(data): pass\n")
    if has_large_source:  # too large for a worker to keep, so it asks for it
        tree.add_file("large", bytes(MOST_BYTES))
    contents = {"pyodide.asm.wasm": EMPTY_MODULE, "python_stdlib.zip": b"-", "worker.mjs": b"-"}
    for name in REWRITER:
        contents[name] = (js_host.HOST_DIR / name).read_bytes()
    files = tuple(
        RuntimeFile(path=name, size=len(contents[name]), cid=importer.bytes(contents[name]).cid)
        for name in sorted(contents)
    )
    runtime = store_node(store, Runtime(profile="pyodide-1", pyodide="314.0.3", files=files))
    lock = Lock(python="3.14", platform="pyemscripten_2026_0_wasm32", wheels=())
    function = Function(source=tree.finish().cid, entry="main", lock=store_node(store, lock), runtime=runtime)
    limits = Limits(fuel=None, memory=1 << 28, output=output_limit)
    input_ = Input(
        data=importer.bytes(data).cid if data else None,
        volumes=(), outputs=(), args={"b": 1, "a": 2.0}, env={"Z": "1", "Y": "2"}, seed=None, epoch=0, limits=limits,
    )  # fmt: skip
    return make_plan(function, input_, lock, store=store, wall_clock_s=wall_clock_s)
