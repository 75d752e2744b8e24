"""Checkpoints as files, and what decides whether one is good for a function."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.checkpoint_model import Taken, answers_of, going_on, key_name, read_questions, read_taken
from runtime.checkpoint_store import PIECE_BYTES, CheckpointStore, evict, list_checkpoints
from runtime.engine import UndeterminedError
from storage.blocks import MemoryBlockStore
from storage.cid import RAW, make_cid
from storage.errors import VerificationError
from tests.unit.runtime.test_pyodide_engine import tiny_plan

ENTRIES = [
    ("_cells", "directory", ""), ("_cells/1.json", "file", "61"), ("_cells/2.json", "file", "6262"),
    ("link", "symlink", "_cells"),
]  # fmt: skip
IMAGE = make_cid(RAW, b"image")
KEY = "0" * 64
BODY = os.urandom(PIECE_BYTES * 2 + 17)


def changed(path, content):
    return [(name, kind, content if name == path else was) for name, kind, was in ENTRIES]


def taken(steps, *questions, body=BODY):
    return Taken(steps=steps, questions=questions, state_bytes=10, data_bytes=len(body) - 10)


FIRST = taken(1, ("lookup", "_cells/1.json"), ("read", "_cells/1.json"))
SECOND = taken(2, *FIRST.questions, ("read", "_cells/2.json"))


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(directory=tmp_path / "engine")


def keep(store, *all_of_them, body=BODY):
    for one in all_of_them:
        parts = [body[at : at + 700_000] for at in range(0, len(body), 700_000)]
        store.keep(KEY, one, ENTRIES, iter(parts))


def steps_of(store, entries=ENTRIES, key=KEY):
    found = store.find(key, entries)
    if found is None:
        return None
    with found:
        assert b"".join(found.pieces()) == BODY
        assert (found.state_bytes, found.data_bytes) == (10, len(BODY) - 10)
        return found.steps


def test_a_function_goes_on_after_the_last_step_that_is_the_same(store):
    keep(store, FIRST, SECOND)
    assert steps_of(store) == 2
    assert steps_of(store, changed("_cells/2.json", "63")) == 1
    assert steps_of(store, changed("_cells/1.json", "63")) is None
    assert steps_of(store, [*ENTRIES, ("_cells/3.json", "file", "63")]) == 2
    assert steps_of(store, key="1" * 64) is None


@pytest.mark.parametrize(
    ("question", "other"),
    [
        (("lookup", "none"), [*ENTRIES, ("none", "file", "")]),
        (("lookup", "link"), changed("link", "elsewhere")),
        (("lookup", "_cells/1.json"), [("_cells/1.json", "directory", "")]),
        (("size", "_cells/1.json"), changed("_cells/1.json", "6161")),
        (("read", "_cells/1.json"), changed("_cells/1.json", "62")),
        (("list", "_cells/"), [*ENTRIES, ("_cells/3.json", "file", "63")]),
        (("list", ""), [*ENTRIES, ("new", "file", "63")]),
    ],
)
def test_what_a_run_has_asked_decides(question, other):
    assert answers_of(ENTRIES, [question]) != answers_of(other, [question])


def test_what_a_run_has_not_asked_does_not_matter():
    longer = changed("_cells/1.json", "6161")
    assert answers_of(ENTRIES, [("lookup", "_cells/1.json")]) == answers_of(longer, [("lookup", "_cells/1.json")])
    deeper = [*ENTRIES, ("_cells/sub/x", "file", ""), ("_cells/sub", "directory", "")]
    assert answers_of(ENTRIES, [("list", "")]) == answers_of(deeper, [("list", "")])


@pytest.mark.parametrize("at", [0, PIECE_BYTES + 3, len(BODY) + 20, -5, -50])
def test_one_that_was_harmed_is_not_used(store, at):
    keep(store, FIRST)
    (path, _) = list_checkpoints(store.directory.parent)[0]
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    found = store.find(KEY, ENTRIES)
    if 0 <= at < len(BODY):
        with found, pytest.raises(VerificationError, match="harmed"):
            list(found.pieces())
        found.discard()
    else:
        assert found is None
    assert list_checkpoints(store.directory.parent) == []


def test_one_that_the_disk_neither_gives_back_nor_lets_go_is_not_used(store):
    keep(store, FIRST)
    with store.find(KEY, ENTRIES) as found:
        folder = os.open(store.directory, os.O_RDONLY)
        os.dup2(folder, found.file.fileno())  # reading it is an error
        os.close(folder)
        found.path.unlink()
        found.path.mkdir()
        with pytest.raises(VerificationError, match="harmed"):
            list(found.pieces())
        found.discard()


@pytest.mark.parametrize("size", [0, 10, 40, len(BODY)])
def test_one_that_was_cut_is_removed(store, size):
    keep(store, FIRST)
    (path, _) = list_checkpoints(store.directory.parent)[0]
    os.truncate(path, size)
    assert store.find(KEY, ENTRIES) is None
    assert not path.exists()


def test_one_under_another_name_is_not_used(store):
    keep(store, FIRST, SECOND)
    (other,) = (path for path, _ in list_checkpoints(store.directory.parent) if path.name.startswith("2-"))
    other.rename(other.with_name(f"3-{'a' * 64}"))
    assert steps_of(store) == 1
    (store.directory / ("1" * 64)).mkdir()
    (path,) = (path for path, _ in list_checkpoints(store.directory.parent))
    path.rename(store.directory / ("1" * 64) / path.name)
    assert steps_of(store, key="1" * 64) is None


def test_the_least_recently_used_go_first(store):
    keep(store, FIRST, SECOND)
    home = store.directory.parent
    for number, (path, _) in enumerate(sorted(list_checkpoints(home))):
        os.utime(path, ns=(number, number))
    assert steps_of(store, changed("_cells/2.json", "63")) == 1  # used last now
    evict(home, 2 * len(BODY))
    assert [path.name[:2] for path, _ in list_checkpoints(home)] == ["1-"]
    evict(home, 0)
    assert list(store.directory.iterdir()) == []


def test_a_folder_that_another_process_removes_meanwhile_is_empty(store, monkeypatch):
    keep(store, FIRST)
    (store.directory / ("1" * 64)).mkdir()

    def removing(look):
        def looked(path):
            if str(path).endswith("1" * 64):
                Path(path).rmdir()
            return look(path)

        return looked

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, removing(getattr(os, name)))
    assert [path.name[:2] for path, _ in list_checkpoints(store.directory.parent)] == ["1-"]


def test_nothing_half_written_stays(store):
    def breaking():
        yield BODY[:10]
        raise UndeterminedError("the worker is gone")

    with pytest.raises(UndeterminedError):
        store.keep(KEY, FIRST, ENTRIES, breaking())
    assert list(store.directory.rglob("*-*")) == []
    left = store.directory / ".partial-0"
    left.write_bytes(b"x")
    keep(store, FIRST)
    assert left.exists()  # somebody may be writing it
    os.utime(left, (0, 0))
    keep(store, FIRST)
    assert not left.exists()


def test_without_room_all_pieces_are_taken_and_nothing_is_kept(tmp_path):
    (tmp_path / "file").write_text("in the way")
    pieces = iter([BODY])
    CheckpointStore(directory=tmp_path / "file").keep(KEY, FIRST, ENTRIES, pieces)
    assert next(pieces, None) is None


def test_what_checkpoints_have_in_common():
    plan = replace(tiny_plan(MemoryBlockStore()), checkpoints_of="node")
    assert key_name(plan, IMAGE) is None  # its randomness is of its task
    seeded = replace(plan, input=replace(plan.input, seed="00"))
    name = key_name(seeded, IMAGE)
    assert name == key_name(replace(seeded, function_cid=IMAGE, task=IMAGE, wall_clock_s=1.0), IMAGE)
    assert key_name(replace(seeded, checkpoints_of=""), IMAGE) is None
    others = [
        key_name(seeded, make_cid(RAW, b"another image")),
        key_name(replace(seeded, checkpoints_of="other"), IMAGE),
        key_name(replace(seeded, submitter="other"), IMAGE),
        key_name(replace(seeded, input_cid=IMAGE), IMAGE),
        *(
            key_name(replace(seeded, function=replace(seeded.python, **change)), IMAGE)
            for change in ({"runtime": IMAGE}, {"lock": IMAGE}, {"entry": "other"}, {"entry": None})
        ),
    ]
    assert len({name, *others}) == len(others) + 1


def test_what_a_worker_says_is_checked():
    good = {"steps": 1, "questions": [["read", "x"]], "state_bytes": 1, "data_bytes": 2}
    assert read_taken(good, 3).questions == (("read", "x"),)
    both = [["read", "x"], ["lookup", "x"]]
    assert read_questions(both) == read_questions(both[::-1])
    for bad in (
        {"steps": 0}, {"steps": True}, {"steps": "1"}, {"state_bytes": -1}, {"data_bytes": 3}, {"data_bytes": 1.0},
        {"questions": None}, {"questions": [["write", "x"]]}, {"questions": [["read"]]}, {"questions": [["read", 1]]},
        {"questions": [["read", "x"]] * 5001},
    ):  # fmt: skip
        with pytest.raises(VerificationError):
            read_taken(good | bad, 3)


def test_what_a_person_is_told():
    assert going_on(ENTRIES, 1) == "notebook: cell 1 of 2 unchanged, going on from there"
    assert going_on(ENTRIES, 2) == "notebook: cells 1 to 2 of 2 unchanged, going on from there"
    assert going_on([], 3) == "3 steps unchanged, going on from there"
