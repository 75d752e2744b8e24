"""Counted limits and canonical NaNs: an endless loop ends at the same instruction everywhere, as an outcome."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.integration

OUT_OF_FUEL = 152
FUEL = 3_000_000_000

ENDLESS = {
    "python": "while True: pass",
    "with except": "while True:\n        try:\n            while True: pass\n        except BaseException: pass",
    "sum": "sum(range(10**12))",
    "regex": "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')",
    "power": "10 ** 10 ** 8 % 7",
    "sort": "sorted(range(10**7), key=lambda n: -n)",
    "copies": "block = bytearray(2**27)\n    while True: block[: 2**26] = block[2**26 :]",
}


@pytest.mark.parametrize("name", sorted(ENDLESS))
def test_what_never_ends_runs_out_of_fuel_at_the_same_place(house: Any, name: str) -> None:
    source = f"def main(data):\n    print('begun', flush=True)\n    {ENDLESS[name]}\n"
    plan = house.plan(source, fuel=FUEL, timeout_s=300.0)
    first, second = house.execute(plan), house.execute(plan)
    assert (first.exit_code, first.stdout) == (OUT_OF_FUEL, "begun\n")
    assert first.execution.fuel == second.execution.fuel
    assert first.execution.fuel >= FUEL
    assert first.execution.output == second.execution.output
    assert first.state_digest == second.state_digest


def test_a_run_tells_what_it_spent_to_the_unit(house: Any) -> None:
    plan = house.plan("def main(data):\n    return sum(n * n for n in range(10000))\n")
    spent = {house.execute(plan).execution.fuel for _ in range(2)}
    assert len(spent) == 1
    (fuel,) = spent
    tight = house.plan("def main(data):\n    return sum(n * n for n in range(10000))\n", fuel=fuel)
    assert house.execute(tight).exit_code == 0
    short = house.plan("def main(data):\n    return sum(n * n for n in range(10000))\n", fuel=fuel // 2)
    assert house.execute(short).exit_code == OUT_OF_FUEL


def test_nans_are_canonical_in_python_and_numpy(house: Any) -> None:
    source = """
import math, struct
import numpy as np
inf = float("inf")
def main(data):
    scalars = [inf - inf, inf * 0, math.fmod(inf, 1) if False else inf / inf]
    array = np.array([inf, -inf, 0.0, 0.0])
    with np.errstate(all="ignore"):
        arrays = [(array - array).tobytes().hex(), (array[2:] / array[2:]).tobytes().hex()]
        single = (array.astype("f4") - array.astype("f4")).tobytes().hex()
    return {"scalars": [struct.pack("<d", x).hex() for x in scalars], "arrays": arrays, "single": single}
"""
    folder = {"function.py": source, "requirements.txt": "numpy==2.4.3\n"}
    found = json.loads(house.run(folder).result)
    nan, single = "000000000000f87f", "0000c07f"
    assert found["scalars"] == [nan] * 3
    assert found["arrays"] == [nan * 2 + "0" * 32, nan * 2]
    assert found["single"] == single * 2 + "0" * 16
