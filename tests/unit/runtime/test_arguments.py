"""The small texts of a request."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import arguments
from storage.errors import UserError
from verifier.model import OutputMount


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n=20", 20),
        ("n=-9223372036854775808", -(1 << 63)),
        ("x=1.0", 1.0),
        ("x=1e3", 1000.0),
        ("flag=true", True),
        ("nothing=null", None),
        ("word=plain", "plain"),
        ("word=a=b", "a=b"),
        ("word=", ""),
        ('word="20"', "20"),
        ("list=[1, {\"a\": []}]", [1, {"a": []}]),
        ("nan=NaN", "NaN"),
        ("inf=Infinity", "Infinity"),
        ('twice={"a":1,"a":2}', '{"a":1,"a":2}'),
        ("half={", "{"),
        ("größe=1", 1),
    ],
)  # fmt: skip
def test_a_value_is_json_or_a_word(text, value):
    (found,) = arguments.parse_args([text]).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["n"], "'n' is not of the form K=V"),
        (["=1"], "'=1' is not of the form K=V"),
        (["1n=1"], "'1n' is not an argument name"),
        (["a b=1"], "'a b' is not an argument name"),
        (["n=1", "n=2"], "argument 'n' is given twice"),
        (["n=9223372036854775808"], "does not fit in 64 bits"),
        (["n=[[-9223372036854775809]]"], "does not fit in 64 bits"),
        (['n={"a": 1e999}'], "number is too large"),
        (["n=" + "[" * 100_000], "nested too deeply"),
    ],
)
def test_wrong_arguments(texts, said):
    with pytest.raises(UserError, match=said) as caught:
        arguments.parse_args(texts)
    assert caught.value.fix


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_json_comes_through(value):
    assert arguments.parse_args(["x=" + json.dumps(value)]) == {"x": value}


def test_environment():
    assert arguments.parse_env(["A=1", "B=x=y", "C="]) == {"A": "1", "B": "x=y", "C": ""}
    for texts in (["A"], ["=1"], ["A=1", "A=1"], ["A=\0"]):
        with pytest.raises(UserError):
            arguments.parse_env(texts)


def test_outputs_are_sorted_and_one_is_always_there():
    found = arguments.parse_outputs(["z:/z", "a:/a/b"])
    assert found == (
        OutputMount(name="a", path="/a/b"),
        OutputMount(name="outputs", path="/outputs"),
        OutputMount(name="z", path="/z"),
    )
    assert arguments.parse_outputs(["outputs:/outputs"]) == arguments.parse_outputs([])


@pytest.mark.parametrize(
    "texts",
    [
        ["x"], ["/x"], [":/x"], ["../x:/x"], ["a/b:/x"], ["x:relative"], ["x:/"], ["x:/a/../b"], ["x:/a/"], ["x:/a//b"],
        ["x://a"], ["x:/tmp"], ["x:/tmp/a"], ["x:/lib/x"], ["x:/dev/null"], ["x:/a", "x:/b"], ["x:/a", "y:/a"],
        ["x:/a", "y:/a/b"], ["outputs:/elsewhere"], ["x:/outputs/x"], ["x" * 65 + ":/x"], ["x:/a\0b"],
    ],
)  # fmt: skip
def test_wrong_outputs(texts):
    with pytest.raises(UserError) as caught:
        arguments.parse_outputs(texts)
    assert caught.value.fix


def test_a_path_beside_one_with_the_same_beginning_is_fine():
    arguments.check_disjoint(["/a", "/ab", "/a-b", "/b/a"], "-v")


@pytest.mark.parametrize("paths", [["/a", "/a"], ["/a/b", "/a"], ["/a", "/a-b", "/a/b"]])
def test_overlaps_are_found_wherever_they_stand(paths):
    with pytest.raises(UserError, match="lies in"):
        arguments.check_disjoint(paths, "-v")


def test_a_volume_ends_at_the_last_colon():
    assert arguments.split_volume("C:/data/file:/inputs/x") == ("C:/data/file", "/inputs/x")
    for text in ("x", ":/x", "x:", "x:y", "x:/", "x:/proc"):
        with pytest.raises(UserError):
            arguments.split_volume(text)


def test_seed():
    assert [arguments.parse_seed(text) for text in (None, "2A", "0x00ff")] == [None, "2a", "00ff"]
    for text in ("", "2", "xyz", "0x", "00" * 65, " 2a"):
        with pytest.raises(UserError, match="is not a seed"):
            arguments.parse_seed(text)
