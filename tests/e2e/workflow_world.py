"""The world of the workflow crash tests: a platform with workflows, each step of which leaves its lines in a file.

A step writes `begin` and, as its last act, `end` into `marks/<its name>` in the project, not in its private root. So
a step that ran twice has its lines twice, and one that was lost lacks them.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

from retrain.bus.embedded import free_port
from tests.e2e.platform_driver import Platform, Unreachable

SEED = int(os.environ.get("RETRAIN_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
"""Of all that is random here; a failure shows it, and the variable repeats it."""
BINDING = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: go}
spec:
  event: {selector: discriminator == "go"}
  submit:
    workflowTemplateRef: {name: job}
    arguments: {parameters: [{name: run, valueFrom: {event: payload.run}}]}
"""
JOB = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: job}
spec:
  entrypoint: all
  arguments: {parameters: [{name: run}]}
"""
SETTINGS = "pipelines: {max_steps: 6}\n"
ONCE = ["begin", "end"]
START_S = 2.0
"""About what a start takes: a platform that is killed while it starts dies at a moment within."""


class WorkflowWorld:
    """A platform on a WorkflowTemplate `job`: `rest` is what follows JOB."""

    def __init__(self, place: Path, rest: str) -> None:
        self.platform = Platform(place / "platform")
        self.marks = self.platform.project / "marks"
        self.marks.mkdir()
        self.port = free_port()
        self.platform.write("retrain.yaml", SETTINGS)
        self.platform.write("binding.yaml", BINDING)
        self.platform.write("job.yaml", JOB + rest)

    # --- what goes in --------------------------------------------------------------------------------------------

    def start(self, fault: str | None = None) -> None:
        self.platform.start(fault=fault, port=self.port)

    def ask(self, run: str) -> bool:
        """Ask for a run once; whether that was acknowledged."""
        try:
            return self.platform.post("/api/v1/events/default/go", {"run": run}, {"X-Event-Id": run}).taken
        except Unreachable:
            return False

    def submit(self, run: str) -> None:
        """Ask for a run until that is acknowledged."""
        self.platform.wait(lambda: self.ask(run), f"the event of run {run} is acknowledged")

    def kill_at_random(self, kills: int, chance: random.Random, longest_s: float) -> None:
        """`kill -9` the platform so often, at any moment of its life: also while it starts. It runs afterwards."""
        for _ in range(kills):
            if not self.platform.running and chance.random() < 0.3:
                self.platform.launch(port=self.port)
                time.sleep(chance.uniform(0.0, START_S))
            else:
                if not self.platform.running:
                    self.start()
                time.sleep(chance.uniform(0.0, longest_s))
            assert self.platform.running, f"it ended by itself:\n{self.platform.last_lines(40)}"
            self.platform.kill()
        self.start()

    # --- what comes out ------------------------------------------------------------------------------------------

    def open_runs(self) -> int:
        return self.platform.rows("SELECT count(*) FROM runs WHERE finished IS NULL")[0][0]

    def await_over(self, count: int, timeout_s: float = 120.0) -> None:
        """Wait until there are `count` runs, and none is open."""

        def over() -> bool:
            return self.platform.rows("SELECT count(*) FROM runs")[0][0] >= count and self.open_runs() == 0

        self.platform.wait(over, f"{count} runs have ended", timeout_s)

    def runs(self) -> list[dict[str, Any]]:
        """The Workflow objects with their nodes."""
        names = [run["metadata"]["name"] for run in self.platform.items("runs")]
        return [self.platform.get(f"/api/v1/runs/{name}") for name in names]

    def lines(self) -> dict[str, list[str]]:
        """What each step left."""
        return {mark.name: mark.read_text().split() for mark in self.marks.iterdir()}

    def check_each_once(self, expected: int) -> None:
        """Every step went from its begin to its end, once."""
        lines = self.lines()
        assert {name: said for name, said in lines.items() if said != ONCE} == {}
        assert len(lines) == expected

    def check_succeeded(self, count: int) -> list[dict[str, Any]]:
        """All runs ended well, once, and no node of theirs is open; the runs."""
        runs = self.runs()
        nodes = [node for run in runs for node in run["status"]["nodes"].values()]
        wrong = [one for one in nodes if one["phase"] not in {"Succeeded", "Skipped", "Omitted"}]
        assert [(one["name"], one["phase"], one.get("message")) for one in wrong] == []
        said = [(run["status"]["phase"], run["status"].get("message")) for run in runs]
        assert said == [("Succeeded", None)] * count
        told = self.platform.items("events", subject="run.succeeded")
        assert len({event["id"] for event in told}) == len(told)
        return runs

    def check_calm(self) -> None:
        """It ends when it is asked to, leaves nothing behind, and nothing that came was a surprise."""
        assert self.platform.stop() == 0
        assert self.platform.processes() == []
        assert "Traceback" not in self.platform.log.read_text()


def outputs(run: dict[str, Any]) -> dict[str, Any]:
    """The workflow's outputs, read as JSON."""
    found = (run["status"].get("outputs") or {}).get("parameters") or []
    return {one["name"]: json.loads(one["value"]) for one in found}
