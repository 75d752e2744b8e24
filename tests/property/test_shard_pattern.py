"""Sharding patterns against a slow reference: braces written out, every path compared by recursion."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.shard_match import ShardMatcher
from runtime.shard_pattern import parse_pattern
from storage.errors import UserError

deterministic = settings(deadline=None, derandomize=True, max_examples=400)

ALPHABET = "aab.-é]{,"
"""Of patterns and of names; few, so that they meet."""

characters = st.sampled_from(ALPHABET).map(lambda char: ("char", char))
ranges = st.tuples(st.sampled_from(ALPHABET), st.sampled_from(ALPHABET)).map(sorted).map(tuple)
sets = st.tuples(st.just("set"), st.booleans(), st.lists(ranges, min_size=1, max_size=3))
wildcards = st.sampled_from([("one",), ("star",)])
leaves = st.one_of(characters, characters, sets, wildcards)
deep = st.just([("deep",)])


def joined(segments):
    """Return segments as one sequence, with slashes between them."""
    return [item for segment in segments for item in [("slash",), *segment]][1:]


def ways_of(parts):
    return st.tuples(st.just("brace"), st.lists(parts, min_size=2, max_size=3))


flat = st.lists(st.one_of(deep, st.lists(leaves, min_size=1, max_size=3)), max_size=3).map(joined)
nested = st.recursive(flat, lambda inner: st.lists(ways_of(inner) | leaves, min_size=1, max_size=3), max_leaves=6)
segments = st.one_of(
    deep,
    st.lists(leaves, min_size=1, max_size=4),
    st.lists(leaves | ways_of(nested), min_size=1, max_size=3),
    st.just([]),
)
items = st.lists(segments, max_size=4).map(joined)

names = st.text(ALPHABET, min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
trees = st.recursive(st.none(), lambda inner: st.dictionaries(names, inner, max_size=4), max_leaves=12).filter(
    lambda tree: tree is not None
)


def written(item, depth=0):
    """Return an item of a pattern as text; a comma is escaped inside braces only, where it must be."""
    kind, *rest = item
    if kind == "char":
        return "\\" + rest[0] if rest[0] in "]{" or (rest[0] == "," and depth) else rest[0]
    if kind == "set":
        body = "".join("\\" + low if low == high else f"\\{low}-\\{high}" for low, high in rest[1])
        return f"[{'!' if rest[0] else ''}{body}]"
    if kind == "brace":
        return "{" + ",".join("".join(written(x, depth + 1) for x in way) for way in rest[0]) + "}"
    return {"one": "?", "star": "*", "slash": "/", "deep": "**"}[kind]


def without_braces(sequence):
    if not sequence:
        return [[]]
    (kind, *rest), *others = sequence
    heads = [[(kind, *rest)]] if kind != "brace" else [way for inner in rest[0] for way in without_braces(inner)]
    return [head + tail for head in heads for tail in without_braces(others)]


def in_segments(sequence):
    segments = [[]]
    for item in sequence:
        if item[0] == "slash":
            segments.append([])
        elif item[0] == "deep":
            segments[-1] += [("star",), ("star",)]
        else:
            segments[-1].append(item)
    return segments


def name_fits(segment, name):
    if not segment:
        return not name
    (kind, *rest), *others = segment
    if kind == "star":
        return any(name_fits(others, name[skipped:]) for skipped in range(len(name) + 1))
    if not name:
        return False
    here = {
        "one": lambda: True,
        "char": lambda: name[0] == rest[0],
        "set": lambda: any(low <= name[0] <= high for low, high in rest[1]) != rest[0],
    }[kind]()
    return here and name_fits(others, name[1:])


def path_fits(segments, path):
    if not segments:
        return not path
    first, *others = segments
    if first == [("star",), ("star",)]:
        # At the end, `**` is one name or more.
        return any(path_fits(others or [[("star",)]], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and name_fits(first, path[0]) and path_fits(others, path[1:])


def fits(segments, path, is_directory):
    only_directories = len(segments) > 1 and not segments[-1]
    segments = segments if segments[-1] else segments[:-1]
    any_depth = [("star",), ("star",)] in segments
    kind_fits = is_directory if only_directories else not (any_depth and is_directory)
    return kind_fits and path_fits(segments, path)


def paths(tree, prefix=()):
    yield prefix, tree is not None
    for name, below in (tree or {}).items():
        yield from paths(below, (*prefix, name))


def reference_picks(ways, tree):
    picked = {path for path, is_dir in paths(tree) if any(fits(way, path, is_dir) for way in ways)}
    return {path for path in picked if not any(path[:length] in picked for length in range(len(path)))}


def picks(pattern, tree):
    matcher = ShardMatcher(pattern)

    def below(state, tree, path):
        if state.picks_directories if tree is not None else state.picks_files:
            yield path
            return
        for name, child in (tree or {}).items() if state.goes_on else ():
            if state.names is None or name in state.names:
                yield from below(matcher.step(state, name), child, (*path, name))

    return set(below(matcher.start, tree, ()))


@deterministic
@given(items, trees)
def test_picks_are_those_of_the_reference(sequence, tree):
    text = "/" + "".join(map(written, sequence))
    ways = [in_segments(way) for way in without_braces(sequence)]
    pattern = parsed(text)
    assert (pattern is None) == is_refused(ways)
    if pattern is not None:
        assert picks(pattern, tree) == reference_picks(ways, tree)


def parsed(text):
    """Return the pattern, None for one that is refused in words."""
    try:
        return parse_pattern(text)
    except UserError as error:
        if not (error.where and error.fix):
            raise
        return None


def is_refused(ways):
    """Tell whether a pattern that is well formed otherwise breaks one of the rules about whole names."""
    for segments in ways:
        for number, segment in enumerate(segments):
            kinds = [item[0] for item in segment]
            doubled = any(a == b == "star" for a, b in pairwise(kinds))
            if doubled and kinds != ["star", "star"]:
                return True
            if set(kinds) == {"char"} and "".join(item[1] for item in segment) in (".", ".."):
                return True
            if not segment and number < len(segments) - 1:
                return True
    return False


@deterministic
@given(st.text("/*?[]!^{},\\a-é\0", max_size=12))
def test_any_text_is_a_pattern_or_refused_in_words(text):
    pattern = parsed(text)
    if pattern is not None:
        assert picks(pattern, {"a": {"a": None, "é": {}}, "-": None}) is not None
