"""Sensors on a whole platform: reloaded while it runs, seen page by page, approved by people, killed between an event
and its timer."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform

pytestmark = pytest.mark.integration

PAIRS = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: pairs}
spec:
  dependencies:
    - {name: features, eventSourceName: lake, eventName: features, key: day}
    - {name: labels, eventSourceName: lake, eventName: labels, key: day}
  triggers:
    - template: {name: train, log: {}}
"""
BATCH = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: batch}
spec:
  dependencies: [{name: file, eventSourceName: lake, eventName: file}]
  triggers:
    - template: {name: take, log: {}}
      window: {quiet: 1500ms}
"""
COSTLY = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: costly}
spec:
  dependencies: [{name: ask, eventSourceName: lake, eventName: ask}]
  triggers:
    - template: {name: spend, log: {}}
      budget: {runs: 1, per: day, onExceed: approve}
"""


def event(subject: str, id_: str, **data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id_, "source": "lake", "type": "t", "subject": subject, "data": data}


def part(platform: Platform, name: str) -> dict[str, Any]:
    return next(one for one in platform.get("/readyz")["parts"] if one["name"] == name)


def shown(platform: Platform, name: str, **query: Any) -> dict[str, Any]:
    return platform.get(f"/api/v1/sensors/{name}", **query)


def test_a_changed_file_touches_its_sensor_and_a_broken_one_nothing(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.write("pairs.yaml", PAIRS)
    platform.write("batch.yaml", BATCH)
    with platform:
        platform.emit(event("features", "1", day="mon"))
        platform.wait(lambda: shown(platform, "pairs")["open"] == 1, "a half waits")
        (kept,) = platform.rows("SELECT digest, updated FROM sensors WHERE name = 'pairs'")

        platform.write("batch.yaml", BATCH.replace("1500ms", "1s"))
        before = platform.rows("SELECT digest FROM sensors WHERE name = 'batch'")
        platform.wait(
            lambda: platform.rows("SELECT digest FROM sensors WHERE name = 'batch'") != before, "the change is taken"
        )
        assert platform.rows("SELECT digest, updated FROM sensors WHERE name = 'pairs'") == [kept]

        platform.write("pairs.yaml", PAIRS.replace("dependencies:", "dependencis:"))
        platform.wait(lambda: not part(platform, "project")["ready"], "the broken file is said")
        assert "pairs.yaml:5:" in part(platform, "project")["waitingFor"]
        assert platform.get("/readyz")["status"] == "ready"
        answer = platform.post("/api/v1/reload")
        assert answer.status == 422
        platform.emit(event("labels", "2", day="mon"))
        platform.wait(lambda: platform.items("firings", sensor="pairs"), "the old version runs on")

        platform.write("pairs.yaml", PAIRS)
        os.kill(platform.pid, signal.SIGHUP)
        platform.wait(lambda: part(platform, "project")["ready"], "it is mended")


def test_a_removed_sensor_is_listed_with_what_it_left(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.write("pairs.yaml", PAIRS)
    file = platform.write("batch.yaml", BATCH.replace("1500ms", "1h"))
    with platform:
        platform.emit(event("file", "1"))
        platform.wait(lambda: shown(platform, "batch")["open"] == 1, "a window is open")
        file.unlink()
        assert platform.post("/api/v1/reload").taken
        assert [one["name"] for one in platform.get("/api/v1/sensors")["items"]] == ["pairs"]
        (left,) = platform.get("/api/v1/removed")["items"]
        assert (left["name"], left["removed"], left["cells"]) == ("batch", True, {"take": 1})
        assert "batch" in platform.command("sensors", "list")


def test_every_waiting_key_is_seen_page_by_page_and_by_explain(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.write("pairs.yaml", PAIRS)
    with platform:
        platform.emit(*(event("features", str(n), day=f"d{n:02}") for n in range(25)))
        platform.wait(lambda: shown(platform, "pairs")["open"] == 25, "all halves wait")
        keys: list[str] = []
        query: dict[str, Any] = {"limit": 10}
        while True:
            page = shown(platform, "pairs", **query)
            keys += [one["key"] for one in page["waiting"]]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert keys == [f"d{n:02}" for n in range(25)]
        explained = json.loads(platform.command("sensors", "explain", "pairs", "-o", "json"))
        assert [(one["have"], one["need"]) for one in explained["waiting"]] == [(["features"], ["labels"])] * 25
        assert 'retrain_open_keys{sensor="pairs"} 25.0' in platform.send("GET", "/metrics").body


def test_what_is_over_budget_goes_when_somebody_approves_it(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.write("costly.yaml", COSTLY)
    with platform:
        platform.emit(event("ask", "1"), event("ask", "2"), event("ask", "3"))
        held = platform.wait(
            lambda: found if len(found := shown(platform, "costly")["waiting"]) == 2 else None, "two are held"
        )
        first, second = (one["held"][0]["firing"] for one in held)
        answer = json.loads(platform.command("firings", "approve", first, "--reason", "go", "-o", "json"))
        assert answer["verdict"] == "granted"
        platform.command("firings", "reject", second)
        platform.wait(lambda: len(platform.items("firings")) == 2, "the approved one goes")
        platform.wait(lambda: not shown(platform, "costly")["waiting"], "the rejected one is dropped")
        platform.command("firings", "approve", "f-nothing", code=1)
        lines = platform.send("GET", f"/api/v1/firings/{first}/events").body
        body = lines if isinstance(lines, dict) else json.loads(lines)
        assert body["id"] in {"1", "2", "3"}
        (told,) = [one for one in platform.items("events") if one["subject"] == "approval.granted"]
        assert told["data"]["reason"] == "go"


def test_a_window_whose_platform_is_killed_fires_once_after_the_restart(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.write("batch.yaml", BATCH)
    with platform:
        platform.emit(event("file", "1"), event("file", "2"))
        platform.wait(lambda: shown(platform, "batch")["open"] == 1, "a window is open")
        platform.kill()
        platform.start()
        (firing,) = platform.wait(lambda: platform.items("firings"), "the window closes")
        assert len(firing["events"]) == 2
        platform.kill()
        platform.start()
        platform.emit(event("other", "3"))
        platform.wait(lambda: len(platform.items("events")) == 3, "it goes on")
        assert len(platform.items("firings")) == 1
