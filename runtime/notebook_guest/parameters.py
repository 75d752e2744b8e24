"""Parameters as papermill has them: a cell of assignments after the one that is tagged `parameters`.

Source: https://papermill.readthedocs.io/en/latest/usage-parameterize.html
"""

from __future__ import annotations

from typing import Any

PARAMETERS = "parameters"
INJECTED = "injected-parameters"


def inject(cells: list[dict[str, Any]], given: dict[str, Any]) -> None:
    """Put the cell with what was given behind the cell of parameters; without any nothing is put in.

    Values are what JSON has.
    """
    if given:
        cells.insert(parameters_cell(cells) + 1, injected_cell(given))


def injected_cell(given: dict[str, Any]) -> dict[str, Any]:
    """Return the cell that sets what was given."""
    lines = ["# Parameters", *(f"{name} = {value!r}" for name, value in sorted(given.items()))]
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": INJECTED,
        "metadata": {"tags": [INJECTED]},
        "outputs": [],
        "source": "\n".join(lines),
    }


def parameters_cell(cells: list[dict[str, Any]]) -> int:
    """Return the number of the cell that is tagged `parameters`, -1 if there is none."""
    tagged = (n for n, cell in enumerate(cells) if PARAMETERS in cell["metadata"].get("tags", ()))
    return next(tagged, -1)
