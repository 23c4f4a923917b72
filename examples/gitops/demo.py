"""From a day's data to production, through Git and people, told as it happens: `make demo-gitops`.

The digits project with another Promotion: staging, canary, production. Drives the `retrain` command from outside; each
person has a token. Exits non-zero if the story did not happen. Leaves `.demo-gitops/` to look at, and nothing running.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from examples.digits import telling
from examples.digits.telling import console, say
from examples.gitops.stage import GitOpsStage

PLACE = Path(__file__).parents[2] / ".demo-gitops"
YES = {"ada": "looked at the worst digits", "ben": "the gain is real"}


def main(place: Path = PLACE) -> int:
    """Tell the story in a folder, which is thrown away first; 0 if it happened."""
    return telling.tell(_story, GitOpsStage(place))


def _story(stage: GitOpsStage) -> None:
    say(
        "Setting the stage",
        "a bare Git repo with KServe manifests for three environments; the training code's repo; a signing key; tokens",
    )
    stage.prepare()
    took = stage.start()
    console.print(f"platform up at {stage.url} in {took:.1f} s")
    console.print(f"a model server at {stage.server} follows production, in the place of Argo CD and KServe")
    console.print("ada and ben approve, cleo writes the training code, olga is on call; story is the demo: it looks")
    first = _two_people(stage)
    second = _frozen(stage)
    _trace(stage, second)
    _noise(stage)
    _rolled_back(stage, first)
    _unfit(stage, first)
    _checked(stage, second)
    telling.summary(("MODEL OF", "ACCURACY", "PRODUCTION", "COMMIT", "WHY"), stage.production())
    stage.stop_server()
    stage.stop()


def _two_people(stage: GitOpsStage) -> dict[str, Any]:
    say("1. Three environments, two people", "staging and canary let the first model through; production asks people")
    run = _arrives(stage, 1, "2026-11-18")
    waiting = _through(stage, run, "awaiting")
    _shown(stage, waiting)

    say("2. Nobody approves their own", "cleo may approve, but she wrote the commit that this model was trained from")
    told = _as(stage, "cleo", "promotions", "approve", waiting["id"], "--reason", "my best one yet", code=1)
    stage.expect("somebody else must approve it" in told, "cleo is told why not")
    _approve(stage, waiting)
    return _landed(stage, run)


def _frozen(stage: GitOpsStage) -> dict[str, Any]:
    say("3. A better model, and a frozen production", "the gain is more than noise, but it is the quarter's end")
    stage.freeze("the quarter's end")
    run = _arrives(stage, 2, "2026-11-19")
    waiting = _through(stage, run, "awaiting")
    telling.gates(waiting)
    _approve(stage, waiting)
    found = stage.wait(lambda: _only_frozen(stage, waiting["id"]), "nothing but the freeze keeps it")
    console.print(f"  [yellow]{found['state']}[/]", Text(found["reason"], style="dim"))
    stage.thaw()
    console.print("the freeze is taken out of the Promotion, and the project is loaded again")
    return _landed(stage, run)


def _only_frozen(stage: GitOpsStage, name: str) -> dict[str, Any] | None:
    found = stage.get(f"/api/v1/promotions/{name}")
    return found if found["state"] == "awaiting" and found["reason"].startswith("frozen until") else None


def _trace(stage: GitOpsStage, landed: dict[str, Any]) -> None:
    say("4. Back to the data", "from the commit in production to the file that arrived")
    told = _as(stage, "story", "trace", landed["commit"][:12])
    for kind in ("object file://", "run r-", f"commit {landed['commit']}"):
        stage.expect(kind in told, f"the trace has {kind}")


def _noise(stage: GitOpsStage) -> None:
    say("5. A better figure that is noise", "twenty more images: five more of the hold-out are right, by chance")
    run = _arrives(stage, 3, "2026-11-20")
    before = stage.repository.live()
    refused = _through(stage, run, "refused")
    _shown(stage, refused)
    (gate,) = (one for one in refused["gates"] if one["name"] == "better-than-live")
    stage.expect(gate["figures"]["delta"] > 0.01, "its accuracy is better by more than a point")
    stage.expect("is not certain" in gate["reason"], "and that is not certain")
    stage.expect(stage.repository.live() == before, "production is as it was")


def _rolled_back(stage: GitOpsStage, first: dict[str, Any]) -> None:
    say("6. A person rolls back, and it stays", "olga is on call. What comes after it stops before production")
    _as(stage, "olga", "promotions", "rollback", "digits", "-e", "production", "--reason", "odd answers on sevens")
    back = stage.promotion(lambda p: p["action"] == "rollback" and p["state"] == "live")
    telling.diff(stage, back)
    stage.expect(stage.repository.live() == stage.repository.live(first["commit"]), "the first model is live again")
    _as(stage, "story", "promotions", "holds")


def _unfit(stage: GitOpsStage, first: dict[str, Any]) -> None:
    say(
        "7. A model that its server cannot use",
        "cleo scales pixels to 0..1: training and evaluation know, servers do not",
    )
    console.print(f"cleo commits to the training repo: {stage.scale_pixels()}")
    run = _arrives(stage, 4, "2026-11-21")
    _through(stage, run)
    stage.expect(not stage.is_proposed(run, "production"), "a held production is not proposed to")
    console.print("  production is held: nothing is proposed to it")
    _as(stage, "olga", "promotions", "release", "digits", "-e", "production", "--reason", "it was the camera")
    waiting = stage.on_its_way(run, "production", "awaiting")
    telling.gates(waiting)
    console.print("[dim]too good: the live model was scored by the new code, on pixels that it was not trained for[/]")
    _approve(stage, waiting)
    undone = stage.on_its_way(run, "production", "rolled-back")
    _shown(stage, undone)
    stage.promotion(lambda p: p["action"] == "rollback" and p["actor"].startswith("retrain") and p["state"] == "live")
    stage.expect(stage.repository.live() == stage.repository.live(first["commit"]), "the first model is live once more")
    _as(stage, "story", "promotions", "holds")


def _checked(stage: GitOpsStage, landed: dict[str, Any]) -> None:
    say("8. Whoever has the repository can check it", "offline: signature, record, gate report, approvals, bytes")
    telling.lines(stage, stage.repository.commits())
    told = _as(stage, "anybody", "promotions", "verify", landed["commit"], *stage.evidence())
    for check in ("signature", "record", "trailers", "gates", "approvals", "edits", "chain"):
        stage.expect(re.search(rf"^{check} +yes ", told, re.MULTILINE) is not None, f"{check}: yes")
    # Any commit can be checked; the command ends with 1 where one of the answers is no.
    stage.as_("anybody", "promotions", "verify", stage.repository.head(), *stage.evidence(), width=console.width)


# --- the parts of a chapter ------------------------------------------------------------------------------------------


def _arrives(stage: GitOpsStage, count: int, date: str) -> str:
    """A day's two halves arrive, and a run follows; the run's id."""
    stage.send_features(date)
    stage.send_labels(date)
    run = stage.finished_run(count)
    name = run["metadata"]["name"]
    stage.expect(run["status"]["phase"] == "Succeeded", f"{name} succeeded")
    console.print(f"{date}: features by file, labels by webhook; {name} has trained three families of models")
    return str(run["metadata"]["uid"])


def _through(stage: GitOpsStage, run: str, end: str = "") -> dict[str, Any]:
    """The model goes through staging and canary; its promotion to production, once it has come to `end`."""
    found: dict[str, Any] = {}
    for environment in ("staging", "canary"):
        found = stage.on_its_way(run, environment, "committed")
        console.print(f"  [green]{found['state']}[/] {found['commit'][:12]} to {environment}")
    return stage.on_its_way(run, "production", end) if end else found


def _approve(stage: GitOpsStage, waiting: dict[str, Any]) -> None:
    for name, reason in YES.items():
        _as(stage, name, "promotions", "approve", waiting["id"], "--reason", reason)


def _landed(stage: GitOpsStage, run: str) -> dict[str, Any]:
    found = stage.on_its_way(run, "production", "live")
    console.print(f"  [green]{found['state']}[/] {found['commit'][:12]} to production")
    telling.diff(stage, found)
    for check in found["verification"]["checks"]:
        console.print(f"  [green]{check['verdict']}[/]  [bold]{check['name']}[/]:", Text(check["reason"]))
    return found


def _shown(stage: GitOpsStage, promotion: dict[str, Any]) -> None:
    """`promotions show`, without the changes."""
    _as(stage, "story", "promotions", "show", promotion["id"], until="FILE ")


def _as(stage: GitOpsStage, name: str, *words: str, code: int = 0, until: str = "") -> str:
    """Run a `retrain` command as a person, and show it with what it prints, up to the line that begins so."""
    told = stage.as_(name, *words, width=console.width - 2, code=code)
    said = " ".join(f'"{word}"' if " " in word else word for word in words)
    console.print(Text(stage.shorten(f"{name}$ retrain {said}"), style="bold"))
    shown = told.rstrip().splitlines()
    ends = [at for at, line in enumerate(shown) if until and line.startswith(until)]
    telling.lines(stage, shown[: ends[0]] if ends else shown, whole=True)
    return re.sub(r"\x1b\[[0-9;]*m", "", told)


if __name__ == "__main__":
    sys.exit(main())
