"""Fuel is told to the unit, and NaNs are canonical."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.integration

OUT_OF_FUEL = 152


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
