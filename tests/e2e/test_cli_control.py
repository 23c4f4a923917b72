"""What people do to running work: stop it, end it, and give what could not be done another chance."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.crash_world import Receiver, World
from tests.e2e.platform_driver import Platform

pytestmark = pytest.mark.integration

STUBBORN = "trap '' TERM; touch $0; while :; do sleep 0.05; done"
POSTING = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: tell}
spec:
  dependencies: [{name: poke, eventSourceName: me, eventName: poke}]
  triggers:
    - template:
        name: post
        http: {url: URL, method: POST, payload: [{src: {dependencyName: poke, dataKey: count}, dest: count}]}
"""


@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_a_run_whose_step_ignores_sigterm_still_ends_within_its_grace(tmp_path: Path, verb: str) -> None:
    with Receiver() as receiver:
        learn = ("/bin/sh", "-c", STUBBORN, str(tmp_path / "began"))
        world = World.make(tmp_path, receiver, learn=learn, sensors=("train",))
        world.platform.environment["RETRAIN_PIPELINES_GRACE_S"] = "0.5"
        with world.platform as platform:
            world.send_until_taken(0)
            platform.wait((tmp_path / "began").exists, "the step works")
            (run,) = platform.items("runs")
            name = run["metadata"]["name"]
            assert json.loads(platform.command("runs", verb, name, "-o", "json")) == {"name": name, "asked": verb}
            platform.command("runs", "watch", name, code=1)
            ended = json.loads(platform.command("runs", "get", name, "-o", "json"))
            assert ended["status"]["phase"] == "Failed"
            platform.wait(lambda: not platform.step_processes(), "the step is gone")


class Moody(BaseHTTPRequestHandler):
    """Refuses for good until it is told otherwise."""

    status = 400
    taken: list[Any] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.status == 200:
            self.taken.append(body)
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def moody() -> Iterator[tuple[type[Moody], str]]:
    kind = type("MoodyOnce", (Moody,), {"taken": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield kind, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_dead_letter_is_shown_and_redriven(tmp_path: Path, moody: tuple[type[Moody], str]) -> None:
    kind, url = moody
    platform = Platform(tmp_path / "platform")
    platform.write("sensor.yaml", POSTING.replace("URL", url))
    with platform:
        platform.command("events", "emit", "--source", "me", "--name", "poke", "--data", '{"count": 7}')
        (letter,) = platform.wait(lambda: platform.items("deadletters"), "the refusal is for good")
        assert "400" in letter["reason"]
        shown = json.loads(platform.command("deadletters", "show", letter["id"], "-o", "json"))
        assert shown == letter
        (firing,) = platform.items("firings", state="dead")

        kind.status = 200
        redriven = platform.command("deadletters", "redrive", letter["id"], "-o", "name")

        assert redriven == f"{firing['id']}\n"
        platform.wait(lambda: platform.items("firings", state="done"), "it is done at last")
        assert kind.taken == [{"count": "7"}]
        platform.command("deadletters", "redrive", letter["id"], code=1)


def test_init_lint_and_doctor_need_no_platform(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "platform")
    folder = tmp_path / "mein Projekt"
    files = platform.command("init", str(folder), "-o", "name").splitlines()
    assert files
    assert all(Path(file).is_file() for file in files)
    platform.command("init", str(folder), code=2)
    report = json.loads(platform.command("lint", str(folder), "-o", "json"))
    assert (report["files"], report["findings"]) == (len(files), [])
    checks = {one["name"]: one for one in json.loads(platform.command("doctor", "-o", "json"))["items"]}
    assert checks["python"]["ok"]
    assert checks["bus"]["ok"]


def test_what_init_writes_trains_on_the_first_file(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "platform")
    platform.command("init", str(platform.project))
    with platform:
        (platform.project / "inbox" / "day 1.csv").write_text("a,b\n1,2\n")
        run = platform.wait(
            lambda: next((r for r in platform.items("runs") if r["status"]["phase"] == "Succeeded"), None), "it trains"
        )
        assert "trained on 2 rows" in platform.command("runs", "logs", run["metadata"]["name"])
