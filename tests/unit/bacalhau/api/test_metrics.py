"""`/metrics` over a real socket: who reads it, what is in it, and what the dashboard asks for."""

import json
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bacalhau.api import metrics
from bacalhau.api.metrics import NodeMetrics
from network.blame import _PROOFS
from network.node.measures import Levels, Measures
from runtime.cache_counts import IMAGE, CacheCounts
from tests.unit.bacalhau.fake_node import served
from tests.unit.bacalhau.fakes import FakeEngine

ROOT = Path(__file__).parents[4]
LEVELS = Levels(jobs_open=1, tasks_open=7, tasks_unassigned=2, offers_waiting=3, executions=4, peers=5, is_healthy=True)


class CountingEngine(FakeEngine):
    def __init__(self):
        super().__init__()
        self.caches = CacheCounts()


def measured():
    measures, engine = Measures(), CountingEngine()
    measures.executions["done"].add(0.3)
    measures.sent["bid"] += 4
    measures.received["assign"] += 3
    measures.verdicts["split"] += 1
    measures.convictions["two-reveals"] += 1
    engine.caches.add(IMAGE, found=True)
    return lambda store: NodeMetrics(measures=measures, levels=lambda: LEVELS, store=store, engine=engine)


@pytest.fixture
def node(services):
    with served(services, metrics=measured()) as node:
        yield node


def ask(node, path="/metrics", token=None):
    headers = {"Authorization": f"Bearer {token or node.token}"}
    return httpx.get(f"{node.url}{path}", headers=headers, trust_env=False, timeout=20)


def scraped(node):
    """Return values by name and labels."""
    answer = ask(node)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.text)
    return {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}


def test_a_scrape_has_what_was_counted_and_how_much_there_is(node):
    values = scraped(node)
    assert values["bacalhau_execution_seconds_bucket", ("le", "0.25"), ("outcome", "done")] == 0
    assert values["bacalhau_execution_seconds_bucket", ("le", "0.5"), ("outcome", "done")] == 1
    assert values["bacalhau_execution_seconds_count", ("outcome", "done")] == 1
    assert values["bacalhau_execution_seconds_sum", ("outcome", "done")] == 0.3
    assert values["bacalhau_bids_total", ("outcome", "sent")] == 4
    assert values["bacalhau_bids_total", ("outcome", "won")] == 3
    assert values["bacalhau_bids_total", ("outcome", "declined")] == 0
    assert values["bacalhau_verdicts_total", ("verdict", "split")] == 1
    assert values["bacalhau_convictions_total", ("kind", "two-reveals")] == 1
    proven = {kind.value for kind, _ in _PROOFS}
    assert {labels[0][1] for name, *labels in values if name == "bacalhau_convictions_total"} == proven | {
        "two-reveals"
    }
    assert values["bacalhau_cache_lookups_total", ("cache", "image"), ("result", "hit")] == 1
    assert values["bacalhau_cache_lookups_total", ("cache", "wheel"), ("result", "miss")] == 0
    levels = ("jobs_open", "tasks_open", "tasks_unassigned", "offers_waiting", "executions_running", "peers_connected")
    assert [values[f"bacalhau_{name}",] for name in levels] == [1, 7, 2, 3, 4, 5]
    assert values["bacalhau_store_blocks",] == 0


def test_requests_are_counted_by_template_and_status_and_never_by_what_was_asked(node):
    ask(node, f"/api/v1/jobs/{'ab' * 16}")
    ask(node, f"/api/v1/jobs/{'cd' * 16}")
    ask(node, "/ipfs/nonsense")
    ask(node, "/there/is/no/such/path")
    ask(node, token="0" * 64)
    found = {key[1:]: value for key, value in scraped(node).items() if key[0] == "bacalhau_api_requests_total"}
    assert found == {
        (("path", "/api/v1/jobs/{job}"), ("status", "404")): 2,
        (("path", "/ipfs"), ("status", "400")): 1,
        (("path", "none"), ("status", "404")): 1,
        (("path", "none"), ("status", "401")): 1,
    }


def test_without_the_token_nothing_is_told(node):
    answer = httpx.get(f"{node.url}/metrics", trust_env=False, timeout=20)
    assert answer.status_code == 401
    assert "bacalhau_" not in answer.text


def test_without_the_library_one_line_says_what_to_install(node, monkeypatch):
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    answer = ask(node)
    assert answer.status_code == 404
    assert answer.json() == {
        "problem": "metrics need the package prometheus-client",
        "where": "/metrics",
        "fix": "install it: pip install 'bacalhau[telemetry]'",
    }


def test_where_no_node_runs_there_is_nothing_to_measure(services):
    with served(services) as node:
        assert ask(node).status_code == 404


def names_in(text):
    return set(re.findall(r"\bbacalhau_[a-z_]+\b", text))


def test_the_dashboard_and_the_docs_name_metrics_that_exist_and_all_of_them(node):
    there = {key[0] for key in scraped(node)}
    there |= {"bacalhau_api_requests_total", "bacalhau_store_quota_bytes"}  # not before there is something
    dashboard = json.loads((ROOT / "docs/grafana.json").read_text())
    asked = names_in(" ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"]))
    assert asked <= there
    families = {family_of(name) for name in there}
    assert names_in((ROOT / "docs/telemetry.md").read_text()) == families
    assert families - {family_of(name) for name in asked} == {"bacalhau_build_info"}


def family_of(name):
    return re.sub(r"_(bucket|count|sum)$", "", name)
