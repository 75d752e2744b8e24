import pytest

from runtime.flow_yaml import MAX_BYTES, ListNode, MapNode, TextNode, read_yaml
from storage.errors import UserError


def plain(node):
    if isinstance(node, TextNode):
        return node.text
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return {key.text: plain(value) for key, value in node.entries}


def test_mappings_lists_and_texts_with_their_places():
    node = read_yaml(b"a: 1\nb:\n  - x\n  - 'y z'\nc: {d: |\n}\n".replace(b"{d: |\n}", b"{d: e}"), "f.yaml")
    assert plain(node) == {"a": "1", "b": ["x", "y z"], "c": {"d": "e"}}
    assert isinstance(node, MapNode)
    (_, first), (_, second), _ = node.entries
    assert str(first.at) == "f.yaml:1:4"
    assert [str(item.at) for item in second.items] == ["f.yaml:3:5", "f.yaml:4:5"]
    assert [item.is_plain for item in second.items] == [True, False]


@pytest.mark.parametrize("text", ["no", "yes", "1_000", "0o17", "1e3", "~", "null", "2001-01-01", "0x10"])
def test_what_yaml_would_turn_into_something_else_stays_a_text(text):
    assert plain(read_yaml(f"a: {text}\n".encode(), "f")) == {"a": text}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: &x 1\n", "f:1:4: has the anchor &x; write the value out where it is needed"),
        (b"a: 1\nb: *x\n", "f:2:4: has the alias *x; write the value out"),
        (b"a: !!int 1\n", "f:1:4: has the tag tag:yaml.org,2002:int; leave it out: what a value is, its key says"),
        (b"a: 1\nb: 2\na: 3\n", "f:3:1: has 'a' a second time, first in line 1; keep one of them"),
        (b"a: {<<: {b: 1}}\n", "f:1:5: merges mappings; write the keys out"),
        (b"[a]: 1\n", "f:1:1: is a key that is no text; write 'name: value'"),
        (b"a: 1\n---\nb: 1\n", "f:2:1: begins a second document; keep one flow in a file"),
        (b"", "f: is empty; begin it with 'flow: 1'"),
        (b"# only this\n", "f: is empty; begin it with 'flow: 1'"),
        (b"a: \xff\n", "f: is not UTF-8 text, from byte 3 on; save it as UTF-8"),
    ],
)
def test_what_is_left_out_of_yaml_is_refused_with_its_place(content, said):
    with pytest.raises(UserError) as caught:
        read_yaml(content, "f")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"a: [1\n", "f:2:1"),
        (b"a: 1\n b: 2\n", "f:2:3"),
        (b"\ta: 1\n", "f:1:1"),
        (b"a: 'x\n", "f:2:1"),
        (b"a: \x07\n", "f"),
    ],
)
def test_what_is_no_yaml_is_told_on_one_line(content, place):
    with pytest.raises(UserError, match="is no YAML") as caught:
        read_yaml(content, "f")
    assert caught.value.where == place
    assert "\n" not in str(caught.value)


def test_bounds():
    with pytest.raises(UserError, match=f"at most {MAX_BYTES}"):
        read_yaml(b"a" * (MAX_BYTES + 1), "f")
    with pytest.raises(UserError, match="more than 32 levels deep"):
        read_yaml(b"[" * 5000, "f")
    with pytest.raises(UserError, match="more than 200000 values"):
        read_yaml(b"[" + b"1," * 200_001 + b"]", "f")
