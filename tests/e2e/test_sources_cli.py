"""How a running platform tells of its sources: the command line, `/readyz`, `/metrics`; secrets from mounted files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.platform_driver import Platform
from tests.servers.launch import free_port

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SOURCES = """\
apiVersion: retrain.dev/v1
kind: EventSource
metadata: {name: shop}
spec:
  webhook:
    orders:
      endpoint: /orders
      filter: {expression: body.rows > 10}
      authSecret: {name: shop, key: token}
  minio:
    lake:
      endpoint: 127.0.0.1:PORT
      insecure: true
      bucket: {name: data}
      accessKey: {name: shop, key: access}
      secretKey: {name: shop, key: token}
"""
TOKEN = "a-very-secret-token"


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """Secrets as Kubernetes mounts them."""
    folder = tmp_path / "mounted/secrets/shop"
    folder.mkdir(parents=True)
    for key, value in (("token", TOKEN), ("access", "me")):
        (folder / key).write_text(f"{value}\n")
    return tmp_path / "mounted"


def test_a_platform_tells_how_its_sources_are_doing(tmp_path: Path, mounted: Path) -> None:
    platform = Platform(tmp_path / "place", environment={"RETRAIN_SECRETS_FOLDER": str(mounted)})
    platform.write("sources.yaml", SOURCES.replace("PORT", str(free_port())))
    with platform:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for rows in (20, 5):
            assert platform.post("/orders", {"rows": rows}, headers=bearer).taken
        assert platform.post("/orders", {"rows": "many"}, headers=bearer).taken, "what the filter cannot judge is kept"
        (letter,) = platform.items("deadletters")
        raw = platform.command("deadletters", "show", letter["id"], "--raw")
        told = json.loads(platform.command("deadletters", "show", letter["id"], "-o", "json"))
        platform.wait(lambda: _rows(platform)["lake"]["errors"] >= 1, "the bucket is missed")
        rows = _rows(platform)
        shown = platform.command("sources", "show", "shop/lake")
        listed = platform.command("sources", "list")
        ready = json.dumps(platform.get("/readyz"))
        figures = platform.get("/metrics")

    assert json.loads(raw)["data"]["body"] == {"rows": "many"}
    assert told == letter
    assert (rows["orders"]["state"], rows["orders"]["filtered"]) == ("listening", 1)
    assert rows["lake"]["state"] == "waiting"
    assert "is not reached" in rows["lake"]["lastError"]
    assert "newest error:" in shown
    assert "is not reached" in shown
    assert "WAITS FOR" in listed
    assert "source shop/lake" in ready
    assert 'retrain_source_up{kind="minio",source="shop/lake"} 0.0' in figures
    assert 'retrain_events_filtered_total{kind="webhook",source="shop/orders"} 1.0' in figures
    assert 'retrain_source_errors_total{kind="minio",source="shop/lake"}' in figures
    for text in (shown, listed, ready, figures, json.dumps(rows), platform.last_lines(1000)):
        assert TOKEN not in text


def _rows(platform: Platform) -> dict[str, dict[str, object]]:
    return {row["event"]: row for row in platform.items("sources")}
