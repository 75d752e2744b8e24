"""The planner against brute force: every stack of a small universe is judged, and the best one must be the answer.

What is compared with is written a second time, without clauses: `is_sound`, `holds` and `simplicity` on whole stacks.
"""

from dataclasses import replace
from functools import cache
from itertools import combinations, product

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runtime.planner.answer import Chosen, Clash
from runtime.planner.choice import alternatives, choose
from runtime.planner.facts import EngineFacts, MachineFacts
from runtime.planner.question import Question, is_sound
from runtime.planner.rules import Bound, Condition, Origin, Rule, holds
from runtime.planner.stack import (
    ENGINES_OF,
    ISOLATIONS_OF,
    EngineName,
    Isolation,
    Kind,
    Machine,
    Part,
    Place,
    Stack,
    Tier,
    simplicity,
)
from runtime.planner.wishes import Wish, Wishes, plain_stack, run_question

MOST = 3
"""Numbers go from 1 to this."""
VALUES = {
    "tier": list(Tier),
    "engine": [engine for engines in ENGINES_OF.values() for engine in engines],
    "isolation": list(Isolation),
    "place": list(Place),
    "machine": list(Machine),
    "diverse": ["true", "false"],
    "gpu": ["true", "false"],
    "networking": ["true", "false"],
}
keys = st.sampled_from([*VALUES, "engine", "isolation", "place", "place", "diverse", "diverse"])


@st.composite
def conditions(draw):
    key = draw(keys)
    values = draw(st.lists(st.sampled_from(VALUES[key]), min_size=1, max_size=5))
    return Condition(key=key, values=frozenset(map(str, values)))


@st.composite
def bounds(draw):
    key = draw(st.sampled_from(["nodes", "confidence"]))
    return Bound(key=key, at_most=draw(st.booleans()), value=draw(st.integers(1, MOST)))


@st.composite
def rules(draw):
    never = draw(st.sampled_from([False, False, True]))
    when = draw(st.lists(conditions(), min_size=int(never), max_size=2))
    then = [] if never else draw(st.lists(conditions() | bounds(), min_size=1, max_size=2))
    return Rule(
        words="a rule",
        origin=draw(st.sampled_from(Origin)),
        where="somewhere",
        when=tuple(when),
        then=tuple(then),
        never=never,
        weight=draw(st.none() | st.integers(1, 9)),
    )


@st.composite
def questions(draw):
    kind = draw(st.sampled_from([Kind.PYTHON, Kind.PYTHON, Kind.DOCKER]))
    serves = draw(st.sampled_from([False, False, False, True]))
    wishes = {} if serves else {"nodes": draw(st.integers(1, MOST)), "confidence": draw(st.integers(1, MOST))}
    return Question(
        kind=kind,
        places=(Place.SERVING,) if serves else (Place.NODES, Place.EMBEDDED),
        machine=draw(st.sampled_from(Machine)),
        wishes=wishes,
        rules=tuple(draw(st.lists(rules(), max_size=7))),
    )


@cache
def universe(kind, places, names):
    """Return every sound stack, with every number from 1 to MOST and not only those that the rules name."""
    engines = ENGINES_OF[kind]
    question = Question(kind=kind, places=places, machine=Machine.BARE, wishes=dict.fromkeys(names, 1), rules=())
    ways = [[None, *(Part(engine=engine, isolation=one) for one in ISOLATIONS_OF[engine])] for engine in engines]
    counts = [dict(zip(names, values, strict=True)) for values in product(range(1, MOST + 1), repeat=len(names))]
    made = (
        Stack(kind=kind, place=place, parts=tuple(filter(None, parts)), diverse=diverse, gpu=gpu,
              networking=networking, numbers=counted)
        for place, parts, diverse, gpu, networking, counted in product(
            Place, product(*ways), (False, True), (False, True), (False, True), counts
        )
    )  # fmt: skip
    return [stack for stack in made if is_sound(stack, question)]


def masks(question, stacks, machine):
    """Return, for each stack, the numbers of the rules that it satisfies on such a machine."""
    return [
        frozenset(number for number, rule in enumerate(question.every_rule) if holds(rule, stack, machine))
        for stack in stacks
    ]


def speaks_of_machine(question):
    conditions = [one for rule in question.rules for one in (*rule.when, *rule.then) if isinstance(one, Condition)]
    return any(condition.key == "machine" for condition in conditions)


def smallest_clash(question, satisfied):
    """Return the fewest rules without a weight that no stack satisfies together, and of several sets the earliest."""
    needed = [number for number, rule in enumerate(question.every_rule) if rule.weight is None]
    for size in range(len(needed) + 1):
        clashing = [
            chosen
            for chosen in combinations(needed, size)
            if not any(satisfies.issuperset(chosen) for satisfies in satisfied)
        ]
        if clashing:
            return tuple(question.every_rule[number] for number in min(clashing, key=lambda one: one[::-1]))
    return None


@settings(deadline=None, max_examples=100)
@given(questions())
def test_the_answer_is_the_best_of_all_stacks_or_the_smallest_clash(question):
    stacks = universe(question.kind, question.places, tuple(question.wishes))
    satisfied = masks(question, stacks, question.machine)
    answer = choose(question)
    # What this machine is, is one of the rules that may clash: that it were another is thought of too.
    others = set(Machine) - {question.machine} if speaks_of_machine(question) else ()
    thinkable = [*satisfied, *(mask for machine in others for mask in masks(question, stacks, machine))]
    clash = smallest_clash(question, thinkable)
    if clash is not None:
        assert answer == Clash(rules=clash)
        return
    needed = {number for number, rule in enumerate(question.every_rule) if rule.weight is None}

    def key(at):
        cost = sum(
            rule.weight or 0 for number, rule in enumerate(question.every_rule) if number not in satisfied[at]
        )  # fmt: skip
        return cost, simplicity(stacks[at], question.wishes)

    possible = [at for at in range(len(stacks)) if needed <= satisfied[at]]
    best = min(possible, key=key)
    assert isinstance(answer, Chosen)
    assert (answer.stack, answer.cost) == (stacks[best], key(best)[0])
    assert answer.given_up == tuple(
        rule for number, rule in enumerate(question.every_rule) if number not in satisfied[best]
    )


@st.composite
def machines(draw):
    """A machine that has Node: the best level that starts it, and all that need less."""
    jails = [Isolation.NAMESPACES, Isolation.BUBBLEWRAP, Isolation.LANDLOCK, Isolation.SECCOMP, Isolation.NONE]
    node, bun = (tuple(jails[draw(st.integers(0, 4)) :]) for _ in range(2))
    absent = "Bun is not installed" if draw(st.booleans()) else ""
    return MachineFacts(
        machine=draw(st.sampled_from(Machine)),
        engines=(
            EngineFacts(engine=EngineName.PYODIDE_NODE, isolations=node),
            EngineFacts(engine=EngineName.PYODIDE_BUN, isolations=bun, absent=absent),
            EngineFacts(engine=EngineName.WASMTIME, absent="not built"),
            EngineFacts(engine=EngineName.DOCKER, absent="not built"),
        ),
    )


def wish(values):
    return st.builds(Wish, value=values, said=st.booleans())


wishes = st.builds(
    Wishes,
    nodes=wish(st.integers(1, 9)),
    confidence=wish(st.integers(1, 4)),
    trust=st.sampled_from(["", "", "--trust 0.9"]),
    timeout=wish(st.integers(1, 9)),
    memory=wish(st.integers(1, 9)),
    diverse=st.sampled_from([False, False, False, True]),
    strict=st.sampled_from([False, False, False, True]),
    local=st.booleans(),
    needs_node=st.sampled_from([(), (), (), ("--no-wait",)]),
    has_node=st.booleans(),
)


@settings(deadline=None, max_examples=150)
@given(wishes, machines())
def test_what_needs_no_solver_is_what_the_solver_says(asked, machine):
    stack = plain_stack(asked)
    assume(stack is not None)
    answer = choose(run_question(asked, (), machine))
    best = machine.engines[0].isolations[0]
    known = tuple(replace(part, isolation=best) for part in stack.parts)
    assert answer == Chosen(stack=replace(stack, parts=known), given_up=())


@settings(deadline=None, max_examples=25)
@given(questions())
def test_an_alternative_costs_no_less_or_clashes_with_what_is_named(question):
    answer = choose(question)
    assume(isinstance(answer, Chosen))
    for other in alternatives(question, answer.stack):
        if not other.clash:
            assert other.cost >= answer.cost
            continue
        # Without all of the rules that it clashes with, it could be had.
        freed = replace(question, rules=tuple(rule for rule in question.rules if rule not in other.clash))
        assert set(other.clash) <= set(question.every_rule)
        rest = [one for one in alternatives(freed, answer.stack) if (one.key, one.value) == (other.key, other.value)]
        assert [one.clash for one in rest] != [other.clash]
