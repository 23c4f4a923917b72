"""`retrain doctor --server` and the support bundle, asked of a real platform."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TOKEN = "a-token-of-this-test-0123456789"
HIDDEN = "hidden-in-a-secret-0123456789"
PROJECT = f"""\
apiVersion: v1
kind: Secret
metadata: {{name: hook}}
stringData: {{token: {HIDDEN}}}
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {{name: all}}
spec:
  dependencies: [{{name: one, eventSourceName: shop, eventName: orders}}]
  triggers: [{{template: {{name: note, log: {{}}}}}}]
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Generator[Platform]:
    place = Platform(tmp_path_factory.mktemp("doctor"), environment={"RETRAIN_SERVER_TOKEN": TOKEN})
    place.write("all.yaml", PROJECT)
    with place:
        yield place


def _checks(platform: Platform, code: int) -> dict[str, Any]:
    found = json.loads(platform.command("doctor", "--server", "-o", "json", code=code))
    assert found["server"] == platform.url
    assert all(one["means"] and one["do"] for one in found["items"] if one["status"] != "ok")
    return {one["name"]: one["status"] for one in found["items"]}


def _alter(platform: Platform, *statements: str) -> None:
    with closing(sqlite3.connect(platform.data / "store.db", timeout=20)) as store, store:
        for one in statements:
            store.execute(one)


def test_a_platform_that_is_well_passes_and_one_that_is_not_is_told_why(platform: Platform) -> None:
    well = _checks(platform, 0)
    names = {"versions", "clock", "parts", "schema", "lag", "bus", "store", "disk", "dead letters", "leases", "sources"}
    assert names <= set(well)
    assert {name: status for name, status in well.items() if status == "fail"} == {}

    _alter(
        platform,
        "INSERT INTO deadletters (id, kind, origin, reason, body, created) VALUES ('d', 'event', 's', 'no', x'00', 1)",
        "INSERT INTO leases VALUES ('source shop', 'gone', 1)",
    )
    ill = _checks(platform, 0)
    assert (ill["dead letters"], ill["leases"]) == ("warn", "warn")
    table = platform.command("doctor", "--server", platform.url)
    assert "retrain deadletters list" in table
    _alter(platform, "DELETE FROM leases", "DELETE FROM deadletters")


def test_the_bundle_of_a_running_platform_has_what_it_says_of_itself_and_no_secret(
    platform: Platform, tmp_path: Path
) -> None:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "shop",
        "subject": "orders",
        "type": "t",
        "data": "a-payload-77",
    }
    headers = {"Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {TOKEN}"}
    assert platform.post("/api/v1/events", json.dumps(event).encode(), headers).taken
    platform.wait(lambda: platform.rows("SELECT 1 FROM events"), "the event is in the store")
    file = tmp_path / "bundle.tar.gz"
    platform.command("support", "bundle", "--to", str(file))
    with tarfile.open(file) as tar:
        found = {one.name: (tar.extractfile(one) or file.open("rb")).read().decode() for one in tar}

    names = {name.partition("/")[2] for name in found}
    assert {"checks.json", "health.json", "metrics.txt", "settings.json", "schema.sql", "events.json"} <= names
    everything = "\n".join(found.values())
    assert "retrain_events" in everything
    assert not [one for one in (TOKEN, HIDDEN, "a-payload-77") if one in everything]
    assert ("support.bundle", '{"payloads":false}') in platform.rows("SELECT action, after FROM audit")


def test_a_platform_that_is_not_there_is_exit_4(platform: Platform) -> None:
    platform.command("doctor", "--server", "http://127.0.0.1:1", code=4)
