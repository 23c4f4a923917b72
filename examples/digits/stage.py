"""The demo's hands: makes the place, drives the platform from outside, and waits for what must happen."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from examples.digits.repository import Failure, Repository

HERE = Path(__file__).parent
RETRAIN = str(Path(sys.executable).with_name("retrain"))
PATIENCE_S = 180.0
LIVE = "overlays/staging/model.yaml"
"""The manifest that names the live model."""


class Stage:
    """A platform on the digits project, in one folder."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.log = place / "platform.log"
        self.url = ""
        self.token = ""
        self.repository = Repository(place / "deployment.git", LIVE)
        self._platform: subprocess.Popen[str] | None = None
        self._told: list[tuple[str, str]] = []

    def prepare(self) -> None:
        """Cut the data, fill in the project's paths, and make the deployment repo."""
        self.place.mkdir(parents=True)
        self.cut()
        (self.place / "inbox").mkdir()
        self.write_project(sorted((HERE / "project").glob("*.yaml")))
        self.repository.make(HERE / "deployment")

    def cut(self, *words: str) -> None:
        """Cut the images into days, as the program's options say."""
        subprocess.run([sys.executable, HERE / "steps/cut.py", self.place / "data", *words], check=True)

    def words(self) -> dict[str, object]:
        """What the project's `${NAME}` stand for."""
        return {
            "INBOX": self.place / "inbox",
            "STEPS": HERE / "steps",
            "WORK": self.place / "work",
            "DEPLOYMENT": self.repository.path,
            "MANIFEST": LIVE,
            "CODE": "",
        }

    def write_project(self, files: Sequence[Path]) -> None:
        """Write the project's files, filled in. What is there is written anew."""
        project = self.place / "project"
        project.mkdir(exist_ok=True)
        for file in files:
            text = file.read_text()
            for name, value in self.words().items():
                text = text.replace(f"${{{name}}}", str(value))
            (project / file.name).write_text(text)

    # --- the platform --------------------------------------------------------------------------------------------

    def start(self) -> float:
        """Start the platform and wait until it is ready; how many seconds that took."""
        began = time.monotonic()
        words = [RETRAIN, "up", str(self.place / "project"), "--data", str(self.place / "state"), "--port", "0"]
        with self.log.open("a") as log:
            self._platform = subprocess.Popen([*words, "-o", "json"], stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._platform.stdout is not None
        line = self._platform.stdout.readline()
        if not line:
            raise Failure(f"the platform did not start (exit {self._platform.wait()})")
        self.url = json.loads(line)["url"]
        return time.monotonic() - began

    def kill(self) -> None:
        """`kill -9` the platform, if it runs."""
        if self._platform is not None and self._platform.poll() is None:
            self._platform.send_signal(signal.SIGKILL)
            self._platform.wait()
        if self._platform is not None and self._platform.stdout is not None:
            self._platform.stdout.close()
        self._platform = None

    def stop(self) -> None:
        """Ask the platform to end, and see that it does."""
        assert self._platform is not None
        self._platform.send_signal(signal.SIGTERM)
        code = self._platform.wait(timeout=30)
        self.expect(code == 0, f"the platform ended with 0, not {code}")
        self.expect(not self.left_over(), "nothing is left running")

    def clear(self) -> None:
        """Leave nothing running, whatever happened: steps outlive a killed platform, to be found again by the next."""
        self.kill()
        for line in self.left_over():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)

    def left_over(self) -> list[str]:
        """Processes that work in the demo's folder and are not the demo."""
        found: list[str] = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and any(str(self.place).encode() in word for word in words):
                found.append(f"{entry.name} {b' '.join(words)[:80].decode(errors='replace')}")
        return found

    def last_lines(self, count: int) -> str:
        """The end of the platform's log."""
        return "\n".join(self.log.read_text().splitlines()[-count:]) if self.log.exists() else ""

    # --- what arrives --------------------------------------------------------------------------------------------

    def send_features(self, date: str, again: str | None = None) -> dict[str, Any]:
        """Let a day's features arrive as a file; the event that tells of it."""
        name = f"{again or date}.csv"
        part = self.place / "inbox" / f".{name}.part"
        shutil.copyfile(self.place / "data" / date / "features.csv", part)
        part.rename(self.place / "inbox" / name)
        self._told.append((again or date, "features"))
        return self.wait(lambda: self._event("features", name), f"an event tells of {name}")

    def _event(self, subject: str, text: str) -> dict[str, Any] | None:
        items = self.get(f"/api/v1/events?subject={subject}&text={text}")["items"]
        return items[0] if items else None

    def send_labels(self, date: str, *, corrected: bool = False) -> dict[str, Any]:
        """Send a day's labels to the webhook, as the labelling tool does; the event that tells of them."""
        body = json.loads((self.place / "data" / date / "labels.json").read_text())
        if corrected:
            body["labels"] = {image: (digit - 1) % 10 for image, digit in body["labels"].items()}
        request = urllib.request.Request(f"{self.url}/labels", json.dumps(body).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            self.expect(answer.status in {200, 202}, "the webhook has taken the labels")
        return self.wait(lambda: self._event("labels", date), f"an event tells of the labels of {date}")

    # --- what happens --------------------------------------------------------------------------------------------

    def finished_run(self, count: int) -> dict[str, Any]:
        """The newest run, once there are `count` of them and it is over."""

        def over() -> dict[str, Any] | None:
            items = self.get("/api/v1/runs")["items"]
            done = len(items) >= count and items[0]["status"]["phase"] in {"Succeeded", "Failed", "Error"}
            return items[0] if done else None

        return self.wait(over, f"run {count} is over")

    def training_run(self) -> str:
        """The name of the run that trains models just now."""

        def training() -> str | None:
            for item in self.get("/api/v1/runs?phase=Running")["items"]:
                nodes = self.get(f"/api/v1/runs/{item['metadata']['name']}")["status"].get("nodes", {}).values()
                if any(n.get("templateName") == "train" and n["phase"] == "Running" for n in nodes):
                    return str(item["metadata"]["name"])
            return None

        return self.wait(training, "a run trains models")

    def promotion(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The newest promotion that is as wanted, with its diff."""

        def found() -> dict[str, Any] | None:
            return next((one for one in self.get("/api/v1/promotions")["items"] if wanted(one)), None)

        return self.get(f"/api/v1/promotions/{self.wait(found, 'a promotion is decided')['id']}")

    def summary(self) -> list[tuple[str, ...]]:
        """One row for each promotion: what arrived, the run, its figures, what was decided, the commit, and why."""
        runs = {run["metadata"]["uid"]: run for run in self.get("/api/v1/runs")["items"]}
        rows: list[tuple[str, ...]] = []
        for one in reversed(self.get("/api/v1/promotions")["items"]):
            run = runs.get(one["run"] or "", {})
            words = {
                p["name"]: p.get("value", "") for p in run.get("spec", {}).get("arguments", {}).get("parameters", [])
            }
            arrived = Path(words.get("features", "")).stem if one["action"] == "promote" else "a person's rollback"
            figures = (one["candidate"].get("evaluation") or {}).get("metrics") or {}
            accuracy = f"{figures['accuracy']:.4f}" if "accuracy" in figures else ""
            failed = [f"{gate['name']}: {gate['reason']}" for gate in one["gates"] if gate["verdict"] == "fail"]
            why = failed[-1] if failed else one["reason"]
            name = run.get("metadata", {}).get("name", "")
            rows.append((arrived, name, accuracy, one["state"], (one["commit"] or "")[:12], why))
        return rows

    # --- asking and waiting --------------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        """What the platform's API answers."""
        request = urllib.request.Request(f"{self.url}{path}")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def command(self, *words: str, token: str = "", code: int = 0) -> str:
        """What a `retrain` command prints, on stdout and on stderr; it must end with `code`."""
        settings = {"RETRAIN_SERVER": self.url, "RETRAIN_SERVER_TOKEN": token or self.token}
        done = subprocess.run(
            [RETRAIN, *words], capture_output=True, text=True, env={**os.environ, **settings}, check=False
        )
        if done.returncode != code:
            raise Failure(f"retrain {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout + (done.stderr if code else "")

    def shorten(self, text: str) -> str:
        """A text without the way to the place."""
        return text.replace(str(self.place), self.place.name)

    def expect(self, happened: bool, what: str) -> None:
        """Hold the story to what happened."""
        if not happened:
            raise Failure(f"expected: {what}")

    def wait(self, look: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self._platform is not None and self._platform.poll() is not None:
                raise Failure(f"the platform ended by itself with {self._platform.returncode}")
            if found := look():
                return found
            time.sleep(0.05)
        raise Failure(f"waited {PATIENCE_S:.0f} s for: {what}")
