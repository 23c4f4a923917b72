"""The whole way on real data, told as it happens: `make demo`.

Drives the `retrain` command and its HTTP API from outside, as a user would, and prints what they answer. Exits non-zero
if the story did not happen. Leaves `.demo/` to look at, and nothing running.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from examples.digits import telling
from examples.digits.stage import Stage
from examples.digits.telling import console, say

PLACE = Path(__file__).parents[2] / ".demo"


def main() -> int:
    """Tell the story; 0 if it happened."""
    ended = telling.tell(_story, Stage(PLACE))
    if not ended:
        console.print("`make demo-gitops` goes on from here: to production, with people, and back.")
    return ended


def _story(stage: Stage) -> None:
    say(
        "Setting the stage",
        "1,797 handwritten digits (UCI), cut into days; a bare Git repo with KServe manifests; an empty platform",
    )
    stage.prepare()
    took = stage.start()
    console.print(f"platform up at {stage.url} in {took:.1f} s")
    first = _two_halves(stage)
    second = _better(stage)
    _corrupted(stage)
    third = _killed(stage)
    _trace(stage, third)
    _roll_back(stage, third, second)
    telling.summary(("ARRIVED", "RUN", "ACCURACY", "DECISION", "COMMIT", "WHY"), stage.summary())
    stage.stop()
    stage.expect(first != second != third, "three models went live one after the other")


def _two_halves(stage: Stage) -> str:
    say(
        "1. Halves of two days arrive",
        "the features of 2026-11-18, as a file, and the labels of the day after, by webhook",
    )
    features = stage.send_features("2026-11-18")
    labels = stage.send_labels("2026-11-19")
    console.print(f"event from {features['source']}/{features['subject']}: {Path(features['data']['name']).name}")
    console.print(f"event from {labels['source']}/{labels['subject']}: {labels['data']['body']['date']}")
    waiting = stage.command("sensors", "explain", "retrain-digits")
    telling.lines(stage, waiting.strip().splitlines())
    stage.expect("needs labels" in waiting, "the features wait for the labels of their day")
    stage.expect("needs features" in waiting, "the labels wait for the features of theirs")
    stage.expect(not stage.get("/api/v1/runs")["items"], "nothing runs: halves of two days do not meet")

    say("2. The other half arrives", "the labels of 2026-11-18. Three families of models train side by side")
    stage.send_labels("2026-11-18")
    run = stage.finished_run(1)
    telling.lines(stage, stage.command("runs", "get", run["metadata"]["name"]).strip().splitlines())
    return _promoted(stage, run, "committed")


def _better(stage: Stage) -> str:
    say("3. More data, a better model", "the features of 2026-11-19: champion and challenger on the same hold-out")
    stage.send_features("2026-11-19")
    return _promoted(stage, stage.finished_run(2), "committed")


def _corrupted(stage: Stage) -> None:
    say(
        "4. Corrupted labels", "2026-11-20: the labelling tool counts from one. The batch looks right; its model is not"
    )
    before = stage.repository.head()
    stage.send_features("2026-11-20")
    stage.send_labels("2026-11-20")
    _promoted(stage, stage.finished_run(3), "refused")
    stage.expect(stage.repository.head() == before, "a refused model leaves no commit")
    console.print(f"the deployment repo is still at {before[:12]}")


def _killed(stage: Stage) -> str:
    say(
        "5. kill -9 in the middle",
        "the labels of 2026-11-20 come again, corrected; the platform dies while models train",
    )
    stage.send_features("2026-11-20", again="2026-11-20-corrected")
    stage.send_labels("2026-11-20", corrected=True)
    name = stage.training_run()
    stage.kill()
    orphans = len(stage.left_over())
    console.print(
        f"killed while {name} was training; {orphans} processes of its steps work on alone, to be found again"
    )
    took = stage.start()
    console.print(f"started again in {took:.1f} s")
    run = stage.finished_run(4)
    stage.expect(run["metadata"]["name"] == name, "the interrupted run was taken up again, not started twice")
    stage.expect(len(stage.get("/api/v1/runs")["items"]) == 4, "there is no second run for the same data")
    commit = _promoted(stage, run, "committed")
    commits = stage.repository.commits()
    stage.expect(len(commits) == 4, f"one commit for each of three models (and the first), not {len(commits) - 1}")
    telling.lines(stage, commits)
    return commit


def _trace(stage: Stage, commit: str) -> None:
    say("6. Back to the data", f"retrain trace {commit[:12]}")
    chain = json.loads(stage.command("trace", commit, "-o", "json"))
    telling.lines(stage, stage.command("trace", commit).strip().splitlines())
    kinds = {node["kind"] for node in chain["nodes"]}
    stage.expect(
        kinds == {"object", "event", "firing", "run", "promotion", "commit"}, f"the trace is whole, not {kinds}"
    )


def _roll_back(stage: Stage, commit: str, previous: str) -> None:
    say("7. Roll back, and stay there", "a person brings the former model back; automation must not undo it")
    before = stage.repository.live()
    words = ("promotions", "rollback", "digits", "--reason", "odd predictions in staging", "--actor", "demo")
    telling.lines(stage, stage.command(*words).strip().splitlines())
    rolled_back = stage.promotion(lambda p: p["action"] == "rollback" and p["state"] == "committed")
    telling.diff(stage, rolled_back)
    stage.expect(stage.repository.live() != before, "another model is live")
    stage.expect(stage.repository.live() == stage.repository.live(previous), "the model before is live again")
    telling.lines(stage, stage.command("promotions", "holds").strip().splitlines())
    head = stage.repository.head()
    stage.send_features("2026-11-19", again="2026-11-19-again")
    stage.send_labels("2026-11-19")
    refused = _promoted(stage, stage.finished_run(5), "refused")
    stage.expect(stage.repository.head() == head, "automation leaves the held target alone")
    del refused, commit


def _promoted(stage: Stage, run: dict[str, Any], state: str) -> str:
    """Show how a run's model was judged; its commit."""
    name = run["metadata"]["uid"]
    stage.expect(run["status"]["phase"] == "Succeeded", f"{run['metadata']['name']} succeeded")
    found = stage.promotion(lambda p: p["run"] == name and p["state"] not in {"proposed", "gating", "committing"})
    telling.gates(found)
    stage.expect(found["state"] == state, f"the promotion is {state}, not {found['state']} ({found['reason']})")
    if state == "committed":
        console.print(f"  [green]committed[/] {found['commit'][:12]} to staging")
        telling.diff(stage, found)
    else:
        console.print(f"  [red]{state}[/]", Text(found["reason"].partition(": accuracy")[0], style="dim"))
    return str(found["commit"])


if __name__ == "__main__":
    sys.exit(main())
