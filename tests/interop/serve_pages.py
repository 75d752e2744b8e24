"""Serve the pages of a home with jobs, shards, disputes and a graph of thousands of records, for a browser.

Prints one JSON object: the address and what is there; ends when stdin does. Argument: how many records the graph has.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import zlib
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from bacalhau.home import Home
from bacalhau.web.home_server import serve_home
from network.job_store import Job
from storage import dag_cbor
from storage.cid import DAG_CBOR, cid_text, make_cid, parse_cid
from tests.unit.bacalhau.fakes import Desk, FakeEngine, Gave
from tests.unit.bacalhau.record_nodes import record_node

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def png():
    """Return a picture of 8 by 8 points."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (8).to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    rows = zlib.compress(b"".join(b"\0" + bytes((30 * y % 256, 90, 140)) * 8 for y in range(8)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


NOTEBOOK = {
    "nbformat": 4,
    "cells": [
        {"cell_type": "markdown", "source": "A *title*"},
        {
            "cell_type": "code",
            "source": "1 + 1",
            "outputs": [{"output_type": "execute_result", "data": {"text/plain": "2"}}],
        },
        {
            "cell_type": "code",
            "source": EVIL,
            "outputs": [{"output_type": "display_data", "data": {"text/html": EVIL}}],
        },
    ],
}
FILES = {
    "table.csv": b'name,price\nada,1.5\n"gra,ce",2\n',
    "picture.png": png(),
    "note.txt": EVIL.encode(),
    "data.json": b'{"a":[1,2]}',
    "book.ipynb": json.dumps(NOTEBOOK).encode(),
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.title='owned'</script></svg>",
    "bytes.bin": bytes(range(256)),
    f"{EVIL[:20].replace('/', '_')}.txt": b"an evil name",
}


def behave(number, plan, store):
    if number in (7, 8, 9) and number == 9:
        return Gave(result=b"a lie", stdout=b"no\n", outputs=FILES)
    return Gave(result=EVIL.encode(), stdout=EVIL.encode(), outputs=FILES)


def linked(store, jobs, count):
    """Keep a graph of records: chains that join, one that is unverified with what came of it, and return it."""
    records = []
    output = make_cid(DAG_CBOR, dag_cbor.encode({"out": 0}))
    for number in range(count):
        parents = sorted({records[number // 2], records[max(0, number - 7)]}) if number > 10 else []
        tier = "unverified" if number == 5 else "verified"
        task = make_cid(DAG_CBOR, dag_cbor.encode({"task": number}))
        node = record_node(
            task=task, output=output, tier=tier, parents=parents, dissent=[output] if number == 12 else []
        )
        data = dag_cbor.encode(node)
        records.append(make_cid(DAG_CBOR, data))
        store.put(records[-1], data)
    # The newest ones stand for all: the others are their parents.
    for number, record in enumerate(records[-count // 2 - 8 :]):
        jobs.add(
            Job(
                id=f"{number:032x}", created_at=1.7e9 + number, labels=(), task=record, function=record, input=record,
                output=output, record=record, verdict="agreed", tier="verified", exit_code=0, report={},
            )
        )  # fmt: skip
    return records


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        home = Home(Path(folder) / "home")
        desk = Desk(home=home, engine=FakeEngine(behave), read_output=None)
        services = desk.services()
        from bacalhau.progress import Display
        from bacalhau.run_job import Order, run_job
        from bacalhau.run_shards_job import ShardedOrder, run_shards_job
        from runtime.request import Request
        from runtime.shard_pattern import parse_pattern
        from runtime.shard_plan import Sharding
        from verifier.compare import make_rule

        display = Display(step=lambda _: None, transfer=lambda *_: None)
        Path("data").mkdir()
        for name in ("a.txt", "b.txt"):
            Path("data", name).write_text(name)
        desk.function  # noqa: B018  writes it
        with services.open_store() as store, services.open_jobs() as jobs:
            records = linked(store, jobs, count)
        with redirect_stderr(StringIO()):
            request = Request(function=Path("function.py"), data="data/a.txt")
            good = run_job(Order(request=request, rule=make_rule(), labels=(EVIL[:40],)), services, display)
            disputed = run_job(
                Order(request=Request(function=Path("function.py")), rule=make_rule(replication=6)), services, display
            )
            sharded = run_shards_job(
                ShardedOrder(
                    order=Order(request=Request(function=Path("function.py"), data="data"), rule=make_rule()),
                    sharding=Sharding(pattern=parse_pattern("/*"), base="", batch_size=1),
                ),
                services, display, lambda *_: None,
            )  # fmt: skip
        facts = {
            "job": good["job"], "record": good["record"], "output": good["output"], "disputed": disputed["record"],
            "sharded": sharded["job"], "tainted": cid_text(records[-1]), "files": sorted(FILES),
        }  # fmt: skip
        assert parse_cid(good["record"])
        threading.Thread(target=_end_with_stdin, daemon=True).start()
        serve_home(services, 0, lambda url: print(json.dumps({"url": url, **facts}), flush=True))


def _end_with_stdin():
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


main()
