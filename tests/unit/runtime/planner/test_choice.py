"""What the planner answers, in cases that a person would ask for; all others are in tests/property/test_planner.py."""

from dataclasses import replace

import pytest

from runtime.planner.answer import Chosen, Clash
from runtime.planner.choice import alternatives, choose
from runtime.planner.facts import EngineFacts, MachineFacts, machine_rules
from runtime.planner.policy import read_policy
from runtime.planner.question import Question
from runtime.planner.rules import Bound, Condition, Origin, Rule, upper_bounds
from runtime.planner.stack import EngineName, Isolation, Kind, Machine, Part, Place
from runtime.planner.wishes import Serving, Wish, Wishes, run_question, serve_question

JAILS = (Isolation.NAMESPACES, Isolation.BUBBLEWRAP, Isolation.LANDLOCK, Isolation.SECCOMP, Isolation.NONE)
NUMBERS = {"nodes": 3, "confidence": 2, "timeout": 1800, "memory": 1 << 29}


def machine(*, node=JAILS, bun=None, docker=(), kind=Machine.BARE):
    return MachineFacts(
        machine=kind,
        engines=(
            EngineFacts(engine=EngineName.PYODIDE_NODE, isolations=node),
            EngineFacts(
                engine=EngineName.PYODIDE_BUN, isolations=bun or (), absent="" if bun else "Bun is not installed"
            ),
            EngineFacts(engine=EngineName.WASMTIME, absent="not built"),
            EngineFacts(engine=EngineName.DOCKER, isolations=docker, absent="" if docker else "not built"),
        ),
    )


def flags(**said):
    wishes = {name: Wish(value=said.pop(name, value), said=name in said) for name, value in NUMBERS.items()}
    return Wishes(**wishes, **said)


def ask(policy="", facts=None, **said):
    known = {name: Wish(value=said.pop(name), said=True) for name in NUMBERS if name in said}
    wishes = replace(flags(), **known, **said)
    return choose(run_question(wishes, read_policy(policy, name="p"), facts or machine()))


def clash(*arguments, **named):
    answer = ask(*arguments, **named)
    assert isinstance(answer, Clash)
    return [rule.where for rule in answer.rules]


def part(isolation, engine=EngineName.PYODIDE_NODE):
    return Part(engine=engine, isolation=isolation)


def test_without_a_word_it_is_node_in_the_best_jail():
    stack = ask(facts=machine(node=JAILS[2:])).stack
    assert (stack.place, stack.parts) == (Place.EMBEDDED, (part(Isolation.LANDLOCK),))
    assert stack.numbers == NUMBERS


def test_a_node_that_runs_is_used_and_a_policy_may_say_otherwise():
    assert ask(has_node=True).stack.place is Place.NODES
    assert ask(has_node=True).stack.parts == ()
    assert ask('[require]\nplace = "embedded"\n', has_node=True).stack.place is Place.EMBEDDED
    assert ask('[prefer]\nplace = "embedded"\n', has_node=True).stack.place is Place.EMBEDDED
    assert clash('[require]\nplace = "embedded"\n', has_node=True, needs_node=("--no-wait",)) == ["--no-wait", "p:2"]


def test_unsandboxed_code_only_inside_a_vm():
    policy = '[[rule]]\nwhen = { isolation = "none" }\nrequire = { machine = "vm" }\n'
    bare, virtual = machine(node=(Isolation.NONE,)), machine(node=(Isolation.NONE,), kind=Machine.VM)
    assert ask(policy, virtual).stack.parts == (part(Isolation.NONE),)
    found = ask(policy, bare)
    assert [rule.words for rule in found.rules] == [
        "with isolation none only machine vm",
        "here pyodide-node runs under none, and nothing else",
        "Bun is not installed",
        "no node runs here",
        "this machine is no virtual one",
    ]
    assert not found.is_of_request
    assert ask(policy, bare, has_node=True).stack.place is Place.NODES
    # Who cannot tell is not in one.
    assert isinstance(ask(policy, machine(node=(Isolation.NONE,), kind=Machine.UNKNOWN)), Clash)


def test_no_gpu_network_off_verified_alone():
    policy = '[require]\ntier = "verified"\n[forbid]\ngpu = true\nnetworking = true\n'
    assert isinstance(ask(policy), Chosen)
    docker = run_question(flags(kind=Kind.DOCKER), read_policy(policy, name="p"), machine(docker=(Isolation.CONTAINER,)))  # fmt: skip  # noqa: E501
    assert [rule.where for rule in choose(docker).rules] == ["p:2"]
    free = choose(replace(docker, rules=docker.rules[-4:])).stack
    assert (free.parts, free.gpu, free.networking) == ((part(Isolation.CONTAINER, EngineName.DOCKER),), False, False)
    gpu = read_policy("[require]\ngpu = true\n[forbid]\ngpu = true\n", name="p")
    wanted = choose(replace(docker, rules=(*docker.rules[-4:], gpu[0])))
    assert wanted.stack.gpu
    assert [rule.where for rule in choose(replace(docker, rules=(*docker.rules[-4:], *gpu))).rules] == ["p:2", "p:4"]


def test_numbers_that_nobody_said_give_way_and_others_do_not():
    assert ask("[require]\nmax-nodes = 2\n").stack.numbers["nodes"] == 2
    assert ask("[require]\nmin-nodes = 5\n").stack.numbers["nodes"] == 5
    assert ask("[require]\nmin-confidence = 5\n").stack.numbers == NUMBERS | {"nodes": 5, "confidence": 5}
    assert ask("[require]\nmax-timeout = 60\n").stack.numbers["timeout"] == 60
    assert clash("[require]\nmax-nodes = 2\n", nodes=5) == ["--concurrency", "p:2"]
    assert clash("[require]\nmax-timeout = 60\n", timeout=61) == ["--timeout", "p:2"]
    # A single node is believed only if that is said, and the memory is part of the task.
    assert clash("[require]\nmax-nodes = 1\n") == ["no --confidence", "p:2"]
    assert ask("[require]\nmax-nodes = 1\n", confidence=1).stack.numbers["nodes"] == 1
    assert clash('[require]\nmax-memory = "256Mb"\n') == ["no --memory", "p:2"]


def test_diverse_nodes_use_both_engines():
    both = machine(bun=JAILS[1:])
    stack = ask(facts=both, diverse=True).stack
    assert stack.parts == (part(Isolation.NAMESPACES), part(Isolation.BUBBLEWRAP, EngineName.PYODIDE_BUN))
    assert ask("[require]\ndiverse = true\n", both).stack == stack
    assert clash(diverse=True) == ["--diverse", "this machine", "this machine"]
    answer = ask(facts=both, diverse=True, nodes=1, confidence=1)
    assert ([rule.where for rule in answer.rules], answer.is_of_request) == (["--diverse", "--concurrency"], True)


def test_strict_is_about_this_machine_and_does_not_take_the_job_from_a_node_unasked():
    assert ask(strict=True).stack.parts == (part(Isolation.NAMESPACES),)
    answer = ask(strict=True, has_node=True)
    assert ([rule.where for rule in answer.rules], answer.is_of_request) == (["--isolation strict", "no --local"], True)
    assert ask(strict=True, has_node=True, local=True).stack.place is Place.EMBEDDED
    weak = ask(facts=machine(node=JAILS[3:]), strict=True)
    assert [rule.words for rule in weak.rules] == [
        "only on this machine, in a strict jail",
        "here pyodide-node runs under seccomp, none, and nothing else",
        "Bun is not installed",
    ]
    strong = ask(facts=machine(node=JAILS[3:], bun=JAILS), strict=True)
    assert strong.stack.parts == (part(Isolation.NAMESPACES, EngineName.PYODIDE_BUN),)


def test_preferences_are_kept_by_weight():
    policy = """
[prefer]
engine = { is = "pyodide-bun", weight = 2 }
isolation = { is = ["seccomp"], weight = 3 }
[[rule]]
when = { engine = "pyodide-bun" }
forbid = { isolation = "seccomp" }
"""
    answer = ask(policy, machine(bun=JAILS))
    assert answer.stack.parts == (part(Isolation.SECCOMP),)
    assert ([rule.where for rule in answer.given_up], answer.cost) == (["p:3"], 2)
    answer = ask(policy.replace("weight = 2", "weight = 4"), machine(bun=JAILS))
    assert answer.stack.parts == (part(Isolation.NAMESPACES, EngineName.PYODIDE_BUN),)
    assert answer.cost == 3


def test_what_is_simpler_goes_by_the_documented_order():
    """An engine that comes first goes before any isolation, and the smallest preference before both."""
    weak = '[[rule]]\nwhen = { engine = "pyodide-node" }\nrequire = { isolation = "none" }\n'
    assert ask(weak, machine(bun=JAILS)).stack.parts == (part(Isolation.NONE),)
    rather = weak + '[[rule]]\nforbid = { isolation = "none" }\nweight = 1\n'
    assert ask(rather, machine(bun=JAILS)).stack.parts == (part(Isolation.NAMESPACES, EngineName.PYODIDE_BUN),)


def test_alternatives_say_why_they_are_none():
    policy = '[require]\nisolation = "strict"\n[prefer]\nisolation = { is = "namespaces", weight = 4 }\n'
    question = run_question(flags(), read_policy(policy, name="p"), machine())
    found = {
        f"{one.key} {one.value}": ([rule.where for rule in one.clash], one.cost)
        for one in alternatives(question, choose(question).stack)
    }
    assert found == {
        "place nodes": (["this machine"], 0),
        "engine pyodide-bun": (["this machine"], 0),
        "isolation bubblewrap for pyodide-node": ([], 4),
        "isolation landlock+seccomp for pyodide-node": (["p:2"], 0),
        "isolation seccomp for pyodide-node": (["p:2"], 0),
        "isolation vm for pyodide-node": (["p:2"], 0),
        "isolation none for pyodide-node": (["p:2"], 0),
    }


def test_a_node_that_serves():
    text = '[require]\nengine = "pyodide-bun"\nmax-memory = "1Gb"\nmax-timeout = 60\nmin-nodes = 5\ndiverse = true\n'
    policy = read_policy(text, name="p")
    question = serve_question(Serving(), policy, machine(bun=JAILS))
    stack = choose(question).stack
    assert (stack.place, stack.parts) == (Place.SERVING, (part(Isolation.NAMESPACES, EngineName.PYODIDE_BUN),))
    bounds = upper_bounds(question.rules, stack, question.machine)
    assert bounds == {"memory": 1 << 30, "timeout": 60}
    said = choose(serve_question(Serving(engine=EngineName.PYODIDE_NODE), policy, machine(bun=JAILS)))
    assert [rule.where for rule in said.rules] == ["--engine", "p:2"]
    refused = choose(serve_question(Serving(), read_policy('[forbid]\nplace = "serving"\n', name="p"), machine()))
    assert [rule.where for rule in refused.rules] == ["p:2"]


def test_the_least_of_several_bounds_counts():
    others = "".join(f"[[rule]]\nrequire = {{ max-timeout = {most} }}\n" for most in (9, 70))
    text = f"[require]\nmax-timeout = 60\n{others}"
    question = serve_question(Serving(), read_policy(text, name="p"), machine())
    assert upper_bounds(question.rules, choose(question).stack, question.machine) == {"timeout": 9}


def test_a_bound_holds_where_its_rule_applies():
    text = '[[rule]]\nwhen = { isolation = "none" }\nrequire = { max-timeout = 10 }\n[prefer]\nmax-memory = 5\n'
    for isolation, bounds in ((Isolation.NONE, {"timeout": 10}), (Isolation.SECCOMP, {})):
        question = serve_question(Serving(), read_policy(text, name="p"), machine(node=(isolation,)))
        assert upper_bounds(question.rules, choose(question).stack, question.machine) == bounds


def test_a_smaller_clash_goes_before_an_earlier_one():
    here, there = Condition(key="place", values=frozenset({"nodes"})), Condition(key="tier", values=frozenset({"x"}))
    away = Condition(key="place", values=frozenset({"embedded"}))
    rules = tuple(
        Rule(words=name, origin=Origin.REQUEST, where=name, then=(demand,))
        for name, demand in (("a", here), ("b", away), ("c", here), ("d", there))
    )
    question = Question(
        kind=Kind.PYTHON, places=(Place.NODES, Place.EMBEDDED), machine=Machine.BARE, wishes={}, rules=rules
    )
    assert [rule.where for rule in choose(question).rules] == ["d"]


def test_of_two_numbers_that_are_as_close_the_smaller_one_is_taken():
    answer = ask("[prefer]\nmax-nodes = 2\nmin-nodes = 4\n")
    assert (answer.stack.numbers["nodes"], answer.cost) == (2, 1)


def test_of_two_clashes_as_small_the_earlier_one_is_told():
    one = Condition(key="place", values=frozenset({"nodes"}))
    other = Condition(key="place", values=frozenset({"embedded"}))
    rules = tuple(
        Rule(words=name, origin=Origin.REQUEST, where=name, then=(demand,))
        for name, demand in (("a", one), ("b", other), ("c", one), ("d", other))
    )
    question = Question(
        kind=Kind.PYTHON, places=(Place.NODES, Place.EMBEDDED), machine=Machine.BARE, wishes={}, rules=rules
    )
    assert [rule.where for rule in choose(question).rules] == ["a", "b"]
    assert choose(question) == choose(question)


def test_a_rule_says_something():
    with pytest.raises(ValueError, match="demands something or forbids"):
        Rule(words="", origin=Origin.POLICY, where="")
    with pytest.raises(ValueError, match="demands something or forbids"):
        Rule(words="", origin=Origin.POLICY, where="", never=True)
    bound = Bound(key="nodes", at_most=True, value=1)
    with pytest.raises(ValueError, match="demands something or forbids"):
        Rule(words="", origin=Origin.POLICY, where="", then=(bound,), never=True)


def test_what_the_machine_has_not_becomes_rules():
    rules = list(machine_rules(machine(node=(Isolation.SECCOMP,), docker=(Isolation.CONTAINER, Isolation.VM))))
    assert [rule.words for rule in rules] == [
        "here pyodide-node runs under seccomp, and nothing else",
        "Bun is not installed",
        "not built",
    ]
    assert {rule.origin for rule in rules} == {Origin.MACHINE}
