"""The protocol under faults and bad actors: 2,000 seeds here, 100,000 with `make simulate`."""

import re

import pytest

from network.protocol_events import Submitted
from storage.cid import RAW, make_cid
from tests.acceptance_table import ACCEPTANCE
from tests.adversary.simulator import sleepers
from tests.adversary.simulator.__main__ import failure_of, failures
from tests.adversary.simulator.hosts import UNIT, NodeHost, RequesterHost
from tests.adversary.simulator.mutations import MUTATIONS, mutated
from tests.adversary.simulator.personas import PERSONAS, Liar
from tests.adversary.simulator.referee import Referee
from tests.adversary.simulator.scenario import CALM, Story, story
from tests.adversary.simulator.world import World
from verifier.compare import make_rule
from verifier.model import Verdict

SEEDS = 2_000
CHUNK = 125


@pytest.mark.parametrize("start", range(0, SEEDS, CHUNK))
def test_the_invariants_hold(start):
    assert failures(range(start, start + CHUNK)) == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_machine_that_is_broken_on_purpose_is_found(mutation):
    with mutated(mutation):
        found = next(filter(None, map(failure_of, range(300))), "")
    number = re.match(r"invariant (\d+)", found)
    assert number, found
    assert int(number[1]) in MUTATIONS[mutation]


def test_a_seed_tells_the_same_story_again():
    tales = []
    for _ in range(2):
        tale = []
        story(8, trace=tale.append).run()
        tales.append(tale)
    assert tales[0] == tales[1]
    assert len(tales[0]) > 50


def played(kinds, rule, *, tasks=1, max_nodes=None):
    """Play one job in calm weather; return its story and what the tasks gave."""
    world = World(seed=1, weather=CALM)
    referee = Referee(world)
    nodes = [kind(world, referee, f"t{number}", slots=4) for number, kind in enumerate(kinds)]
    requester = RequesterHost(world, referee, "requester")
    job = Submitted(
        job="0a" * 16,
        tasks=tuple(make_cid(RAW, f"shard {number}".encode()) for number in range(tasks)),
        rule=rule,
        demand=UNIT,
        seed="0b" * 32,
        max_nodes=max_nodes,
        execute_ms=20_000,
        reveal_ms=10_000,
        queue_ms=30_000,
    )
    told = Story(
        world=world, referee=referee, nodes=nodes, requesters=[requester], jobs=[(requester, job)], bound_s=900.0
    ).run()
    return told, list(referee.sessions.values())


@pytest.mark.parametrize(("nodes", "liars", "confidence", "expected"), ACCEPTANCE)
def test_the_acceptance_table_at_two_shards(nodes, liars, confidence, expected):
    kinds = [NodeHost] * (nodes - liars) + [Liar] * liars
    _, ended = played(kinds, make_rule(replication=nodes, confidence=confidence), tasks=2, max_nodes=nodes)
    counted = [(len(news.decision.agreeing), len(news.decision.dissenting)) for news in ended]
    assert counted == [expected] * 2


PROVEN = {
    "Copycat": {"forged"},
    "Resigner": {"mismatch"},
    "BaitAndSwitch": {"mismatch"},
    "Equivocator": {"equivocation"},
    "DoubleRevealer": {"equivocation"},
    "DoubleVoter": {"equivocation"},
}
OBSERVED = {"Mute": "mute", "Late": "late", "Quitter": "mute"}


@pytest.mark.parametrize("persona", PERSONAS, ids=lambda persona: persona.__name__)
def test_a_bad_actor_is_outvoted_and_blamed_for_what_can_be_proven(persona):
    told, ended = played([NodeHost] * 2 + [persona] + [NodeHost] * 2, make_rule(replication=5, confidence=2))
    (news,) = ended
    assert news.decision.verdict is Verdict.AGREED
    assert {kind for _, kind in told.referee.blamed} == PROVEN.get(persona.__name__, set())
    observed = {fault.kind.value for fault in news.session.faults} - {kind for _, kind in told.referee.blamed}
    assert observed == {OBSERVED[persona.__name__]} if persona.__name__ in OBSERVED else not observed


def test_a_flood_is_noted_and_changes_nothing():
    flooder = next(persona for persona in PERSONAS if persona.__name__ == "Flooder")
    told, (news,) = played([NodeHost, NodeHost, flooder], make_rule())
    assert len(news.decision.agreeing) == 3
    assert told.referee.misbehaviour[told.nodes[2].peer] > 0


class SoonAwake(sleepers.Sleeper):
    honest_for = 8


def test_what_trust_promises_holds_for_liars_and_not_for_sleepers_whom_nobody_checks():
    """docs/trust.md has the numbers of many more tasks."""
    assert sleepers.measure(sleepers.Always, 60, rate=0.0).wrong == 0
    unchecked = sleepers.measure(SoonAwake, 150, rate=0.0, seed=2)
    assert unchecked.share > 0.01
    assert unchecked.executions < 2 * unchecked.believed
    checked = sleepers.measure(SoonAwake, 150, rate=1.0, seed=2)
    assert checked.checks > 50
    assert checked.wrong < unchecked.wrong
