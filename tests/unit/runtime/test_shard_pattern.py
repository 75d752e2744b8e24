import re

import pytest

from runtime.shard_match import ShardMatcher
from runtime.shard_pattern import parse_pattern
from storage.errors import UserError


def picks(pattern, path, kind="file"):
    """Tell whether a path is picked by itself: nothing above it counts."""
    matcher = ShardMatcher(parse_pattern(pattern))
    state = matcher.start
    for name in path.split("/") if path else []:
        state = matcher.step(state, name)
    return state.picks_directories if kind == "directory" else state.picks_files


PICKED = [
    ("/", "", "directory"),
    ("/*", "a", "file"),
    ("/*", "a", "directory"),
    ("/*", ".hidden", "file"),
    ("/*/", "a", "directory"),
    ("/*/*", "a/b", "file"),
    ("/a", "a", "file"),
    ("/**", "a", "file"),
    ("/**", "a/b/.c", "file"),
    ("/**/", "a", "directory"),
    ("/**/*.csv", "x.csv", "file"),
    ("/**/*.csv", "a/b/x.csv", "file"),
    ("/**/*.csv", ".csv", "file"),
    ("/**/part/", "a/part", "directory"),
    ("/a/**/b", "a/b", "file"),
    ("/a/**/b", "a/x/y/b", "file"),
    ("/**/a/**/b", "a/a/b", "file"),
    ("/2022/01/*.csv", "2022/01/x.csv", "file"),
    ("/{a,b}/c", "b/c", "file"),
    ("/{a,b/c}", "b/c", "file"),
    ("{/a,/b}", "b", "file"),
    ("/x{,.csv}", "x", "file"),
    ("/x{1,{2,3}}", "x3", "file"),
    ("/a,b", "a,b", "file"),
    ("/a{b,c}d,e", "acd,e", "file"),
    ("/?", "é", "file"),
    ("/?", "𝄞", "file"),
    ("/?", "\n", "file"),
    ("/*", "a\nb", "file"),
    ("/[a-c]", "b", "file"),
    ("/[!a-c]", "d", "file"),
    ("/[^a-c]", "\n", "file"),
    ("/[a!^]", "!", "file"),
    ("/[a-]", "-", "file"),
    ("/[-a]", "-", "file"),
    (r"/[\]\\]", "]", "file"),
    (r"/[\]\\]", "\\", "file"),
    ("/[{,}]", ",", "file"),
    ("/[*?.]", "*", "file"),
    ("/[&&~~||]", "&", "file"),
    (r"/\*", "*", "file"),
    (r"/\[a\]", "[a]", "file"),
    (r"/\{a,b\}", "{a,b}", "file"),
    (r"/{a\,b,c}", "a,b", "file"),
    (r"/\.\*", ".*", "file"),
    ("/a.c", "a.c", "file"),
    ("/a+(b|c)$", "a+(b|c)$", "file"),
    ("/*a*b*", "xaybz", "file"),
    ("/*a*b*", "abca", "file"),
    ("/*ab", "aab", "file"),
    ("/a*a", "aa", "file"),
]
NOT_PICKED = [
    ("/", "a", "file"),
    ("/*", "a/b", "file"),
    ("/*/", "a", "file"),
    ("/**", "a", "directory"),
    ("/**/*.csv", "x.csv", "directory"),
    ("/**/", "a", "file"),
    ("/*.csv", "a.csv.gz", "file"),
    ("/*.csv", "A.CSV", "file"),
    ("/*.csv", "a.csv\n", "file"),
    ("/a", "a\n", "file"),
    ("/?", "", "directory"),
    ("/?", "ab", "file"),
    ("/?", "e\u0301", "file"),
    ("/\u00e9", "e\u0301", "file"),
    ("/[!.]*", ".hidden", "file"),
    ("/[a-c]", "B", "file"),
    ("/a.c", "abc", "file"),
    (r"/\*", "a", "file"),
    ("/a*a", "a", "file"),
    ("/{a,b}", "a,b", "file"),
    ("/a/**/b", "b", "file"),
]


@pytest.mark.parametrize(("pattern", "path", "kind"), PICKED)
def test_what_a_pattern_picks(pattern, path, kind):
    assert picks(pattern, path, kind)


@pytest.mark.parametrize(("pattern", "path", "kind"), NOT_PICKED)
def test_what_a_pattern_leaves(pattern, path, kind):
    assert not picks(pattern, path, kind)


REFUSED = [
    ("", "is empty", None),
    ("a", "does not begin with '/'", 1),
    ("*.csv", "does not begin with '/'", 1),
    ("{/a,b}", "does not begin with '/'", 5),
    ("{,/b}", "is empty after its braces", None),
    ("//", "has an empty name between two slashes", 2),
    ("/a//b", "has an empty name between two slashes", 4),
    ("/{,a}/b", "has an empty name between two slashes", 6),
    ("/a**", "has '**' beside something else", 4),
    ("/**a", "has '**' beside something else", 3),
    ("/***", "has '**' beside something else", 3),
    ("/a/./b", "names '.'", 4),
    ("/..", "names '..'", 2),
    (r"/\.", "names '.'", 2),
    ("/a\\", "ends in a backslash", 3),
    (r"/a\/b", "escapes '/'", 3),
    ("/[a", "has a '[' without its ']'", 2),
    ("/[", "has a '[' without its ']'", 2),
    ("/[a-", "has a '[' without its ']'", 2),
    ("/[]", "has a set of no characters", 2),
    ("/[!]", "has a set of no characters", 2),
    ("/[b-a]", "has a range that ends before it begins: b-a", 3),
    ("/[a/b]", "has '/' in a set", 4),
    ("/[[:alpha:]]", "has '[' in a set", 3),
    ("/{a,b", "has a '{' without its '}'", 2),
    ("/{a,{b,c}", "has a '{' without its '}'", 2),
    ("/a}", "has a '}' without its '{'", 3),
    ("/{a,b}}", "has a '}' without its '{'", 7),
    ("/{a}", "has braces around one alternative", 2),
    ("/{}", "has braces around one alternative", 2),
    ("/a\0", "has a character that no name can hold", 3),
    ("/\udc80", "has a character that no name can hold", 2),
    ("/" + "{a,b}" * 9, "stands for more than 256 patterns", 2),
    ("/" + "{a," * 17 + "b" + "}" * 17, "has more than 16 braces inside one another", 50),
    ("/a" * 129, "is more than 128 names deep", 258),
    ("/" + "a" * 1024, "has 1025 characters, at most 1024 are read", None),
]


@pytest.mark.parametrize(("pattern", "problem", "character"), REFUSED)
def test_what_is_no_pattern_is_told_with_its_place(pattern, problem, character):
    with pytest.raises(UserError) as caught:
        parse_pattern(pattern)
    assert caught.value.problem == problem
    place = re.search(r", character (\d+)$", caught.value.where)
    assert (None if place is None else int(place[1])) == character
    assert caught.value.where.startswith("--sharding-glob-pattern")
    assert caught.value.fix


def test_braces_are_counted_before_they_are_written_out():
    """Two to the two hundredth patterns: writing them out would not end."""
    with pytest.raises(UserError, match="more than 256"):
        parse_pattern("/" + "{a,b}" * 200)


def test_the_largest_number_of_alternatives_is_allowed():
    assert len(parse_pattern("/" + "{a,b}" * 8).alternatives) == 256


@pytest.mark.parametrize(
    ("pattern", "path", "names"),
    [
        ("/2022/01/*.csv", "", ("2022",)),
        ("/2022/01/*.csv", "2022", ("01",)),
        ("/2022/01/*.csv", "2022/01", None),
        ("/{b,é,a}/x", "", ("a", "b", "é")),
        ("/a/**/b", "", ("a",)),
        ("/a/**/b", "a", None),
        ("/*", "", None),
        ("/a", "b", ()),
    ],
)
def test_only_names_that_can_lead_to_a_pick_are_asked_for(pattern, path, names):
    matcher = ShardMatcher(parse_pattern(pattern))
    state = matcher.start
    for name in path.split("/") if path else []:
        state = matcher.step(state, name)
    assert state.names == names


@pytest.mark.parametrize("path", ["2023", "2022/02", "2022/01/x.csv"])
def test_where_nothing_can_be_picked_the_way_ends(path):
    matcher = ShardMatcher(parse_pattern("/2022/01/*.csv"))
    state = matcher.start
    for name in path.split("/"):
        state = matcher.step(state, name)
    assert not state.goes_on


HOSTILE = [
    ("/" + "*a" * 500, "a" * 100_000 + "b"),
    ("/" + "*a*" + "?" * 500 + "b", "a" * 20_000),
    ("/" + "*" + "a" * 1000 + "b", "a" * 20_000),
    ("/" + "*[ab]" * 200, "ab" * 10_000 + "c"),
    ("/" + "*a*b" * 250 + "c", "ab" * 20_000),
]


@pytest.mark.parametrize(("pattern", "name"), HOSTILE, ids=range(len(HOSTILE)))
def test_no_pattern_takes_for_ever(pattern, name):
    """With backtracking none of these would end in a lifetime; as it is, they take milliseconds."""
    matcher = ShardMatcher(parse_pattern(pattern))
    assert not matcher.step(matcher.start, name).picks_files


def test_many_places_of_any_depth_are_one_state_at_a_time():
    matcher = ShardMatcher(parse_pattern("/" + "**/a/" * 60 + "b"))
    state = matcher.start
    for _ in range(128):
        state = matcher.step(state, "a")
    assert matcher.step(state, "b").picks_files
    assert not matcher.step(state, "c").picks_files
