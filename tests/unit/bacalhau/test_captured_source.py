"""What a live function becomes as a file: everything it needs, nothing else of its module, the same every time."""

import datetime
import functools
import json
import math as maths
import os.path
import re
from collections import Counter
from json import dumps as write

import pytest

import bacalhau
from bacalhau.captured_source import capture
from storage.errors import UserError
from tests.unit.bacalhau import captured_neighbour

LIMIT = 3
NAMES = ("a", {"b": [1.5, None, b"x"]})
UNUSED = "is not taken along"
WORD = re.compile(r"\w+")
OPEN_FILE = object()
NOT_A_NUMBER = float("nan")


def helper(text):
    return other(text) * LIMIT


def other(text):
    return text.upper()


def uses_helpers(data):
    return helper(data.read().decode())


def runs(text, name="main", *arguments):
    space = {}
    exec(compile(text, "function.py", "exec"), space)  # noqa: S102
    return space[name](*arguments)


def test_helpers_and_constants_come_along_and_nothing_else():
    text = capture(uses_helpers)
    assert text == (
        "LIMIT = 3\n\n\ndef helper(text):\n    return other(text) * LIMIT\n\n\n"
        "def other(text):\n    return text.upper()\n\n\n"
        "def uses_helpers(data):\n    return helper(data.read().decode())\n"
    )


def uses_imports(data):
    return maths.floor(2.5), write(Counter("aab")), json.loads("1"), os.path.sep, datetime.date(2000, 1, 2)


def test_imports_are_written_as_they_were():
    text = capture(uses_imports)
    assert text.splitlines()[:6] == [
        "from collections import Counter",
        "from json import dumps as write",
        "import datetime",
        "import json",
        "import math as maths",
        "import os",
    ]
    assert runs(text, "uses_imports", None) == uses_imports(None)


class Base:
    factor = LIMIT

    def scaled(self, number):
        return number * self.factor * len(make_child.__name__)


class AChild(Base):
    """By name it is before what it derives from."""

    def scaled(self, number):
        return super().scaled(number) + 1


def make_child():
    return AChild()


def uses_classes(data):
    return make_child().scaled(data)


def test_classes_stand_behind_their_bases_though_they_refer_to_each_other():
    assert runs(capture(uses_classes), "uses_classes", 5) == uses_classes(5)


def times(factor):
    def decorate(function):
        @functools.wraps(function)
        def wrapped(*arguments):
            return scale(function(*arguments), factor)

        return wrapped

    return decorate


def scale(number, factor):
    return number * factor


@times(LIMIT)
def decorated(data):
    return data


@functools.lru_cache(maxsize=8)
def fibonacci(number):
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


def uses_decorated(data):
    return decorated(data) + fibonacci(data)


def test_decorators_of_others_stay():
    text = capture(uses_decorated)
    assert "@times(LIMIT)\n" in text
    assert "@functools.lru_cache(maxsize=8)\n" in text
    assert runs(text, "uses_decorated", 10) == 85


@bacalhau.function(
    requirements=["pandas"],
)
def ours(data):
    return data


def test_our_own_decorator_is_left_out():
    assert capture(ours.__wrapped__) == "def ours(data):\n    return data\n"


def calls_ours(data):
    return ours(data)


def test_a_function_of_ours_that_is_called_is_a_plain_helper():
    assert runs(capture(calls_ours), "calls_ours", 7) == 7


def annotated(data: captured_neighbour.Table, n: "Nowhere" = LIMIT) -> captured_neighbour.Table:  # noqa: F821
    return n


def test_annotations_are_not_needed():
    assert capture(annotated).startswith("LIMIT = 3\n\n\ndef annotated(")


def test_nested_constants_are_written_out():
    def uses(data):
        return NAMES

    assert runs(capture(uses), "uses", None) == NAMES


async def waits(data):
    return data


def test_async_functions_stay_async():
    assert capture(waits).startswith("async def waits(data):")


def test_a_function_in_a_function_that_needs_nothing_of_it():
    def inner(data):
        return helper(data)

    assert runs(capture(inner), "inner", "x") == "XXX"


def uses_pattern(data):
    return WORD.findall(data)


def uses_object(data):
    return OPEN_FILE


def uses_nan(data):
    return NOT_A_NUMBER


def uses_nothing_known(data):
    return nowhere(data)  # noqa: F821


def uses_neighbour(data):
    return captured_neighbour.double(data)


def test_what_cannot_be_written_down_is_refused_with_advice():
    secret = 5

    def closes_over(data):
        return secret

    for function, words in [
        (closes_over, "uses 'secret' of the function around it; pass it as an argument"),
        (uses_object, "uses the global 'OPEN_FILE', a object, which cannot be written down"),
        (uses_nan, "uses the global 'NOT_A_NUMBER', a float"),
        (uses_pattern, "uses the global 'WORD', a Pattern"),
        (uses_nothing_known, "uses 'nowhere', which is not defined"),
        (uses_neighbour, "imports 'tests.unit.bacalhau.captured_neighbour', a file of your own"),
        (lambda data: data, "is a lambda"),
        (len, "is no Python function"),
        (functools.partial(helper, "x"), "is no Python function"),
    ]:
        with pytest.raises(UserError) as caught:
            capture(function)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_function_of_a_notebook_is_found_by_its_cell():
    import linecache

    cell = "STEP = 2\ndef in_cell(data):\n    return data * STEP\n"
    linecache.cache["<cell 1>"] = (len(cell), None, cell.splitlines(keepends=True), "<cell 1>")
    space = {"__name__": "__main__"}
    exec(compile(cell, "<cell 1>", "exec"), space)  # noqa: S102
    assert capture(space["in_cell"]) == "STEP = 2\n\n\ndef in_cell(data):\n    return data * STEP\n"


def test_a_function_without_text_is_refused():
    space = {"__name__": "__main__"}
    exec("def typed(data):\n    return data\n", space)  # noqa: S102
    with pytest.raises(UserError, match="the text of typed"):
        capture(space["typed"])
