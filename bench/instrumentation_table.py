"""What instrumentation costs, by kernel of Python and of numpy: a table of its own, made by instrumentation.mjs."""

from __future__ import annotations

import zipfile
from pathlib import Path

from bench.processes import run_program
from bench.workplace import Workplace
from runtime.node_client import find_node
from runtime.wheel_store import WheelCache

_TITLE = "## Instrumentation"


def instrumentation(workplace: Workplace) -> str:
    """Return the section, in Markdown."""
    plan = workplace.script("import numpy", "numpy==2.4.3")
    site_packages = workplace.home / "site-packages"
    cache = WheelCache(workplace.home / "wheels")
    for wheel in plan.lock.wheels:
        with cache.open(wheel, workplace.store) as file, zipfile.ZipFile(file) as archive:
            archive.extractall(site_packages)
    rounds = workplace.scale.rounds
    script = Path(__file__).with_name("instrumentation.mjs")
    table = run_program([find_node().binary, script, workplace.package, site_packages, str(rounds)]).decode()
    about = f"Processor time of kernels, as ratios to what is not instrumented; the best of {rounds} rounds in turns."
    return f"{_TITLE}\n\n{about}\n\n{table}"
