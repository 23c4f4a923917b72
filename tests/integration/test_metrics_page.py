"""`/metrics` as Prometheus' own tool reads it, with ten thousand hostile names, and without a scan of what grows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from retrain.app.keeping.store_figures import store_figures
from retrain.store import Store
from retrain.telemetry import meters
from retrain.web import metrics
from tests.integration.page_house import house
from tests.servers.launch import absent

pytestmark = pytest.mark.integration

MONITORING = Path(__file__).parents[2] / "deploy/monitoring"
SMALL = ("outbox", "leases", "span_feed")
"""Tables that hold only what is still to be done."""
OF_OPEN = "INDEX ix_deadletters_left"
"""An index that holds only what is open."""


def promtool(*words: str, given: str | None = None) -> None:
    """Run Prometheus' tool; what it says where it is not content."""
    if shutil.which("promtool") is None:
        absent("no promtool on this machine: run tests/servers/prometheus.sh install")
    done = subprocess.run(
        ["promtool", *words], input=given, capture_output=True, text=True, check=False, cwd=MONITORING
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def source(number: int) -> dict[str, Any]:
    """A source whose name somebody has chosen badly."""
    return {
        "source": f'a"}} 1\nfake {number}\\',
        "event": f"\u202e{number}",
        "kind": "webhook",
        "state": "waiting" if number == 9_999 else "listening",
        "received": number,
        "lag": number,
        "filtered": 0,
        "deadLetters": 0,
        "errors": number,
        "lastEvent": "2026-11-22T04:00:00Z",
    }


async def test_promtool_is_content_with_the_page(tmp_path: Path) -> None:
    async with house(tmp_path) as found:
        await found.visitor().get("/api/v1/runs")
        page = (await found.visitor().get("/metrics")).text

    promtool("check", "metrics", given=page)
    assert re.search(r'^retrain_http_requests_total\{method="GET",route="/api/v1/runs",status="2xx"\} ', page, re.M)


async def test_ten_thousand_hostile_sources_are_a_hundred_series_of_each_figure(tmp_path: Path) -> None:
    async with house(tmp_path) as found:
        services = replace(found.services, sources=lambda: [source(number) for number in range(10_000)])
        page = (await metrics.page(services)).decode()

    promtool("check", "metrics", given=page)
    lines = [line for line in page.splitlines() if line.startswith("retrain_source_up{")]
    assert len(lines) == 101
    assert [line for line in lines if line.endswith(" 0.0")] != [], "the one that waits keeps its name"
    assert len(page) < 200_000
    assert not re.search(r"^fake", page, re.M)


async def test_paths_that_nobody_serves_are_one_series(tmp_path: Path) -> None:
    async with house(tmp_path) as found:
        visitor = found.visitor()
        for number in range(50):
            await visitor.get(f"/nothing/{number}")
            await visitor.request(f"X{number}", f"/api/v1/runs/{number}")
    routes = {labels[1] for labels, _ in meters.HTTP_REQUESTS.samples()}
    methods = {labels[0] for labels, _ in meters.HTTP_REQUESTS.samples()}
    assert not any(re.search(r"\d", route.replace("/api/v1/", "")) for route in routes)
    assert not any(method.startswith("X") for method in methods)


async def test_no_figure_is_asked_by_a_scan_of_what_grows(store: Store) -> None:
    now = datetime.now(UTC)
    with asked_of() as statements:
        await store.read(lambda c: store_figures(c, now))
    assert statements
    for statement, words in statements:
        plan = await store.read(lambda c, s=statement, w=words: explained(c, s, w))
        scans = [line for line in plan if line.startswith("SCAN") and not line.startswith(("SCAN (", "SCAN anon"))]
        assert all(line.split()[1] in SMALL or line.endswith(OF_OPEN) for line in scans), (statement, plan)


@contextmanager
def asked_of() -> Iterator[list[tuple[str, Any]]]:
    """Statements that SQLAlchemy sends in the block."""
    from sqlalchemy.engine import Engine

    found: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, words: Any, _context: Any, _many: bool) -> None:
        if statement.startswith("SELECT"):
            found.append((statement, words))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def explained(connection: Connection, statement: str, words: Any) -> list[str]:
    """How SQLite goes about it."""
    return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", words)]


def test_the_alert_rules_are_right_and_each_fires_and_stays_silent() -> None:
    promtool("check", "rules", "alerts.yaml")
    promtool("test", "rules", "alerts_test.yaml")
    promtool("check", "config", "prometheus.yaml")
    alerts, tests = (MONITORING / name for name in ("alerts.yaml", "alerts_test.yaml"))
    named = re.findall(r"alert: (\w+)", alerts.read_text())
    assert named == re.findall(r"name: (Retrain\w+)", tests.read_text())
    docs = Path(__file__).parents[2] / "docs/telemetry.md"
    assert named == re.findall(r"^\| `(Retrain\w+)`", docs.read_text(), re.M)


def test_what_the_dashboard_asks_is_promql(tmp_path: Path) -> None:
    board = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    filled = [one.replace("$__rate_interval", "5m").replace("$instance", ".*") for one in asked]
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(filled)]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "rules.yaml"))
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places), "no panel lies on another"
    assert "$" not in "".join(filled)
