"""What goes into the guest, tried here: the marks keep a module's meaning, and change only what they are to change."""

import datetime
import io
import tarfile

import pytest

from runtime.watch.guest.ledger import Ledger
from runtime.watch.guest.lines import show
from runtime.watch.guest.marked import Marks
from runtime.watch.guest.marks import marked_code
from runtime.watch.guest.tar_order import Buffer, reordered

SAME = [
    ("sorted({'b', 'a'})", ["a", "b"]),
    ("[x for x in (3, 1)]", [3, 1]),
    ("','.join(['a', 'b'])", "a,b"),
    ("dict(a=1).pop('a')", 1),
    ("[4, 5].pop()", 5),
    ("f'{3!r:>4}{[1]}'", "   3[1]"),
    ("max(*[3, 1])", 3),
    ("{**{'a': 1}}", {"a": 1}),
    ("[*{1, 2}]", [1, 2]),
    ("sum(x * y for x in {2} for y in [1, 2])", 6),
    ("datetime.date(2000, 1, 1).today.__name__", "today"),
]


def value_of(source, vary):
    asked = []

    class Told(Ledger):
        def asked(self, kind, what, site):
            asked.append((kind, what, site))
            return super().asked(kind, what, site)

    namespace = {"datetime": datetime}
    Marks(Told(None, vary)).install(namespace)
    exec(marked_code(f"value = ({source})\n".encode(), "f.py", "/function/f.py"), namespace)  # noqa: S102
    return namespace["value"], asked


@pytest.mark.parametrize(("source", "expected"), SAME)
@pytest.mark.parametrize("vary", [{}, {"set order": "*", "clock": "*"}])
def test_marks_change_nothing_that_has_an_order(source, expected, vary):
    assert value_of(source, vary)[0] == expected


@pytest.mark.parametrize("source", [
    "list({'a', 'b', 'c'})", "[x for x in {'a', 'b', 'c'}]", "','.join({'a', 'b', 'c'})", "f\"{ {'a', 'b', 'c'} }\"",
    "[*frozenset('abc')]", "str({'a', 'b', 'c'})", "{'a', 'b', 'c'}.pop()", "list(frozenset('abc'))",
])  # fmt: skip
def test_the_order_of_a_set_is_turned_where_it_is_wanted(source):
    plain, asked = value_of(source, {})
    assert {(kind, site) for kind, _, site in asked} == {("set order", ("f.py", 1))}
    turned, _ = value_of(source, {"set order": [["f.py", 1]]})
    elsewhere, _ = value_of(source, {"set order": [["f.py", 2]]})
    assert turned != plain == elsewhere


def test_dates_are_moved():
    plain, asked = value_of("datetime.date.today()", {})
    moved, _ = value_of("datetime.date.today()", {"clock": "*"})
    assert moved > plain
    assert asked[0][:2] == ("clock", "date.today")


def tar_of(*names):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            entry.size = 0 if name.endswith("/") else 1
            tar.addfile(entry, io.BytesIO(b"x"))
    return Buffer(out.getvalue())


def test_members_come_from_the_end_and_directories_first():
    with tarfile.open(fileobj=reordered(tar_of("d/", "d/a", "d/b", "z"))) as tar:
        assert [member.name for member in tar] == ["d", "z", "d/b", "d/a"]


def test_what_is_no_tar_stays_itself():
    data = Buffer(b"no tar at all" * 100)
    assert reordered(data) is data
    assert data.read(2) == b"no"


def test_values_are_shown_without_running_what_is_theirs():
    class Trap:
        def __repr__(self):
            raise AssertionError("run")

    assert show({"a": [Trap(), 1.5]}, 3) == "dict of 1: 'a': list of 2: Trap, 1.5"
    assert show("x" * 500, 3).endswith("(502 characters)")
