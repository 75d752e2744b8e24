import pytest

from bacalhau.cli import network_extra
from bacalhau.cli.main import main


@pytest.mark.parametrize("command", ["serve", "devstack"])
def test_commands_that_run_nodes_say_what_is_missing(command, monkeypatch, capsys):
    monkeypatch.setattr(network_extra, "find_spec", lambda name: None if name == "libp2p" else object())
    assert main([command]) == 2
    said = f"bacalhau: {command}: a node needs the package libp2p; install it: pip install 'bacalhau[network]'\n"
    assert capsys.readouterr() == ("", said)
