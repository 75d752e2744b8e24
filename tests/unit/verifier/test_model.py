import dataclasses

import pytest

from storage import dag_cbor
from storage.blocks import MemoryBlockStore
from storage.cid import DAG_CBOR, RAW, cid_text, make_cid
from storage.errors import UnavailableError, UserError, VerificationError
from verifier.model import (
    EngineInfo,
    Function,
    Input,
    Limits,
    Lock,
    ModelError,
    OutputMount,
    Rule,
    Runtime,
    RuntimeFile,
    Task,
    Volume,
    Wheel,
    load_node,
    store_node,
)

LEAF = make_cid(RAW, b"leaf")


def an_input(**changes):
    values = {
        "data": LEAF,
        "volumes": (Volume(path="/a", cid=LEAF), Volume(path="/b", cid=LEAF)),
        "outputs": (OutputMount(name="outputs", path="/outputs"),),
        "args": {"n": 1},
        "env": {"A": "b"},
        "seed": None,
        "epoch": 946684800,
        "limits": Limits(fuel=None, memory=1 << 29, output=1 << 20),
    }
    return Input(**(values | changes))


def a_wheel(**changes):
    values = {"name": "a-b", "version": "1", "file_name": "a_b-1.whl", "sha256": "0a" * 32, "wheel": LEAF}
    return Wheel(**(values | changes))


def a_lock(*names):
    return Lock(python="3.14", platform="p", wheels=tuple(a_wheel(name=name) for name in names))


def test_a_node_begins_with_its_type_and_version():
    task = Task(function=LEAF, input=LEAF)
    assert dag_cbor.encode(task.to_node())[:10] == b"\xa3\x61v\x66task/1"
    for kind in (Function, Lock, Runtime, Input, Task):
        assert f"{kind.__name__.lower()}/1" == kind.VERSION


def test_cids_of_the_published_forms_never_change():
    store = MemoryBlockStore()
    assert cid_text(store_node(store, Task(function=LEAF, input=LEAF))) == GOLDEN["task"]
    assert cid_text(store_node(store, an_input())) == GOLDEN["input"]
    assert cid_text(store_node(store, a_lock("a", "a-b"))) == GOLDEN["lock"]
    function = Function(source=LEAF, entry=None, lock=LEAF, runtime=LEAF)
    assert cid_text(store_node(store, function)) == GOLDEN["function"]


@pytest.mark.parametrize(
    "thing",
    [
        an_input(),
        an_input(data=None, volumes=(), outputs=(), args={}, env={}, seed="00ff"),
        a_lock("a", "b", "c-d"),
        Function(source=LEAF, entry="main", lock=LEAF, runtime=LEAF),
        Runtime(profile="p", pyodide="1", files=(RuntimeFile(path="a/b", size=0, cid=LEAF),)),
    ],
)
def test_what_is_stored_loads_equal(thing):
    store = MemoryBlockStore()
    assert load_node(store, store_node(store, thing), type(thing)) == thing


WRONG_INPUTS = {
    "volumes": (Volume(path="/b", cid=LEAF), Volume(path="/a", cid=LEAF)),
    "outputs": (OutputMount(name="a", path="/a"), OutputMount(name="a", path="/b")),
    "args": {"x": float("nan")},
    "env": {"A=": "b"},
    "seed": "0A",
    "epoch": True,
    "limits": None,
    "data": b"no cid",
}


@pytest.mark.parametrize("field", WRONG_INPUTS)
def test_a_wrong_value_cannot_be_made_and_its_field_is_named(field):
    with pytest.raises(ModelError) as caught:
        an_input(**{field: WRONG_INPUTS[field]})
    assert caught.value.field == field


@pytest.mark.parametrize(
    "args", [{"a": 1 << 63}, {"a": b"x"}, {"a": (1,)}, {"a": {1: 2}}, {"a": "\ud800"}, {"a": [float("inf")]}, {1: 1}]
)
def test_arguments_are_json(args):
    with pytest.raises(ModelError, match="args"):
        an_input(args=args)


def test_arguments_nest_to_a_fixed_depth():
    value: object = 0
    for _ in range(63):
        value = [value]
    an_input(args={"a": value})
    with pytest.raises(ModelError, match="nested"):
        an_input(args={"a": [[value]]})


@pytest.mark.parametrize(
    "path", ["a", "", "/", "/a/", "//a", "/a/../b", "/./a", "/a\0", "/a\n", "/" + "a" * 256, "/\ud800"]
)
def test_paths_are_absolute_and_normal(path):
    with pytest.raises(ModelError, match="path"):
        Volume(path=path, cid=LEAF)


@pytest.mark.parametrize("path", ["/a", "a//b", "../a", "a/..", "a/", ""])
def test_runtime_paths_are_relative_and_safe(path):
    with pytest.raises(ModelError, match="path"):
        RuntimeFile(path=path, size=1, cid=LEAF)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "A"),
        ("name", "a_b"),
        ("name", "a.b"),
        ("file_name", "x/y.whl"),
        ("file_name", ".."),
        ("sha256", "0a" * 31),
        ("sha256", "0A" * 32),
        ("version", ""),
        ("wheel", "text"),
    ],
)
def test_wheels_are_normal(field, value):
    with pytest.raises(ModelError, match=field):
        a_wheel(**{field: value})


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a")])
def test_wheels_are_sorted_and_unique(names):
    with pytest.raises(ModelError, match="sorted"):
        a_lock(*names)


def test_a_rule_needs_at_least_one_vote():
    with pytest.raises(ModelError, match="confidence"):
        Rule(replication=1, confidence=0, diverse=False)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"v": "task/2"}, "task/1: v"),
        ({"v": None}, "task/1: v"),
        ({"extra": 1}, "task/1: node"),
        ({"function": None}, "task/1: function"),
        ({"input": "text"}, "task/1: input"),
    ],
)
def test_reading_is_strict_and_says_where(change, where):
    with pytest.raises(VerificationError) as caught:
        Task.from_node({"v": "task/1", "function": LEAF, "input": LEAF} | change)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "node", [None, [], {}, "task/1", {"v": "task/1"}, {"v": "task/1", "function": LEAF, "inputs": LEAF}]
)
def test_reading_refuses_other_shapes(node):
    with pytest.raises(VerificationError):
        Task.from_node(node)


def test_an_error_in_depth_names_its_path():
    node = a_lock("a", "b").to_node()
    node["wheels"][1]["sha256"] = "x"
    with pytest.raises(VerificationError) as caught:
        Lock.from_node(node)
    assert caught.value.where == "lock/1: wheels[1].sha256"


def test_loading_refuses_other_types_codecs_and_spellings():
    store = MemoryBlockStore()
    task = store_node(store, Task(function=LEAF, input=LEAF))
    with pytest.raises(VerificationError):
        load_node(store, task, Function)
    with pytest.raises(UnavailableError):
        load_node(store, make_cid(DAG_CBOR, b"x"), Task)
    raw = make_cid(RAW, store.get(task))
    with pytest.raises(VerificationError):
        load_node(store, raw, Task)
    spelled = store.get(task).replace(b"\x66task/1", b"\x78\x06task/1")
    store.put(make_cid(DAG_CBOR, spelled), spelled)
    with pytest.raises(VerificationError, match="canonical"):
        load_node(store, make_cid(DAG_CBOR, spelled), Task)


def test_a_node_of_more_than_2_mib_is_the_users_fault():
    with pytest.raises(UserError, match="2 MiB"):
        store_node(MemoryBlockStore(), an_input(args={"a": "x" * (2 << 20)}))


def test_types_are_frozen_and_take_keywords_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EngineInfo(name="a", version="1", arch="x", isolation=()).name = "b"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Task(LEAF, LEAF)  # type: ignore[misc]


GOLDEN = {
    "task": "bafyreihzxo4op7ig2cfrvyn4lhsgtaqzjdrivd75rmaa33za7xopijcziy",
    "input": "bafyreibyzryqckcmyqb5r7obfbacyfbs4mquh5sixqfg57ocv4uenl275m",
    "lock": "bafyreibzjlsmjjnytzdylk5kemoprd76ok3sqke4x5x5geyfvef6llrjsu",
    "function": "bafyreidavxp4wqeipbm7nfggqqaui6j4nhy6hxdchdkdwnksidosvna5wi",
}
