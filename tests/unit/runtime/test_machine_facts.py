"""What is found out about a machine, from reports of its jails."""

import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime import machine_facts_client
from runtime.jail import NEEDS, JailReport, Layer, Level
from runtime.machine_facts_client import find_facts, machine_kind
from runtime.planner.facts import machine_rules
from runtime.planner.stack import EngineName, Isolation, Machine
from storage.errors import UnavailableError

NAMES = {name for names in NEEDS.values() for name in names}


def report(level, *, refused=(), missing=("bubblewrap",)):
    """A machine on which some layers do not hold."""
    layers = (
        Layer(name=name, available=name not in missing, detail="is not there" if name in missing else "")
        for name in sorted(NAMES)
    )
    return JailReport(level=level, layers=tuple(layers), refused=refused)


@pytest.fixture
def found(monkeypatch):
    """Find the facts of a machine with these jails, one for each engine."""

    def find(**jails):
        def host(name):
            if name not in jails:
                raise UnavailableError(f"{name} is not installed", fix="install it")
            return SimpleNamespace(binary=Path(name), name=name)

        monkeypatch.setattr(machine_facts_client, "find_host", host)
        monkeypatch.setattr(machine_facts_client, "probe", lambda _binary, name: jails[name])
        monkeypatch.setattr(machine_facts_client, "probe_layers", lambda: jails["node"].layers)
        return find_facts()

    return find


def test_the_best_level_and_those_below_whose_layers_hold(found):
    node, bun, wasmtime, docker = found(node=report(Level.NAMESPACES)).engines
    assert [one.engine for one in (node, bun, wasmtime, docker)] == list(EngineName)
    assert node.isolations == (Isolation.NAMESPACES, Isolation.LANDLOCK, Isolation.SECCOMP, Isolation.NONE)
    assert (node.absent, node.lacking) == ("", "")
    assert (bun.absent, bun.fix, bun.isolations) == ("bun is not installed", "install it", ())
    assert (wasmtime.absent, wasmtime.isolations) == ("", node.isolations)
    assert docker.absent or docker.isolations == (Isolation.CONTAINER,)


def test_what_a_machine_lacks_is_said(found):
    missing = ("bubblewrap", "userns")
    refused = ("landlock+seccomp: node ended with status 1: no",)
    node = found(node=report(Level.SECCOMP, refused=refused, missing=missing)).engines[0]
    assert node.isolations == (Isolation.SECCOMP, Isolation.NONE)
    assert (
        node.lacking == "landlock+seccomp: node ended with status 1: no; bubblewrap is not there; userns is not there"
    )


def test_a_level_that_did_not_start_the_engine_is_not_offered(found):
    node = found(node=report(Level.LANDLOCK, refused=("namespaces: no",), missing=())).engines[0]
    assert Isolation.NAMESPACES not in node.isolations
    assert Isolation.BUBBLEWRAP not in node.isolations
    (rule,) = (rule for rule in machine_rules(found(node=report(Level.LANDLOCK))) if "pyodide-node" in rule.words)
    assert rule.fix == "see `bacalhau doctor`"


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="other processors do not tell")
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("processor : 0\nflags : fpu vme hypervisor sse\n", Machine.VM),
        ("processor : 0\nflags : fpu vme sse\n", Machine.BARE),
        ("processor : 0\n", Machine.UNKNOWN),
        ("flags : hypervisors\n", Machine.BARE),
        ("", Machine.UNKNOWN),
    ],
)
def test_whether_a_machine_is_virtual(tmp_path, text, kind):
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert machine_kind(file) is kind


def test_where_nothing_tells(tmp_path):
    assert machine_kind(tmp_path / "nothing") is Machine.UNKNOWN
