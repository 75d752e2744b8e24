"""Newcomers' slips that only the function's own error shows."""

import pytest

from bacalhau.advice import advice

TRACE = 'Traceback (most recent call last):\n  File "function.py", line 1, in <module>\n    import {0}\n'


@pytest.mark.parametrize("module", ["pandas", "PIL.Image"])
def test_a_package_that_was_not_named(module):
    said = advice(f"{TRACE.format(module)}ModuleNotFoundError: No module named '{module}'\n")
    assert f"the package of `{module.split('.')[0]}` has to be named" in said
    assert "requirements.txt" in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ValueError: x",
        "said: ModuleNotFoundError: No module named 'a'",
        "ModuleNotFoundError: No module named '\x1b[31m'",
    ],
)
def test_nothing_else(text):
    assert advice(text) == ""
