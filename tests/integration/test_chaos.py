"""`chaos` names the line of each of ten planted accidents, and calls by their names what is pure and what is seeded."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.chaos.experiment import Badge, experiment
from runtime.chaos.factors import factors
from runtime.chaos.runner import Runner, is_tree, parts_of, seeded
from storage.blocks import OverlayBlockStore
from tests.integration.conftest import House
from tests.unit.functions.test_inputs import FUNCTIONS

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("chaos")]

FOLDER = Path(__file__).parent / "chaos_functions"

# entry point -> (badge, the factor that must have changed the output)
PLANTED = {
    "tag_index": ("leaky", "set order"),
    "normalise": ("leaky", "object ids"),
    "archive_report": ("seeded", "epoch"),
    "invoice_total": ("leaky", "set order"),
    "price_list": ("leaky", "locale"),
    "merge_logs": ("leaky", "listing order"),
    "cluster_points": ("seeded", "seed"),
    "ticket_names": ("seeded", "seed"),
    "scratch_file": ("leaky", "host identity"),
    "deduplicate": ("leaky", "memory layout"),
}


@pytest.fixture(scope="module")
def chaos_house(session_home, session_store, tmp_path_factory, caches) -> Iterator[House]:
    with House(session_store, session_home, tmp_path_factory.mktemp("chaos"), caches) as house:
        yield house


def chaos(house, plan, *names):
    """Vary some factors, all of them where none is named."""
    store = OverlayBlockStore(house.store)
    plan = seeded(plan, store)
    every = factors(runs=2, epoch=plan.input.epoch, has_tree=is_tree(plan, store), engines=())
    chosen = tuple(factor for factor in every if not names or factor.name in names)
    runner = Runner(plan, {"": house.engine}, store)
    plain = runner.plain()
    findings = experiment(runner, chosen, progress=lambda _: None, parts=parts_of(plan, store))
    return plain, findings


@pytest.mark.parametrize("entry", PLANTED)
def test_the_planted_line_is_named(chaos_house, entry):
    badge, factor = PLANTED[entry]
    lines = (FOLDER / f"{entry}.py").read_text().splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if text.endswith("# planted")]
    plain, found = chaos(chaos_house, chaos_house.plan(sources(), entry=entry), factor)
    assert found.baseline.exit_code == 0
    changed = {effect.factors: effect for effect in found.effects if effect.changed}
    assert (found.badge, list(changed)) == (Badge(badge), [(factor,)])
    assert changed[factor,].lines == (f"{entry}.py:{line}",)
    # The watch itself changes nothing, but where objects lie.
    assert plain.output == found.baseline.output or factor in ("memory layout", "object ids")


SEVERAL = """
import os, random, time

def main(data):
    names = {"a" * n for n in range(9)}
    began = time.time()
    for name in sorted(names):
        random.random()
    draws, count = random.random(), len(os.listdir("/"))
    draws += random.Random().random() + random.Random(1).random()
    return {"draws": draws, "count": count, "ids": len([id(name) for name in names])}
"""
EMULATED = ("seed", "epoch", "set order", "listing order", "object ids", "memory layout", "hashes", "locale")


def test_what_is_asked_for_and_does_not_matter_is_told_apart(chaos_house):
    plain, found = chaos(chaos_house, chaos_house.plan(SEVERAL), *EMULATED)
    assert plain.output == found.baseline.output
    assert [effect.factors for effect in found.effects if effect.changed] == [("seed",)]
    assert found.badge is Badge.SEEDED
    assert {(one.request.what, one.request.line): one.reached for one in found.ledger} == {
        ("time.time", 6): False,
        ("random.random", 8): False,
        ("random.random", 9): True,
        ("os.listdir", 9): False,
        ("random.Random()", 10): True,
        ("id()", 11): False,
        ("set of str", 11): False,
    }


@pytest.mark.slow("makes two images more")
@pytest.mark.parametrize("entry", ["tag_index", "merge_logs"])
def test_a_python_with_another_hash_seed_shows_what_its_emulation_shows(chaos_house, entry):
    _, found = chaos(chaos_house, chaos_house.plan(sources(), entry=entry), "hash seed", "set order")
    changed = {effect.factors: (effect.changed, effect.lines) for effect in found.effects}
    assert changed["hash seed",] == changed["set order",]
    assert changed["hash seed",][0] is (entry == "tag_index")


MODEL = """
import numpy as np
from sklearn.cluster import KMeans

def main(data):
    points = np.array([[1, 1], [1.5, 2], [3, 4], [5, 7], [3.5, 5], [9, 1], [8.5, 1.5]])
    noise = np.random.rand(2)
    centres = KMeans(3, n_init=1, init="random", max_iter=1).fit(points).cluster_centers_
    return {"centres": centres.round(6).tolist(), "noise": noise.shape[0]}
"""


@pytest.mark.slow("loads scikit-learn")
def test_a_model_without_a_seed_is_named_where_it_is_trained(chaos_house):
    requirements = (FUNCTIONS / "train_model" / "requirements.txt").read_bytes()
    plan = chaos_house.plan({"function.py": MODEL, "requirements.txt": requirements}, memory="1Gb")
    plain, found = chaos(chaos_house, plan, "seed")
    assert found.baseline.exit_code == 0
    assert plain.output == found.baseline.output
    assert [(effect.factors, effect.lines) for effect in found.effects if effect.changed] == [
        (("seed",), ("function.py:8",))
    ]
    # A request outside the function's lines is numpy's own, before the function is loaded.
    assert {one.request.line: one.reached for one in found.ledger if one.request.file} == {7: False, 8: True}


TREE = """
import tarfile

def main(data):
    with tarfile.open(fileobj=data) as tar:
        return [member.name for member in tar if member.isfile()]
"""


def test_the_order_of_the_input_and_of_shards(chaos_house, tmp_path):
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(name)
    plan = chaos_house.plan(TREE, data=str(tmp_path))
    plain, found = chaos(chaos_house, plan, "input order")
    assert plain.output == found.baseline.output
    effects = {effect.factors[0]: (effect.changed, effect.runs) for effect in found.effects}
    assert effects == {"input order": (True, 1), "shard order": (False, 6), "repetition": (False, 1)}


def sources():
    return {path.name: path.read_bytes() for path in FOLDER.glob("*.py")}
