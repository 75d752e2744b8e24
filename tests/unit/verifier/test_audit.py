import pytest

from storage.blocks import MemoryBlockStore
from storage.cid import cid_text, parse_cid
from tests.vectors.records.world import World
from verifier.audit import CHECKS, AuditReport, audit_record


def states(report: AuditReport) -> dict[str, bool | None]:
    return {check.name: check.ok for check in report.checks}


def test_a_sound_record_is_valid():
    world = World(liars=1)
    report = audit_record(world.store, world.build())
    assert [check for check in report.checks if not check.ok] == []
    assert report.verdict == "valid"
    assert [check.n for check in report.checks] == list(range(1, 14))
    assert all(check.detail for check in report.checks)


def test_numbers_and_names_are_those_of_the_docstring():
    import verifier.audit as module

    listed = [line.split()[:2] for line in (module.__doc__ or "").splitlines() if line[:3].strip(" .").isdigit()]
    assert listed == [[f"{n}.", name] for n, (name, _) in enumerate(CHECKS, 1)]


def test_flipping_one_byte_of_any_block_makes_it_invalid():
    world = World()
    record = world.build()
    for digest, data in list(world.store._blocks.items()):
        for position in {0, len(data) // 2, len(data) - 1} if data else ():
            flipped = bytearray(data)
            flipped[position] ^= 1
            world.store._blocks[digest] = bytes(flipped)
            report = audit_record(world.store, record)
            assert report.verdict == "invalid", data
            assert [check for check in report.checks if check.ok is False and "match" in check.detail]
        world.store._blocks[digest] = data
    assert audit_record(world.store, record).verdict == "valid"


def test_removing_any_block_leaves_it_unchecked_never_valid():
    world = World()
    record = world.build()
    for digest, data in list(world.store._blocks.items()):
        del world.store._blocks[digest]
        report = audit_record(world.store, record)
        assert report.verdict == "unchecked"
        assert None in states(report).values()
        world.store._blocks[digest] = data


def test_the_output_of_a_dissenting_receipt_need_not_be_here():
    world = World(liars=1)
    record = world.build()
    store = MemoryBlockStore()
    lie = world.outputs[-1]
    store._blocks = {digest: data for digest, data in world.store._blocks.items() if digest != lie[-32:]}
    assert audit_record(store, record).verdict == "valid"


def test_an_empty_store_is_unchecked_and_says_which_block_is_missing():
    cid = World().build()
    report = audit_record(MemoryBlockStore(), cid)
    assert report.verdict == "unchecked"
    assert set(states(report).values()) == {None}
    assert cid_text(cid) in report.checks[0].detail


def test_a_cid_that_is_no_record_is_invalid():
    world = World()
    world.build()
    report = audit_record(world.store, world.task)
    assert report.verdict == "invalid"
    assert states(report)["record"] is False
    raw = parse_cid("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
    world.store.put(raw, b"")
    assert audit_record(world.store, raw).verdict == "invalid"


def edited(**changes):
    return lambda node: node.update(changes)


CASES = {
    "task is another's": ({"record": lambda node: node.update(function=node["input"])}, "task"),
    "tier": ({"record": edited(tier="unverified")}, "record"),
    "key too many": ({"record": edited(note="hello")}, "record"),
    "no function.py": ({"source": lambda files: files.pop("function.py") and files.update(x=b"")}, "source"),
    "wheel is not the lock's": ({"wheel": edited(data=b"other")}, "wheels"),
    "runtime size": ({"runtime": lambda node: node["files"][0].update(size=1)}, "runtime"),
    "commitment unsigned": (
        {"commitment/1": lambda node: None, "signed commitment/1": edited(digest="00" * 32)},
        "commitments",
    ),
    "another's commitment": ({"receipt/0": edited(nonce="11" * 32)}, "rounds"),
    "state digest not committed": ({"receipt/0": edited(state_digest="11" * 32)}, "rounds"),
    "forged receipt": ({"stored receipt/0": edited(fuel=7)}, "receipts"),
    "exit code": ({f"receipt/{n}": edited(exit_code=1) for n in range(3)}, "output"),
    "exit code text": ({"output": edited(exit_code=b"00")}, "output"),
    "no exit code": ({"output": lambda files: files.pop("exit_code")}, "output"),
    "confidence not reached": ({"record": lambda node: node["rule"].update(confidence=4)}, "rule"),
    "not diverse": ({"record": lambda node: node["rule"].update(diverse=True)}, "rule"),
    "another output": ({"record": lambda node: node.update(output=node["input"])}, "rule"),
    "agreement listed as dissent": (
        {"record": lambda node: node.update(receipts=node["receipts"][:2], dissent=node["receipts"][2:])},
        "dissent",
    ),
    "parent that is none": ({"record": lambda node: node.update(parents=[node["task"]])}, "parents"),
}


@pytest.mark.parametrize(("edits", "name"), CASES.values(), ids=CASES)
def test_each_check_sees_its_fault(edits, name):
    world = World(edits=edits)
    report = audit_record(world.store, world.build())
    assert report.verdict == "invalid"
    assert states(report)[name] is False


def test_a_check_that_depends_on_a_failed_one_is_unknown_and_the_rest_goes_on():
    world = World(edits={"lock": edited(extra=1)})
    report = audit_record(world.store, world.build())
    assert states(report) | {"task": False, "wheels": None, "runtime": True, "rule": True} == states(report)


def test_many_problems_are_summed_up():
    world = World(nodes=9, edits={f"stored receipt/{n}": edited(fuel=1) for n in range(9)})
    report = audit_record(world.store, world.build())
    assert report.checks[7].detail.endswith("and 4 more")
