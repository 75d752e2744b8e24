"""What the boundary of the command makes of errors."""

from pathlib import Path

from bacalhau.cli.boundary import guarded
from bacalhau.exit_codes import ExitCode


def test_a_name_that_is_too_long_is_a_wrong_call_told_with_its_beginning(tmp_path, capsys):
    assert guarded(lambda: Path(tmp_path / ("a" * 5000)).stat().st_size) is ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bacalhau: {tmp_path}"[:80])
    assert line.endswith("…: its name is too long for this machine; check the path")
    assert len(line) < 200
