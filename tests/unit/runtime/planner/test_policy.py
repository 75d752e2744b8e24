import textwrap
from pathlib import Path

import pytest

from runtime.planner.policy import MAX_BYTES, MAX_PREFERENCES, MAX_RULES, read_policy
from runtime.planner.policy_lines import key_lines, line_of
from runtime.planner.policy_values import BOUNDS, GROUPS, VALUES
from runtime.planner.rules import Bound, Condition, Origin
from storage.errors import UserError

WHOLE = """\
# a comment
[require]
tier = "verified"
isolation = ["strict", "vm"]
max-nodes = 2
max-memory = "1Gb"

[forbid]
gpu = true
engine = ["docker", "wasmtime"]

[prefer]
place = { is = "embedded", weight = 5 }
min-nodes = 5

[[rule]]
say = "unsandboxed code only inside a VM"
when = { isolation = "none" }
require = { machine = "vm" }

[[rule]]
when.place = "nodes"
forbid = { diverse = false }
weight = 3
"""


def is_one_of(key, *values):
    return Condition(key=key, values=frozenset(values))


def test_a_whole_policy():
    rules = read_policy(WHOLE, name="policy.toml")
    said = [(rule.where, rule.words, rule.when, rule.then, rule.never, rule.weight) for rule in rules]
    strict = is_one_of("isolation", "namespaces", "bubblewrap", "vm")
    vm = (is_one_of("machine", "vm"),)
    here = (is_one_of("place", "embedded"),)
    apart = (is_one_of("place", "nodes"), is_one_of("diverse", "false"))
    memory = (Bound(key="memory", at_most=True, value=1 << 30),)
    engines = (is_one_of("engine", "docker", "wasmtime"),)
    unsafe = (is_one_of("isolation", "none"),)
    assert said == [
        ("policy.toml:3", "only tier verified", (), (is_one_of("tier", "verified"),), False, None),
        ("policy.toml:4", "only isolation strict or vm", (), (strict,), False, None),
        ("policy.toml:5", "at most 2 nodes", (), (Bound(key="nodes", at_most=True, value=2),), False, None),
        ("policy.toml:6", "at most 1073741824 bytes of memory", (), memory, False, None),
        ("policy.toml:9", "never gpu true", (is_one_of("gpu", "true"),), (), True, None),
        ("policy.toml:10", "never engine docker or wasmtime", engines, (), True, None),
        ("policy.toml:13", "rather place embedded", (), here, False, 5),
        ("policy.toml:14", "rather at least 5 nodes", (), (Bound(key="nodes", at_most=False, value=5),), False, 1),
        ("policy.toml:16", "unsandboxed code only inside a VM", unsafe, vm, False, None),
        ("policy.toml:21", "with place nodes never diverse false", apart, (), True, 3),
    ]
    assert {rule.origin for rule in rules} == {Origin.POLICY}


@pytest.mark.parametrize("text", ["", "# nothing\n", "[require]\n[forbid]\n"])
def test_an_empty_policy_says_nothing(text):
    assert read_policy(text, name="p") == ()


@pytest.mark.parametrize(
    ("text", "line", "problem", "fix"),
    [
        ("[requires]\n", 1, "unknown key 'requires'", "did you mean require?"),
        ("tier = 1\n", 1, "unknown key 'tier'", "known are require, forbid, prefer, rule"),
        ("\n[require]\nisolatoin = 'none'\n", 3, "unknown key 'isolatoin'", "did you mean isolation?"),
        ("[require]\nisolation = 'namespace'\n", 2, "'namespace' is no isolation", "did you mean namespaces?"),
        ("[require]\nplace = 3\n", 2, "3 is no place", "nodes, embedded, serving"),
        ("[require]\nplace = []\n", 2, "place has no value", "name one"),
        ("[require]\nplace = [\n 'nodes',\n 'everywhere',\n]\n", 2, "'everywhere' is no place", "known are"),
        ("[require]\ngpu = 'false'\n", 2, "gpu is true or false", "without quotes"),
        ("[require]\nmax-nodes = '2'\n", 2, "'2' does not do for max-nodes", "max-nodes = 2"),
        ("[require]\nmax-nodes = true\n", 2, "True does not do", "max-nodes = 2"),
        ("[require]\nmax-nodes = 0\n", 2, "0 does not do", "max-nodes = 2"),
        ("[require]\nmax-nodes = 1001\n", 2, "1001 does not do", "max-nodes = 2"),
        ("[require]\nmax-timeout = nan\n", 2, "nan does not do", "in seconds"),
        ("[require]\nmax-memory = 'much'\n", 2, "'much' is not a size", "512Mb"),
        ("[forbid]\nmax-nodes = 2\n", 2, "max-nodes can only be required", "[require]"),
        ("[prefer]\ntier = { weight = 2 }\n", 2, "says no value", "is ="),
        ("[prefer]\ntier = { is = 'verified', weigth = 2 }\n", 2, "unknown key 'weigth'", "did you mean weight?"),
        ("[prefer]\ntier = { is = 'verified', weight = 0 }\n", 2, "weight is no whole number", "weight = 5"),
        ("[prefer]\ntier = { is = 'verified', weight = true }\n", 2, "weight is no whole number", "weight = 5"),
        ("require = 1\n", 1, "require is no table", "[require]"),
        ("[rule]\nwhen = 1\n", 1, "rule is no list", "[[rule]]"),
        ("[[rule]]\nwhen = { gpu = true }\n", 1, "either require or forbid", "one of the two"),
        ("[[rule]]\nrequire = { gpu = true }\nforbid = { gpu = true }\n", 1, "either require or forbid", "one"),
        ("[[rule]]\nforbid = {}\n", 2, "forbids nothing", "isolation"),
        ("[[rule]]\nrequire = {}\n", 2, "requires nothing", "machine"),
        ("[[rule]]\nforbid = { gpu = true }\n[[rule]]\nforbid = { gpo = true }\n", 4, "unknown key 'gpo'", "gpu"),
        ("[[rule]]\nwhen = { max-nodes = 2 }\nforbid = { gpu = true }\n", 2, "can only be required", "[require]"),
        ("[[rule]]\nsay = 'a\\tb'\nforbid = { gpu = true }\n", 2, None, None),
        ('[[rule]]\nsay = "a\\nb"\nforbid = { gpu = true }\n', 2, "say is no short text", "printable"),
        ("[[rule]]\nsay = 3\nforbid = { gpu = true }\n", 2, "say is no short text", "printable"),
        ('[require]\ntier = """\nverified"""\n', 2, "string of several lines", "one line"),
    ],
)
def test_what_is_not_understood_names_its_line(text, line, problem, fix):
    if problem is None:
        assert read_policy(text, name="p")
        return
    with pytest.raises(UserError) as caught:
        read_policy(text, name="p.toml")
    assert caught.value.where == f"p.toml:{line}"
    assert problem in caught.value.problem
    assert fix in caught.value.fix


@pytest.mark.parametrize("text", ["tier", "[require]\ntier = 1\ntier = 2\n", "a = " + "[" * 5000])
def test_what_is_no_toml_is_said(text):
    with pytest.raises(UserError, match="is no TOML"):
        read_policy(text, name="p.toml")


def test_bounds_of_the_file():
    with pytest.raises(UserError, match="larger than 64 KiB"):
        read_policy("#" * (MAX_BYTES + 1), name="p")
    rule = "[[rule]]\nforbid = { gpu = true }\n"
    assert len(read_policy(rule * MAX_RULES, name="p")) == MAX_RULES
    with pytest.raises(UserError, match="has 101 rules"):
        read_policy(rule * (MAX_RULES + 1), name="p")
    preference = f"{rule}weight = 1\n"
    assert len(read_policy(preference * MAX_PREFERENCES + rule, name="p")) == MAX_PREFERENCES + 1
    with pytest.raises(UserError, match="has 33 preferences"):
        read_policy(preference * (MAX_PREFERENCES + 1), name="p")


def test_the_example_of_the_documentation():
    text = (Path(__file__).parents[4] / "docs" / "planner.md").read_text("utf-8")
    example = text.partition("## A policy\n\n")[2].partition("\n\n| key")[0]
    rules = read_policy(textwrap.dedent(example), name="p")
    assert [rule.words for rule in rules] == [
        "only tier verified",
        "only isolation strict or vm",
        "at most 2 nodes",
        "never gpu true",
        "never networking true",
        "rather place embedded",
        "rather diverse true",
        "unsandboxed code only inside a VM",
    ]


def test_every_key_and_value_is_in_the_documentation():
    text = (Path(__file__).parents[4] / "docs" / "planner.md").read_text("utf-8")
    words = {*VALUES, *BOUNDS, *(value for values in VALUES.values() for value in values)}
    words |= {word for groups in GROUPS.values() for word in groups}
    assert [word for word in sorted(words - {"false"}) if f"`{word}`" not in text] == []


def test_lines_of_keys():
    lines = key_lines(WHOLE)
    assert lines["require",] == 2
    assert lines["rule", 0, "when"] == 18
    assert lines["rule", 1, "when", "place"] == 22
    assert line_of(lines, ("rule", 0, "when", "isolation")) == 18
    assert line_of(lines, ("nowhere",)) == 1
