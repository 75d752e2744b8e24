"""What leaves a run: links, bounds, and what the parent and the export refuse where the worker does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from runtime.engine import Plan, UndeterminedError
from runtime.plan import make_plan
from storage.blocks import BlockStore
from storage.errors import VerificationError
from storage.unixfs_export import export
from tests.adversary.escapes.attempt import alone
from tests.adversary.escapes.cases.outputs import EXCESSES, LED_OUT, LEFT, LEFT_BELOW, LINKS, OUTPUT_LIMIT, Excess

pytestmark = pytest.mark.integration


def test_links_that_lead_out_are_no_output(house: Any, tmp_path: Path) -> None:
    outcome = house.run(alone(LINKS))
    assert outcome.exit_code == 0
    assert outcome.names("outputs/outputs") == LEFT
    assert outcome.names("outputs/outputs/d") == LEFT_BELOW
    export(outcome.reader, outcome.execution.output, tmp_path / "out")
    assert (tmp_path / "out" / "outputs" / "outputs" / "d" / "loop").is_symlink()


def test_links_that_the_worker_lets_through_are_not_exported(without: Any, tmp_path: Path) -> None:
    """In an output they are names without content; the disk is where they would lead somewhere."""
    outcome = without("links").run(alone(LINKS))
    assert outcome.names("outputs/outputs") == LED_OUT
    with pytest.raises(VerificationError, match="symlink leads out of the tree: '/etc/passwd'"):
        export(outcome.reader, outcome.execution.output, tmp_path / "out")
    assert list(tmp_path.glob("out*")) == []


def limited(plan: Plan, store: BlockStore) -> Plan:
    """Return the plan with a small output limit."""
    limits = dataclasses.replace(plan.input.limits, output=OUTPUT_LIMIT)
    input_ = dataclasses.replace(plan.input, limits=limits)
    return make_plan(plan.function, input_, plan.lock, store=store, wall_clock_s=plan.wall_clock_s)


@pytest.mark.parametrize("case", EXCESSES, ids=lambda case: case.name)
def test_too_much_is_153_and_nothing_is_left(house: Any, case: Excess) -> None:
    plan = limited(house.plan(alone(case.code.format(case.refused_from))), house.store)
    outcome = house.execute(plan)
    assert outcome.exit_code == 153
    assert outcome.names("outputs/outputs") == []
    assert len(outcome.bytes("stdout")) <= OUTPUT_LIMIT


@pytest.mark.parametrize("case", EXCESSES, ids=lambda case: case.name)
def test_too_much_that_the_worker_lets_through_is_refused_by_the_parent(without: Any, case: Excess) -> None:
    weak = without(case.layer)
    plan = limited(weak.plan(alone(case.code.format(case.parent_refuses))), weak.store)
    with pytest.raises(UndeterminedError, match=f"impossible output: .*{case.problem}"):
        weak.execute(plan)
