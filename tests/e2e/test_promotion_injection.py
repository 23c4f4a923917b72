"""The table of hostile texts at the doors of a running platform: events, the API, the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from tests.e2e.platform_driver import RETRAIN, Platform, git, make_repository
from tests.e2e.test_promotion_people import MODEL, PROJECT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TEXTS = {
    one["name"]: one["text"]
    for one in yaml.safe_load((Path(__file__).parents[1] / "data/injection/texts.yaml").read_text())
}
SENT = ("option", "trailer after a paragraph", "trailer by line separator", "fast-import command", "NUL", "escape",
        "template", "yaml key", "shell", "markup", "lone surrogate", "credentials in an address")  # fmt: skip
FILES = {"staging.yaml", "production.yaml", ".retrain/model/staging.json", ".retrain/model/production.json"}
KEYS = ("Retrain-", "Model-", "Gate-", "Previous-", "Approved-By")


@dataclass
class House:
    """A platform whose Promotion `model` waits for people on its way to production."""

    platform: Platform
    repository: Path

    def promotions(self, **which: str) -> list[dict[str, Any]]:
        return self.platform.items("promotions", **which)

    def emit(self, number: int, candidate: dict[str, Any]) -> int:
        event = {"specversion": "1.0", "id": f"e-{number}", "source": "lab", "type": "model", "subject": "model"}
        body = {
            **event,
            "data": {"candidate": {"digest": f"sha256:{number:064x}", "uri": f"s3://x/{number}", **candidate}},
        }
        return self.platform.emit(body).status

    def act(self, name: str, verb: str, body: Any) -> int:
        return self.platform.post(f"/api/v1/promotions/{quote(name, safe='', errors='replace')}/{verb}", body).status


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("house")
    repository = place / "deploy.git"
    make_repository(repository, {"staging.yaml": MODEL, "production.yaml": MODEL})
    platform = Platform(place)
    project = PROJECT.replace("REPOSITORY", str(repository)).replace("{required: 1}", "{notBy: nobody}")
    platform.write("project.yaml", project)
    with platform:
        yield House(platform, repository)
        assert platform.stop() == 0


def test_what_events_say_is_refused_or_stays_a_value(house: House) -> None:
    before = len(git(house.repository, "rev-list", "main").split())
    statuses = [
        house.emit(number, dict.fromkeys(("version", "run"), TEXTS[name]) | {"events": [TEXTS[name]]})
        for number, name in enumerate(SENT, 1)
    ]
    house.emit(99, {"version": "last"})

    def over() -> bool:
        found = house.promotions(environment="staging")
        return any(one["candidate"].get("version") == "last" and one["commit"] for one in found)

    house.platform.wait(over, "the last one is in staging")

    assert set(statuses) <= {202, 400, 422}
    commits = git(house.repository, "rev-list", "main").split()
    ends = {one["commit"]: one["state"] for one in house.promotions() if one["commit"]}
    assert set(commits[: len(commits) - before]) == set(ends)
    check_commits(house)


def check_commits(house: House) -> None:
    """Each of ours changes files that are declared, says what we say, and is by whom we say."""
    for commit in git(house.repository, "rev-list", "main").split()[:-1]:
        names = set(git(house.repository, "diff-tree", "--no-commit-id", "-r", "--name-only", commit).split())
        assert names <= FILES
        shown = git(house.repository, "log", "-1", "--format=%an <%ae>%n%(trailers:only,keyonly)", commit).splitlines()
        assert shown[0] == "Retrain <retrain@localhost>"
        assert all(
            key.startswith(("Retrain-", "Model-", "Gate-", "Previous-", "Approved-By")) for key in shown[1:] if key
        )
        assert shown.count("Approved-By") <= 1
    git(house.repository, "fsck", "--strict", "--no-dangling")


ODD: list[Any] = [1, None, [], {"a": 1}, True, "x" * 300_000]


def test_no_request_breaks_the_platform_or_leads_elsewhere(house: House) -> None:
    said: dict[tuple[str, str], int] = {}
    for name, text in TEXTS.items():
        said[name, "approve"] = house.act(text, "approve", {"reason": text, "subject": text})
        said[name, "rollback"] = house.act("model", "rollback", {"environment": text, "reason": text})
        said[name, "hold"] = house.act(text, "hold", {"environment": "staging", "reason": text})
        said[name, "verb"] = (
            house.act("model", quote(text.replace("/", ""), errors="replace"), {"reason": "x"}) if text else 404
        )
        shown = quote(text, safe="", errors="replace")
        said[name, "show"] = house.platform.send("GET", f"/api/v1/promotions/{shown}").status if text else 404
    assert {key: status for key, status in said.items() if not 400 <= status < 500} == {}
    odd = [
        house.act("model", verb, {"environment": one, "reason": one}) for verb in ("hold", "rollback") for one in ODD
    ]
    odd += [house.act("model", "hold", {"environment": "staging", "reason": one}) for one in ODD[:-1]]
    assert all(400 <= status < 500 for status in odd), odd
    assert house.platform.items("holds") == []


def test_what_people_say_is_kept_on_one_line(house: House) -> None:
    for name, text in TEXTS.items():
        assert house.act("model", "hold", {"environment": "staging", "reason": text, "actor": text or "x"}) in {
            200, 400, 403, 422,
        }, name  # fmt: skip
        for one in house.platform.items("holds"):
            assert len(one["reason"].splitlines()) <= 1
    assert house.act("model", "release", {"environment": "staging", "actor": "ada"}) == 200
    (waiting,) = house.promotions(environment="production", state="awaiting")
    forged = TEXTS["trailer after a paragraph"]

    assert house.act(waiting["id"], "approve", {"reason": forged, "actor": "ada"}) == 200
    gone = {"environment": "production", "state": "committed"}
    house.platform.wait(lambda: bool(house.promotions(**gone)), "it goes to production")

    lines = git(house.repository, "log", "-1", "--format=%(trailers:key=Approved-By,valueonly)").splitlines()
    assert [line.partition(" ")[0] for line in lines if line] == ["ada"]
    check_commits(house)


@pytest.mark.parametrize("name", ["option", "trailer", "climb encoded", "escape", "template"])
def test_the_command_line_takes_a_word_for_a_word(house: House, name: str, tmp_path: Path) -> None:
    words = [RETRAIN, "promotions", "show", "--server", house.platform.url, "--", TEXTS[name]]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert done.returncode in {1, 2}, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_log_holds_no_command_of_a_terminal_and_no_password(house: House) -> None:
    log = house.platform.log.read_text(errors="surrogateescape")

    assert "\x1b]0;" not in log
    assert "\x1b[2J" not in log
    assert "hunter2" not in log
    assert json.dumps(house.platform.get("/readyz"))
