"""People with tokens at a running platform: who may approve, what the terminal shows, and what stays on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import Platform, git, make_repository
from tests.e2e.promoting import PROJECT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TOKENS = {name: f"token-of-{name}-0123456789" for name in ("ada", "ben", "eve", "vic")}
SETTINGS = f"""\
access:
  users:
    ada: {{token: {TOKENS["ada"]}, roles: [approver]}}
    ben: {{token: {TOKENS["ben"]}, roles: [approver, operator]}}
    eve: {{token: {TOKENS["eve"]}, roles: [operator]}}
    vic: {{token: {TOKENS["vic"]}, roles: [viewer]}}
"""
MODEL = "kind: Model\nspec:\n  uri: none\n"
DIGEST = f"sha256:{'4f' * 32}"


@dataclass
class Office:
    """A platform whose people have tokens, with a model that waits to go to production. `ben` has sent it."""

    platform: Platform
    repository: Path
    waiting: str = ""

    def ask(self, name: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        words = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.platform.send(method, path, body, {"Authorization": f"Bearer {TOKENS[name]}", **words})

    def as_(self, name: str, *words: str, code: int = 0) -> str:
        """What `retrain` prints for this person."""
        self.platform.environment["RETRAIN_SERVER_TOKEN"] = TOKENS[name]
        try:
            return self.platform.command(*words, code=code)
        finally:
            del self.platform.environment["RETRAIN_SERVER_TOKEN"]

    def promotions(self) -> dict[str, Any]:
        items = self.ask("vic", "GET", "/api/v1/promotions").body["items"]
        return {one["environment"]: one for one in items}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    place = tmp_path_factory.mktemp("office")
    repository = place / "deploy.git"
    make_repository(repository, {"staging.yaml": MODEL, "production.yaml": MODEL})
    platform = Platform(place)
    platform.project.mkdir(exist_ok=True)
    (platform.project / "retrain.yaml").write_text(SETTINGS)
    (platform.project / "project.yaml").write_text(PROJECT.replace("REPOSITORY", str(repository)))
    with platform:
        found = Office(platform, repository)
        event: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "lab", "type": "model", "subject": "model"}
        event["data"] = {"candidate": {"digest": DIGEST, "uri": "s3://models/1"}}
        kind = "application/cloudevents+json"
        assert found.ask("ben", "POST", "/api/v1/events", event, Content_type=kind).status == 202
        platform.wait(
            lambda: found.promotions().get("production", {}).get("state") == "awaiting", "the model waits for approval"
        )
        found.waiting = found.promotions()["production"]["id"]
        yield found
        assert platform.stop() == 0


def test_a_stranger_and_a_viewer_change_nothing(office: Office) -> None:
    assert office.platform.send("GET", "/api/v1/promotions").status == 401
    assert office.platform.send("GET", "/readyz").status == 200
    for path in ("/api/v1/promotions/model/hold", "/api/v1/reload", "/api/v1/events"):
        answer = office.ask("vic", "POST", path, {})
        assert (answer.status, "needs the role operator; vic has viewer" in answer.body["error"]) == (403, True)


def test_who_may_not_approve_is_told_why(office: Office) -> None:
    path = f"/api/v1/promotions/{office.waiting}/approve"

    said = {name: office.ask(name, "POST", path, {"reason": "yes", "actor": "ada"}) for name in ("vic", "eve", "ben")}

    assert {name: one.status for name, one in said.items()} == dict.fromkeys(said, 403)
    assert "eve has the roles operator; this needs one of admin, approver" in said["eve"].body["error"]
    assert "ben has proposed or started it" in said["ben"].body["error"]
    forged = office.ask("ada", "POST", path, {"reason": "yes", "by": "ben"})
    assert forged.status == 422


def test_one_shows_and_approves_and_the_model_is_live(office: Office) -> None:
    shown = office.as_("vic", "promotions", "show", office.waiting)
    assert "approvals 0 of 1" in shown
    assert [line.split()[:2] for line in shown.splitlines() if line.startswith(("staging ", "production "))] == [
        ["staging", "committed"],
        ["production", "awaiting"],
    ]
    office.as_("eve", "promotions", "approve", office.waiting, "--reason", "yes", code=1)
    said = office.as_("ada", "promotions", "approve", office.waiting, "--reason", "looks good", "--actor", "mallory")
    assert "ada approves it in production; 1 of 1" in said
    office.platform.wait(lambda: office.promotions()["production"]["state"] == "committed", "the model is live")

    trailers = git(office.repository, "log", "-1", "--format=%(trailers:key=Approved-By,valueonly)", "main")
    assert trailers.startswith("ada (approver) 2")
    found = json.loads(office.as_("vic", "promotions", "show", office.waiting, "-o", "json"))
    (approval,) = found["approvals"]
    assert (approval["actor"], approval["verified"], approval["lapsed"]) == ("ada", True, False)
    assert [step["state"] for step in found["environments"]] == ["committed", "committed"]
    (deed,) = office.ask("vic", "GET", f"/api/v1/audit?subject={office.waiting}").body["items"]
    assert (deed["actor"], deed["action"], deed["from"]) == ("ada", "promotions.approve", "127.0.0.1")
    assert (deed["before"], deed["after"]) == ({"have": 0}, {"have": 1, "need": 1})


def test_z_with_several_environments_it_is_said_which(office: Office) -> None:
    if office.promotions()["production"]["state"] == "awaiting":  # no other test has approved it on this worker
        office.as_("ada", "promotions", "approve", office.waiting, "--reason", "looks good")
    office.platform.wait(lambda: office.promotions()["production"]["state"] == "committed", "the model is live")

    office.as_("eve", "promotions", "hold", "model", "--reason", "r", code=2)
    office.as_("eve", "promotions", "hold", "model", "-e", "production", "--reason", "r")
    (held,) = office.ask("vic", "GET", "/api/v1/holds").body["items"]
    assert (held["environment"], held["actor"]) == ("production", "eve")
    assert "released" in office.as_("eve", "promotions", "release", "model", "-e", "production")
    asked = json.loads(
        office.as_("eve", "promotions", "rollback", "model", "-e", "production", "--reason", "odd", "-o", "json")
    )
    office.platform.wait(
        lambda: office.ask("vic", "GET", f"/api/v1/promotions/{asked['id']}").body["state"] == "committed",
        "the rollback is committed",
    )
    assert git(office.repository, "show", "main:production.yaml") == MODEL
    deeds = office.ask("vic", "GET", "/api/v1/audit?subject=model/production").body["items"]
    assert [one["action"] for one in deeds] == ["promotions.rollback", "promotions.release", "promotions.hold"]
