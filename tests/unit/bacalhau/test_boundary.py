"""What the boundary of the command makes of errors."""

from pathlib import Path

from bacalhau.cli.boundary import guarded
from bacalhau.exit_codes import ExitCode
from storage.errors import UserError


def test_a_name_that_is_too_long_is_a_wrong_call_told_with_its_beginning(tmp_path, capsys):
    assert guarded(lambda: Path(tmp_path / ("a" * 5000)).stat().st_size) is ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bacalhau: {tmp_path}"[:80])
    assert line.endswith("…: its name is too long for this machine; check the path")
    assert len(line) < 200


def test_of_a_name_that_is_too_long_an_error_of_ours_has_the_beginning_too(tmp_path, capsys):
    def add(path):
        try:
            path.lstat()
        except OSError as error:
            raise UserError("is not good", where=str(path), fix="leave it out") from error

    assert guarded(lambda: add(tmp_path / ("a" * 5000))) is ExitCode.USAGE
    line = capsys.readouterr().err
    assert line == f"bacalhau: {str(tmp_path / ('a' * 80))[:80]}…: is not good; leave it out\n"
    missing = tmp_path / "/".join(["b" * 50] * 3)
    assert guarded(lambda: add(missing)) is ExitCode.USAGE
    assert capsys.readouterr().err == f"bacalhau: {missing}: is not good; leave it out\n"
