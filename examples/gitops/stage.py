"""The demo's hands: digits' stage, with people who have tokens, a training repo, a signing key and a model server."""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from examples.digits import stage as digits
from examples.digits.repository import Failure, Repository, git
from examples.gitops.terminal import on_terminal

HERE = Path(__file__).parent
LIVE = "overlays/production/model.yaml"
PEOPLE = ("ada", "ben", "cleo", "olga", "story")
DAYS = (
    ("2026-11-18", 0, 100, 0),
    ("2026-11-19", 100, 800, 0),
    ("2026-11-20", 800, 820, 0),
    ("2026-11-21", 820, 1400, 0),
)
"""Date, first and last image, and what the labelling tool adds. The third day is small: what it changes is chance."""
ENVIRONMENTS = ("staging", "canary", "production")
NO_FREEZE = "freeze: []"


class GitOpsStage(digits.Stage):
    """The digits project with another Promotion, in one folder."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.repository = Repository(place / "deployment.git", LIVE)
        self.training = place / "training"
        self.tokens = {name: secrets.token_urlsafe(24) for name in PEOPLE}
        self.token = self.tokens["story"]
        self.signers = place / "keys" / "allowed-signers"
        self.server = ""
        self._server: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        """Everything but the platform. The model server runs after it."""
        self.place.mkdir(parents=True)
        self.cut("--days", json.dumps(DAYS))
        (self.place / "inbox").mkdir()
        self._make_key()
        self._make_training()
        self.repository.make(digits.HERE / "deployment", HERE / "deployment")
        self._serve()
        shared = [digits.HERE / "project" / f"{name}.yaml" for name in ("sources", "sensor", "workflow")]
        self.write_project([*shared, *sorted((HERE / "project").glob("*.yaml"))])
        (self.place / "project" / "smoke.json").write_text(json.dumps([self._smoke()]))

    def words(self) -> dict[str, object]:
        """See `Stage.words`."""
        hashed = {name.upper(): sha256(token.encode()).hexdigest() for name, token in self.tokens.items()}
        own = {"STEPS": self.training, "CODE": self.training, "MANIFEST": LIVE, "KEY": self.place / "keys" / "retrain"}
        return {**super().words(), **own, "PORT": self.server.rpartition(":")[2], **hashed}

    def _smoke(self) -> dict[str, Any]:
        """A request in KServe's v2 protocol: one image of each digit, with what it shows among the parameters."""
        day = self.place / "data" / DAYS[0][0]
        labels: dict[str, int] = json.loads((day / "labels.json").read_text())["labels"]
        with (day / "features.csv").open(newline="") as file:
            images = {row.pop("id"): [float(pixel) for pixel in row.values()] for row in csv.DictReader(file)}
        shown = [next(image for image, label in labels.items() if label == digit) for digit in range(10)]
        pixels = [pixel for image in shown for pixel in images[image]]
        tensor = {"name": "pixels", "shape": [10, 64], "datatype": "FP32", "data": pixels}
        return {"parameters": {"digits": list(range(10))}, "inputs": [tensor]}

    def _make_key(self) -> None:
        if shutil.which("ssh-keygen") is None:
            raise Failure("git signs commits with ssh-keygen; install it (on Debian: apt install openssh-client)")
        key = self.signers.parent / "retrain"
        key.parent.mkdir(mode=0o700)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "retrain", "-f", key], check=True)
        self.signers.write_text(f'retrain@localhost namespaces="git" {key.with_suffix(".pub").read_text()}')

    def _make_training(self) -> None:
        shutil.copytree(digits.HERE / "steps", self.training, ignore=shutil.ignore_patterns("__pycache__"))
        git(self.training, "init", "--quiet", "--initial-branch=main")
        self._commit("Train digits")

    def _commit(self, words: str) -> None:
        git(self.training, "add", ".")
        who = ("-c", "user.name=cleo", "-c", "user.email=cleo@localhost")
        git(self.training, *who, "commit", "--quiet", "-m", words)

    # --- what people do ------------------------------------------------------------------------------------------

    def as_(self, name: str, *words: str, width: int, code: int = 0) -> str:
        """What a `retrain` command shows this person, or anybody, on a terminal. It must end with `code`."""
        settings = {"RETRAIN_SERVER": self.url, "RETRAIN_SERVER_TOKEN": self.tokens.get(name, "")}
        told, ended = on_terminal([digits.RETRAIN, *words], {**os.environ, **settings}, width)
        self.expect(ended == code, f"retrain {' '.join(words)} ends with {code}, not {ended}: {told}")
        return told

    def scale_pixels(self) -> str:
        """Change the training code: pixels from 0 to 1; the line that is new."""
        file = self.training / "lake.py"
        new = "SCALE = 16"
        file.write_text(file.read_text().replace("SCALE = 1\n", f"{new}\n", 1))
        self._commit("Scale pixels to 0..1")
        return new

    def freeze(self, reason: str) -> None:
        """Freeze production for a day, as its Promotion says it."""
        now = datetime.now(UTC).replace(microsecond=0)
        stretch = {"from": now.isoformat(), "to": (now + timedelta(days=1)).isoformat(), "reason": reason}
        self._rewrite(NO_FREEZE, f"freeze: [{json.dumps(stretch)}]")

    def thaw(self) -> None:
        """Take the freeze out of the Promotion again."""
        file = self.place / "project" / "promotion.yaml"
        line = next(line.strip() for line in file.read_text().splitlines() if line.strip().startswith("freeze:"))
        self._rewrite(line, NO_FREEZE)

    def _rewrite(self, old: str, new: str) -> None:
        file = self.place / "project" / "promotion.yaml"
        file.write_text(file.read_text().replace(old, new))
        request = urllib.request.Request(f"{self.url}/api/v1/reload", b"{}", method="POST")
        request.add_header("Authorization", f"Bearer {self.tokens['olga']}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=digits.PATIENCE_S) as answer:
            self.expect(answer.status == 200, "the platform takes the changed Promotion")

    # --- what happens --------------------------------------------------------------------------------------------

    def on_its_way(self, run: str, environment: str, *states: str) -> dict[str, Any]:
        """The promotion of a run's model to an environment, once it is in one of these states."""

        def there() -> dict[str, Any] | None:
            items = self.get(f"/api/v1/promotions?environment={environment}")["items"]
            found = next((one for one in items if one["run"] == run and one["action"] == "promote"), None)
            if found is None or found["state"] in states:
                return found
            if found["state"] in {"refused", "failed", "noop", "rejected"}:
                raise Failure(f"{environment}: the promotion is {found['state']}: {found['reason']}")
            return None

        found = self.wait(there, f"the model of {run} is {' or '.join(states)} in {environment}")
        return self.get(f"/api/v1/promotions/{found['id']}")

    def is_proposed(self, run: str, environment: str) -> bool:
        """Whether a run's model was proposed to an environment."""
        return any(one["run"] == run for one in self.get(f"/api/v1/promotions?environment={environment}")["items"])

    def evidence(self) -> tuple[str, ...]:
        """What `promotions verify` takes to check a commit of production."""
        repo, signers = str(self.repository.path), str(self.signers)
        return ("--repo", repo, "--allowed-signers", signers, "--environment", "production")

    def production(self) -> list[tuple[str, ...]]:
        """One row for each promotion to production: what arrived, accuracy, what became of it, the commit, and why."""
        rows: list[tuple[str, ...]] = []
        for one in reversed(self.get("/api/v1/promotions?environment=production")["items"]):
            batches = (one["candidate"].get("parameters") or {}).get("batches") or []
            figures = (one["candidate"].get("evaluation") or {}).get("metrics") or {}
            arrived = batches[-1] if one["action"] == "promote" else "(rollback)"
            accuracy = f"{figures['accuracy']:.4f}" if "accuracy" in figures else ""
            rows.append((arrived, accuracy, one["state"], (one["commit"] or "")[:12], one["reason"]))
        return rows

    # --- the model server ----------------------------------------------------------------------------------------

    def _serve(self) -> None:
        words = [sys.executable, HERE / "server.py", "--repo", self.repository.path, "--manifest", LIVE]
        with (self.place / "server.log").open("w") as log:
            self._server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._server.stdout is not None
        self.server = self._server.stdout.readline().strip()

    def stop_server(self) -> None:
        """End the model server."""
        if self._server is not None:
            self._server.terminate()
            self._server.communicate()
            self._server = None

    def clear(self) -> None:
        """See `Stage.clear`."""
        self.stop_server()
        super().clear()
