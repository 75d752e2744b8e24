"""The experiment, over functions that are made up: `run` says what reaches the output."""

import hashlib
import itertools

import pytest

from runtime.chaos.bisection import smallest
from runtime.chaos.experiment import Badge, experiment
from runtime.chaos.factors import LAYOUT, factors
from runtime.chaos.trial import ALL, Outcome, Request, Trial

EVERY = factors(runs=3, epoch=0, has_tree=True, engines=("bun",))


def function(depends, requests=()):
    """Return `run` of a function whose output is what `depends` makes of a trial."""

    def run(trial):
        said = "" if trial.is_traced else repr(depends(trial))
        digest = hashlib.sha256(said.encode()).hexdigest()
        return Outcome(
            output=digest, exit_code=0, state_digest=digest, requests=tuple(requests) if trial.is_traced else ()
        )

    return run


def explore(depends, requests=(), chosen=EVERY, **more):
    return experiment(function(depends, requests), chosen, progress=lambda _: None, **more)


def varies(trial, kind, line=None):
    where = dict(trial.vary).get(kind)
    return where == ALL or (where is not None and line is not None and ("f.py", line) in where)


def changed(found):
    return [effect.factors for effect in found.effects if effect.changed]


def test_what_depends_on_nothing_is_pure():
    found = explore(lambda trial: 1)
    assert (found.badge, changed(found)) == (Badge.PURE, [])
    assert [effect.runs for effect in found.effects if effect.factors == ("seed",)] == [3]


@pytest.mark.parametrize(("field", "badge", "factor"), [
    ("seed", Badge.SEEDED, "seed"), ("epoch", Badge.SEEDED, "epoch"), ("hash_seed", Badge.LEAKY, "hash seed"),
    ("entries", Badge.LEAKY, "input order"), ("engine", Badge.LEAKY, "engine bun"), ("padding", Badge.LEAKY, LAYOUT),
])  # fmt: skip
def test_each_factor_is_told_by_its_name(field, badge, factor):
    found = explore(lambda trial: getattr(trial, field))
    assert (found.badge, changed(found)) == (badge, [(factor,)])


def test_seed_and_a_leak_are_leaky():
    assert explore(lambda trial: (trial.seed, varies(trial, "locale"))).badge is Badge.LEAKY


def test_of_two_lines_that_ask_the_one_that_matters_is_named():
    requests = [Request(kind="clock", what="time.time", file="f.py", line=line) for line in (3, 7)]
    found = explore(lambda trial: (trial.epoch, varies(trial, "clock", 7)), requests)
    assert [(one.request.line, one.reached) for one in found.ledger] == [(3, False), (7, True)]
    assert next(effect.lines for effect in found.effects if effect.changed) == ("f.py:7",)


def test_lines_are_not_tried_where_nothing_they_carry_matters():
    seen = []
    request = Request(kind="clock", what="time.time", file="f.py", line=3)
    found = explore(lambda trial: seen.append(trial.vary), [request])
    assert [one.reached for one in found.ledger] == [False]
    assert (("clock", (("f.py", 3),)),) not in seen


def test_what_matters_only_together_is_found_with_nothing_beside_it():
    found = explore(lambda trial: varies(trial, "locale") and varies(trial, "listing order"))
    assert [set(names) for names in changed(found)] == [{"listing order", "locale"}]
    assert found.badge is Badge.LEAKY


def test_where_every_trial_lays_memory_out_anew_only_what_was_asked_for_is_suspect():
    request = Request(kind="hash", what="hash(X object)", file="f.py", line=5)
    found = explore(lambda trial: (trial.padding, trial.vary), [request])
    effects = {effect.factors[0]: effect for effect in found.effects}
    assert effects[LAYOUT].lines == ("f.py:5",)
    assert (effects["hashes"].changed, effects["locale"].changed) == (None, False)
    assert [one.reached for one in found.ledger] == [True]


def test_of_several_suspects_none_is_accused():
    requests = [Request(kind="hash", what="hash(X object)", file="f.py", line=line) for line in (5, 6)]
    found = explore(lambda trial: trial.padding, requests)
    assert [one.reached for one in found.ledger] == [None, None]
    assert next(effect.lines for effect in found.effects if effect.changed) == ("f.py:5", "f.py:6")


def test_what_is_another_the_second_time_is_leaky():
    count = itertools.count()
    found = explore(lambda trial: next(count) if trial == Trial() else 0)
    assert found.badge is Badge.LEAKY
    assert ("repetition",) in changed(found)


def test_shards_that_see_each_other_are_leaky():
    before = []

    def depends(trial):
        before.append(trial.part)
        return (trial.part, before[-2:-1] == ["b"]) if trial.part else 0

    found = explore(depends, parts=("a", "b", "c"))
    assert changed(found) == [("shard order",)]


@pytest.mark.parametrize("wanted", [{0}, {3}, {0, 7}, {2, 3, 5}, set(range(8))])
def test_the_smallest_set_is_found(wanted):
    asked = []

    def differs(some):
        asked.append(some)
        return wanted <= set(some)

    assert set(smallest(tuple(range(8)), differs)) == wanted
    assert len(asked) <= 8 * 8 + 3 * 8
