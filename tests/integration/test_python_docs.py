"""docs/python.md does what it says: its examples, run as one program by a person's Python, in the real Node."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bacalhau.home import Home
from bacalhau.shared_caches import share_caches

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.integration


def test_the_examples_run(stack_home, tmp_path):
    text = (ROOT / "docs" / "python.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 10
    home = tmp_path / "home"
    share_caches(Home(stack_home), Home(home))
    script = tmp_path / "examples.py"
    script.write_text("import bacalhau\n\n" + "\n".join(blocks))
    environment = {**os.environ, "BACALHAU_DIR": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("bafyrei")
    assert "Traceback" not in done.stderr
