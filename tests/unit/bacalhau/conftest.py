import pytest

from bacalhau.home import Home
from tests.unit.bacalhau.fakes import Desk, FakeEngine


@pytest.fixture
def desk(tmp_path, capsysbinary, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BACALHAU_DEBUG", raising=False)
    return Desk(home=Home(tmp_path / "home"), engine=FakeEngine(), read_output=capsysbinary.readouterr)
