"""Logging in at a provider of OpenID Connect: a real one (Gitea's), walked as a browser does, and one that is away."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from retrain.app.access.access_settings import AccessGroup
from retrain.app.settings import ServerGroup, Settings
from retrain.store import audit
from tests.integration.page_house import House, Seen, house
from tests.servers.forge_servers import PASSWORD, USER, Gitea

BASE = "http://127.0.0.1:7300"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Client:
    """What Gitea knows us as."""

    id: str
    secret: str
    issuer: str


@pytest.fixture(scope="module")
def client(gitea_server: Gitea) -> Client:
    body = {"name": "retrain", "redirect_uris": [f"{BASE}/ui/login/callback"], "confidential_client": True}
    app = gitea_server.call("POST", "/user/applications/oauth2", body)
    gitea_server.call("POST", "/orgs", {"username": "acme"})
    found = httpx2.get(f"{gitea_server.url}/.well-known/openid-configuration").json()
    return Client(app["client_id"], app["client_secret"], found["issuer"])


def settings(client: Client, **more: Any) -> Settings:
    oidc = {
        "issuer": client.issuer,
        "client_id": client.id,
        "client_secret": {"env": "ACME_SECRET"},
        "name": "Acme",
        "scopes": ["openid", "profile", "email", "groups"],
        "roles": {"acme": ["operator", "approver@models"]},
        **more,
    }
    return Settings(access=AccessGroup.model_validate({"oidc": oidc}), server=ServerGroup(url=BASE))


@pytest.fixture
async def office(tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[House]:
    monkeypatch.setenv("ACME_SECRET", client.secret)
    async with house(tmp_path, settings=settings(client)) as found:
        yield found


async def walk(gitea: Gitea, address: str) -> str:
    """Log in at the provider as a person with a browser does; where it sends us."""
    async with httpx2.AsyncClient(base_url=gitea.url) as browser:
        words = {"user_name": USER, "password": PASSWORD}
        login = await browser.post("/user/login", data=words, headers={"origin": gitea.url})
        assert login.status_code == 303, login.text
        answer = await browser.get(address)
        if answer.status_code == 200:  # it asks once whether we may
            fields = {
                str(words["name"]): str(words["value"] or "")
                for tag, words in Seen(answer.text).tags
                if tag == "input" and words.get("type") == "hidden" and words.get("name")
            }
            answer = await browser.post("/login/oauth/grant", data={**fields, "granted": "true"})
        return str(answer.headers["location"])


@pytest.mark.integration
async def test_a_person_logs_in_at_the_provider_and_does_what_their_groups_say(
    gitea_server: Gitea, office: House
) -> None:
    async with office.visitor() as person:
        first = await person.get("/ui/runs?phase=Failed")
        login = await person.get(first.headers["location"])
        out = next(str(w["href"]) for tag, w in Seen(login.text).tags if tag == "a" and "begin" in str(w.get("href")))
        begun = await person.get(out)
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        back = await walk(gitea_server, begun.headers["location"])
        forged = await person.get(re.sub("state=[^&]+", "state=guess", back.removeprefix(BASE)))
        arrived = await person.get(back.removeprefix(BASE))
        twice = await person.get(back.removeprefix(BASE))
        me = (await person.get("/api/v1/me")).json()
        runs = await person.get("/ui/runs")

    assert asked["code_challenge_method"] == ["S256"]
    assert {"nonce", "state", "code_challenge"} <= asked.keys()
    assert forged.status_code == 409
    assert (arrived.status_code, "/ui/runs?phase=Failed" in arrived.text) == (200, True)
    session = next(one for one in arrived.headers.get_list("set-cookie") if one.startswith("retrain_session="))
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in session.split(";")}
    assert twice.status_code == 409  # the way is gone with the login
    assert (me["name"], me["verified"], me["kind"]) == (USER, True, "person")
    assert me["roles"] == ["approver@models", "operator"]
    assert runs.status_code == 200
    assert (await office.store.read(audit.listing)).items[0].action == "login.in"


@pytest.mark.integration
async def test_whose_groups_give_nothing_stays_outside_and_it_is_on_record(
    gitea_server: Gitea, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_SECRET", client.secret)
    others = settings(client, roles={"others": ["admin"]})
    async with house(tmp_path, settings=others) as found, found.visitor() as person:
        begun = await person.get("/ui/login/begin?back=https://evil.example")
        answer = await person.get((await walk(gitea_server, begun.headers["location"])).removeprefix(BASE))
        page = await person.get("/ui/runs")
        deeds = (await found.store.read(audit.listing)).items

    assert (answer.status_code, page.status_code) == (403, 303)
    assert "no group" in Seen(answer.text).text
    assert (deeds[0].action, "no group" in deeds[0].reason) == ("login.refused", True)


@pytest.mark.integration
async def test_a_wrong_secret_lets_nobody_in_and_shows_nothing_of_it(
    gitea_server: Gitea, office: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_SECRET", "gto_wrong-secret")
    async with office.visitor() as person:
        begun = await person.get("/ui/login/begin")
        answer = await person.get((await walk(gitea_server, begun.headers["location"])).removeprefix(BASE))

    assert answer.status_code == 503
    assert "wrong-secret" not in answer.text


async def test_a_provider_that_is_away_is_told_and_the_login_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_SECRET", "s")
    away = settings(Client("id", "secret", "http://127.0.0.1:9"))
    async with house(tmp_path, settings=away) as found, found.visitor() as person:
        answer = await person.get("/ui/login/begin")
        login = await person.get("/ui/login")

    assert answer.status_code == 503
    assert "nobody can log in at Acme now" in Seen(answer.text).text
    assert login.status_code == 200
