"""docs/plugins.md, done: its package installed beside Retrain, its manifests linted and run by a real platform."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import PATIENCE_S, RETRAIN, Platform, git, make_repository
from tests.support.distribution import documented, install, install_documented

pytestmark = pytest.mark.integration


def retrain(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of a user who has installed `site` too."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run([RETRAIN, *words], capture_output=True, text=True, env=environment, timeout=PATIENCE_S)


def test_the_documented_package_brings_kinds_to_the_platform(tmp_path: Path) -> None:
    site = install_documented(tmp_path / "site")
    make_repository(tmp_path / "deployment.git", {"model.yaml": "spec:\n  uri: s3://models/digits/6  # live\n"})
    platform = Platform(tmp_path, environment={"PYTHONPATH": str(site)})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(PATIENCE_S)
        text = documented()["project.yaml"].replace("port: 8125", f"port: {statsd.getsockname()[1]}")
        file = platform.write("project.yaml", text)
        linted = retrain(site, "lint", str(file), "-o", "json")
        assert (linted.returncode, json.loads(linted.stdout)["findings"]) == (0, []), linted.stderr

        platform.write("host.txt", git(tmp_path / "deployment.git", "rev-parse", "main"))

        with platform:
            counted = statsd.recv(1000).decode()
            promotion: dict[str, Any] = platform.wait(
                lambda: next((p for p in platform.items("promotions") if p["state"] == "committed"), None), "it commits"
            )
            # The host pulls.
            platform.write("host.txt", git(tmp_path / "deployment.git", "rev-parse", "main"))
            live = platform.wait(
                lambda: [p for p in platform.items("promotions") if p["state"] == "live"], "it is live"
            )
            (source,) = [row for row in platform.items("sources") if row["kind"] == "every"]

    assert counted.startswith("retrain.ticks:1|c|#")
    assert counted.rpartition("#")[2].isdecimal()
    assert [(g["name"], g["kind"], g["verdict"]) for g in promotion["gates"]] == [("honest", "gap", "pass")]
    assert git(tmp_path / "deployment.git", "show", "main:model.yaml") == "spec:\n  uri: s3://models/digits/7  # live\n"
    assert [one["id"] for one in live] == [promotion["id"]]
    assert (source["state"], source["source"], source["event"]) == ("listening", "clock", "tick")


@pytest.mark.parametrize(
    ("name", "module", "said"),
    [
        ("http", "def Kind(tools): ...\n", "bad-kinds: the name 'http' is Retrain's own in retrain.triggers"),
        ("page", "import nowhere\n", "bad-kinds: 'page' of retrain.triggers cannot be loaded"),
    ],
)
def test_a_package_that_cannot_be_used_stops_the_start_and_is_named(
    tmp_path: Path, name: str, module: str, said: str
) -> None:
    site = install(tmp_path / "site", "bad-kinds", {"retrain.triggers": {name: "bad_kinds:Kind"}}, bad_kinds=module)
    (tmp_path / "project").mkdir()

    done = retrain(site, "up", str(tmp_path / "project"), "--port", "0", "-o", "json")

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
