import pytest

from bacalhau.home import Home
from storage.cid import cid_text
from tests.unit.bacalhau.fake_node import served
from tests.unit.bacalhau.fakes import Desk, FakeEngine, fake_prepare


@pytest.fixture
def services(tmp_path):
    home = Home(tmp_path / "home")
    home.create()
    return Desk(home=home, engine=FakeEngine(), read_output=None).services()


@pytest.fixture
def node(services):
    with served(services) as node:
        yield node


@pytest.fixture
def task(services, tmp_path):
    """The CID of a task whose blocks are in the node's store."""
    from runtime.request import Request

    function = tmp_path / "function.py"
    function.write_text("def main(data):\n    return data.read().upper()\n")
    data = tmp_path / "input.txt"
    data.write_bytes(b"hello")
    with services.open_store() as store:
        plan = fake_prepare(
            Request(function=function, data=str(data)),
            store=store,
            engine=None,
            progress=None,
            report=None,
            note=None,
        )
    return cid_text(plan.task)
