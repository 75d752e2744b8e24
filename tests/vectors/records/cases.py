"""The audit cases: worlds, what is wrong with each, and the check that must say so. See `write_cases.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from storage import dag_cbor
from storage.cid import CID, RAW, make_cid
from storage.unixfs_import import Importer
from tests.vectors.records.world import WHEEL, Edit, World, identity


def change(**values: Any) -> Edit:
    return lambda node: node.update(values)


def in_rule(**values: Any) -> Edit:
    return lambda node: node["rule"].update(values)


def in_first(key: str, **values: Any) -> Edit:
    return lambda node: node[key][0].update(values)


def swap(key: str, other: str) -> Edit:
    return lambda node: node.update({key: node[other]})


def drop(key: str) -> Edit:
    return lambda node: node.pop(key)


def reverse(key: str) -> Edit:
    return lambda node: node[key].reverse()


def twice(key: str) -> Edit:
    return lambda node: node[key].append(node[key][-1])


def parent_is_the_task(node: dict[str, Any]) -> None:
    node["parents"] = [node["task"]]


def agreeing_dissent(node: dict[str, Any]) -> None:
    node.update(receipts=node["receipts"][:2], dissent=node["receipts"][2:])


def hidden_receipt(node: dict[str, Any]) -> None:
    node["dissent"] = []


def world(**edits: Edit) -> World:
    return World(edits={name.replace("__", " ").replace("_", "/"): edit for name, edit in edits.items()})


def other_function() -> World:
    """The record's function is sound, and not the task's."""
    built = World()
    built.edits = {"record": lambda node: node.update(function=built.put("", built.function_node | {"entry": "other"}))}
    return built


def other_input() -> World:
    built = World()
    built.edits = {"record": lambda node: node.update(input=built.put("", built.input_node | {"epoch": 0}))}
    return built


def not_unixfs() -> World:
    built = World()
    built.edits = {"input": lambda node: node.update(data=built.put("", {"v": "lock/1"}))}
    return built


def two_receipts() -> World:
    """The first node has a second receipt with another exit code; its commitment fits both."""
    built = World()

    def add(node: dict[str, Any]) -> None:
        second = identity(0).sign(dag_cbor.decode(built.store.get(built.receipts[0])) | {"exit_code": 1})
        node["dissent"] = [built.put("", second)]

    built.edits = {"record": add}
    return built


class WrongLinkSize(World):
    """The output's directory claims another size for the file `result` than it has."""

    def _output(self, *, lying: bool) -> CID:
        importer = Importer(self.store)
        entries = {name: importer.bytes(data) for name, data in {"result": b"The quick", "exit_code": b"0"}.items()}
        entries["result"] = dataclasses.replace(entries["result"], tsize=5)
        return importer.directory(entries).cid


GOOD: Mapping[str, tuple[str, Callable[[], World]]] = {
    "agreed": ("three nodes agree", World),
    "dissent": ("two of three nodes agree, one claims another output", lambda: World(liars=1)),
    "single": ("one node, and confidence 1 was asked for", lambda: World(nodes=1, confidence=1)),
    "script": ("a script has no entry point", lambda: world(function=change(entry=None))),
    "newline": ("the file exit_code may end in a newline", lambda: world(output=change(exit_code=b"0\n"))),
    "unrevealed": (
        "a node that committed and has no receipt here",
        lambda: World(liars=1, edits={"record": hidden_receipt}),
    ),
}

LIE = make_cid(RAW, b"a lie")

BAD: Mapping[str, tuple[str, int, Callable[[], World]]] = {
    "record-unknown-key": ("the record has a key too many", 1, lambda: world(record=change(note="x"))),
    "record-version": ("a record of a version that does not exist", 1, lambda: world(record=change(v="record/2"))),
    "record-tier": ("a record that calls itself unverified", 1, lambda: world(record=change(tier="unverified"))),
    "record-unsorted": ("receipts are not sorted", 1, lambda: world(record=reverse("receipts"))),
    "record-receipt-twice": ("a receipt is listed twice", 1, lambda: world(record=twice("receipts"))),
    "record-no-link": ("the output is text", 1, lambda: world(record=change(output="bafy"))),
    "function-kind": ("the record's function is an input", 3, lambda: world(record=swap("function", "input"))),
    "task-function": ("another function than the task's", 3, other_function),
    "task-input": ("another input than the task's", 3, other_input),
    "task-key": ("the task has no input", 3, lambda: world(task=drop("input"))),
    "input-epoch": ("an epoch before 1970", 3, lambda: world(input=change(epoch=-1))),
    "input-volume": ("a volume at a relative path", 3, lambda: world(input=in_first("volumes", path="more"))),
    "input-bool": ("true where a number belongs", 3, lambda: world(input=change(epoch=True))),
    "input-data": ("data that is a node and not UnixFS", 3, not_unixfs),
    "lock-name": ("a project name that is not normalised", 3, lambda: world(lock=in_first("wheels", name="Tiny"))),
    "lock-twice": ("a wheel is locked twice", 3, lambda: world(lock=twice("wheels"))),
    "runtime-path": ("a runtime file outside its folder", 3, lambda: world(runtime=in_first("files", path="../boot"))),
    "source-empty": ("there is no function.py", 4, lambda: world(source=drop("function.py"))),
    "wheel-bytes": ("a wheel that is not the file of the sha256", 5, lambda: world(wheel=change(data=WHEEL[:-1]))),
    "runtime-size": ("a runtime file of another size", 6, lambda: world(runtime=in_first("files", size=1))),
    "commitment-forged": ("changed after signing", 7, lambda: world(signed__commitment_0=change(digest="00" * 32))),
    "commitment-node": ("under another name", 7, lambda: world(signed__commitment_0=change(node=identity(9).peer))),
    "commitments-unsorted": ("the list is not sorted", 7, lambda: world(list=reverse("commitments"))),
    "commitments-twice": ("a node is in the list twice", 7, lambda: world(list=twice("commitments"))),
    "commitments-task": ("the list is of another task", 7, lambda: world(list=change(task=LIE))),
    "receipt-forged": ("a receipt changed after signing", 8, lambda: world(stored__receipt_0=change(fuel=1))),
    "receipt-node": ("a receipt under another name", 8, lambda: world(stored__receipt_0=change(node=identity(9).peer))),
    "receipt-exit-code": ("an exit code of 256", 8, lambda: world(receipt_0=change(exit_code=256))),
    "receipt-task": ("a receipt of another task", 8, lambda: world(receipt_0=change(task=LIE))),
    "receipt-two": ("a node has two receipts", 8, two_receipts),
    "reveal-nonce": ("a nonce that was not committed to", 9, lambda: world(receipt_0=change(nonce="00" * 32))),
    "reveal-state": ("a state not committed to", 9, lambda: world(receipt_0=change(state_digest="00" * 32))),
    "reveal-output": ("an output that was not committed to", 9, lambda: world(receipt_0=change(output=LIE))),
    "reveal-round": ("a receipt whose round is no list", 9, lambda: world(receipt_0=swap("round", "task"))),
    "rule-confidence": ("fewer receipts than the confidence", 10, lambda: world(record=in_rule(confidence=4))),
    "rule-diverse": ("diverse, but all of one kind", 10, lambda: world(record=in_rule(diverse=True))),
    "rule-single": ("one node, and confidence 2 was asked for", 10, lambda: World(nodes=1, confidence=2)),
    "rule-split": ("no strict majority", 10, lambda: World(nodes=4, liars=2)),
    "rule-output": ("the output is not the agreed one", 10, lambda: world(record=swap("output", "function"))),
    "dissent-agrees": ("an agreeing receipt listed as dissent", 11, lambda: world(record=agreeing_dissent)),
    "output-exit-code": ("the output has another exit code", 12, lambda: world(output=change(exit_code=b"1"))),
    "output-spelling": ("exit_code is not in its shortest form", 12, lambda: world(output=change(exit_code=b"00"))),
    "output-no-code": ("the output has no exit_code", 12, lambda: world(output=drop("exit_code"))),
    "output-link-size": ("a link claims another size than its file has", 12, WrongLinkSize),
    "parent-task": ("a parent that is a task", 13, lambda: world(record=parent_is_the_task)),
}
"""Name: what is wrong, the number of the first check that must be false, and the world."""


def pick(name: str) -> Callable[[World], CID]:
    return lambda built: getattr(built, name)


def first_receipt(built: World) -> CID:
    return built.receipts[0]


def wheel(built: World) -> CID:
    return make_cid(RAW, WHEEL)


def result(built: World) -> CID:
    return make_cid(RAW, b"The quick")


TOUCHED: Mapping[str, tuple[int, Callable[[World], CID]]] = {
    "record": (1, pick("record")),
    "task": (2, pick("task")),
    "function": (2, pick("function")),
    "list": (2, pick("list")),
    "receipt": (2, first_receipt),
    "wheel": (2, wheel),
    "result": (2, result),
}
"""Blocks of a good world that are flipped in one case and left out in another, and the check that must notice."""
