"""A process that holds a module: what it says between two tasks, and when its parent takes another one instead."""

import gc
import io
import json
from contextlib import ExitStack, nullcontext

import pytest

from runtime import wasm_worker
from runtime.engine import UndeterminedError
from runtime.frames import Frame, read_frame, write_frame
from runtime.warm_module import WarmModule

TASK = {
    "arguments": [], "environment": [], "stdin": None, "mounts": [], "outputs": [], "epoch": 0, "fuel": 1000,
    "memory": 1 << 16, "output": 1,
}  # fmt: skip


@pytest.fixture
def said(monkeypatch):
    """Play a worker in this process; return the frames that it sends when it is told of so many tasks."""

    def play(tasks):
        told = [Frame(header={"type": "open", "is_compiled": False})]
        told += [Frame(header={"type": "piece"}, payload=wasm_worker._TRIAL), Frame(header={"type": "end"})]
        told += [Frame(header={"type": "task"}, payload=json.dumps(TASK).encode())] * tasks
        hearing, telling = io.BytesIO(), io.BytesIO()
        for frame in told:
            write_frame(hearing, frame)
        hearing.seek(0)
        monkeypatch.setattr(wasm_worker, "opened_pipes", lambda _arguments: (hearing, telling))
        monkeypatch.setattr("sys.setrecursionlimit", lambda _limit: None)
        monkeypatch.setattr(gc, "freeze", lambda: None)
        wasm_worker.main([])
        telling.seek(0)
        frames = []
        while telling.tell() < len(telling.getvalue()):
            frames.append(read_frame(telling))
        return [frame.type for frame in frames], [frame.header for frame in frames if frame.type == "done"]

    return play


def test_a_worker_serves_task_after_task_and_ends_with_its_parent(said):
    types, done = said(2)
    assert [one for one in types if one not in ("phase", "piece", "end", "file")] == [
        "compiled", "ready", "done", "pristine", "done", "pristine",
    ]  # fmt: skip
    assert [(one["exit_code"], one["fuel"]) for one in done] == [(0, done[0]["fuel"])] * 2
    assert done[0]["state_digest"] == done[1]["state_digest"]
    assert said(0)[0][-1] == "ready"


def test_a_worker_that_has_grown_says_so(said, monkeypatch):
    monkeypatch.setattr(wasm_worker, "MAX_KEPT_BYTES", -1)
    assert said(1)[0][-2:] == ["done", "spent"]


class Heard:
    """A worker that says one thing when it is asked whether it is ready."""

    is_alive = True

    def __init__(self, word):
        self.word = word

    def within(self, _seconds):
        return nullcontext()

    def receive(self):
        if self.word is None:
            raise UndeterminedError("the worker died")
        return Frame(header={"type": self.word})


@pytest.mark.parametrize(
    ("word", "tasks", "busy_s", "is_ready"),
    [
        ("pristine", 0, 0.0, True),
        ("nothing is read before the first task", 0, 0.0, True),
        ("pristine", 999, 899.0, True),
        ("pristine", 1000, 0.0, False),
        ("pristine", 1, 900.0, False),
        ("spent", 1, 0.0, False),
        ("done", 1, 0.0, False),
        (None, 1, 0.0, False),
    ],
)
def test_a_worker_runs_another_task_only_if_it_says_so_and_is_not_used_up(word, tasks, busy_s, is_ready):
    module = WarmModule(
        worker=Heard(word), engine=None, memory_bytes=1, resources=ExitStack(), _tasks=tasks, _busy_s=busy_s
    )
    assert module.is_ready() is is_ready
