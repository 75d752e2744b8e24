"""A node as a process: scraped by hand, and by a real Prometheus as docs/telemetry.md has it configured."""

import json
import re
import shutil
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.integration.stack_world import PATIENCE_S, Node
from tests.requirements_gate import need

ROOT = Path(__file__).parents[2]
HEALTH = "/api/v1/health"
BINARY = shutil.which("prometheus")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    need("prometheus", BINARY is not None, "the Debian package prometheus")
    need("network", find_spec("libp2p") is not None, "the extra `network`; make setup installs it")
    folder = tmp_path_factory.mktemp("scraped") / "home"
    node = Node("scraped", folder, free_port(), ("--role", "requester"))
    folder.mkdir()
    node.start()
    try:
        for _ in range(3):
            assert httpx.get(f"{node.facts['api']}{HEALTH}", trust_env=False).status_code == 200
        yield node
    finally:
        node.stop()


def test_a_node_tells_what_it_counts(node):
    token = (node.directory / "api-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{node.facts['api']}/metrics", headers=headers, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert f'bacalhau_api_requests_total{{path="{HEALTH}",status="200"}} 3.0\n' in answer.text
    assert "\nbacalhau_datastore_healthy 1.0\n" in answer.text
    assert re.search(r"\nbacalhau_store_bytes \d", answer.text)


@pytest.fixture
def prometheus(node, tmp_path):
    """Run one that scrapes the node, and return its URL and process."""
    (documented,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/telemetry.md").read_text(), re.DOTALL)
    config = documented.replace("/var/lib/bacalhau/api-token", str(node.directory / "api-token"))
    config = config.replace("127.0.0.1:8080", node.facts["api"].removeprefix("http://"))
    assert config.count(str(node.directory)) == 1
    (tmp_path / "prometheus.yml").write_text(f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{config}")
    address = f"127.0.0.1:{free_port()}"
    arguments = ("--config.file=prometheus.yml", f"--web.listen-address={address}", "--storage.tsdb.path=data")
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen([BINARY, *arguments], cwd=tmp_path, stdout=log, stderr=log) as process,
    ):
        try:
            yield f"http://{address}", process
        finally:
            process.terminate()


def asked(url, process, query):
    """Return the values of a query once there are any; fail where Prometheus ends, or the test is stuck."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            answer = httpx.get(f"{url}/api/v1/query", params={"query": query}, trust_env=False)
        except httpx.TransportError:  # it does not listen yet
            found = []
        else:
            found = answer.json()["data"]["result"] if answer.status_code == 200 else []
        if found:
            return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in found}
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
    pytest.fail(f"Prometheus never has {query}: {asked_targets(url)}")


def asked_targets(url):
    return httpx.get(f"{url}/api/v1/targets", trust_env=False).text


def test_prometheus_scrapes_a_node(prometheus):
    url, process = prometheus
    (count,) = asked(url, process, f'bacalhau_api_requests_total{{path="{HEALTH}",status="200"}}').values()
    assert count == 3
    assert set(asked(url, process, 'max_over_time(up{job="bacalhau"}[5m])').values()) == {1.0}
    verdicts = asked(url, process, "bacalhau_verdicts_total")
    assert {dict(labels)["verdict"] for labels in verdicts} >= {"agreed", "split", "too-few"}
    (buckets,) = asked(url, process, 'count(bacalhau_execution_seconds_bucket{outcome="done"})').values()
    assert buckets == 16
    dashboard = json.loads((ROOT / "docs/grafana.json").read_text())
    # A rate needs two samples; with the slowest one there, all others are.
    asked(url, process, 'rate(bacalhau_build_info{job="bacalhau"}[1m])')
    for title, expression in expressions(dashboard):
        asked_for = re.sub(r"\$(job|instance)", ".*", expression).replace("$__rate_interval", "1m")
        assert "$" not in asked_for, title
        answer = httpx.get(f"{url}/api/v1/query", params={"query": asked_for}, trust_env=False)
        assert answer.status_code == 200, f"{title}: {answer.text}"
        series = answer.json()["data"]["result"]
        # This node has no quota, and there is nothing else of which it tells nothing.
        assert bool(series) != ("quota" in expression), f"{title}: {expression}"
    variable = next(one for one in dashboard["templating"]["list"] if one["type"] == "query")
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()
    (labels,) = asked(url, process, metric)
    assert label in dict(labels)


def expressions(dashboard):
    """Yield each query of a dashboard with the title of its panel."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_the_dashboard_is_laid_out_as_grafana_wants_it():
    dashboard = json.loads((ROOT / "docs/grafana.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    source = {"type": "prometheus", "uid": "${datasource}"}
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    assert names == ["datasource", "job", "instance"]
    taken = set()
    for panel in panels:
        assert panel["datasource"] == source
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["legendFormat"] for target in panel["targets"])
        for target in panel["targets"]:
            selectors = re.findall(r"bacalhau_\w+(\{[^}]*\})?", target["expr"])
            assert all('job=~"$job", instance=~"$instance"' in selector for selector in selectors), target["expr"]
            counters = re.findall(r"(\w*\(?)bacalhau_\w+_total", target["expr"])
            assert all(around in ("rate(", "increase(") for around in counters), target["expr"]
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{panel['title']} lies over another panel"
        assert place["x"] + place["w"] <= 24
        taken |= cells
