"""`doctor` names every optional part: what it is for, and what to type if it is not here."""

import tomllib
from pathlib import Path

import pytest

from bacalhau.optional_parts import PARTS, look_at_parts

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
FOR_TESTS = {"dev", "crates"}


def test_every_extra_of_the_distribution_is_a_part():
    assert {part.extra for part in PARTS} == set(PROJECT["optional-dependencies"]) - FOR_TESTS


def test_what_is_here_needs_nothing():
    assert {(state.fix, state.missing) for state in look_at_parts(lambda _: True)} == {("", ())}


@pytest.mark.parametrize("module", [module for part in PARTS for module in part.modules])
def test_what_lacks_is_told_with_what_it_is_for_and_how_to_get_it(module):
    (lacking,) = [state for state in look_at_parts(lambda name: name != module) if state.missing]
    assert lacking.missing == (module,)
    assert lacking.text == f"{lacking.part.extra}: not installed; {lacking.part.gives} would need it ({module})"
    assert lacking.fix == f"pip install 'bacalhau[{lacking.part.extra}]'"


def test_doctor_prints_them(desk, monkeypatch):
    monkeypatch.setattr("bacalhau.optional_parts.find_spec", lambda name: None)
    text = desk("doctor").text
    assert "extra     network: not installed; serve, devstack, web would need it" in text
    assert "; pip install 'bacalhau[network]'" in text
