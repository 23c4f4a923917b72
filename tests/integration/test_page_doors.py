"""Who comes in at the page, and who may do what there: every route is asked, so that a new one is not forgotten."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from retrain.web.page.login import safe
from retrain.web.rights import TABLE
from retrain.web.sessions import COOKIE, TRIES, Sessions, Visit
from tests.integration.page_house import House, Seen, house, token_of

FORM = {"content-type": "application/x-www-form-urlencoded"}
HERE = "http://127.0.0.1:7300"
ANYBODY = {"GET /ui/login", "POST /ui/login", "GET /ui/login/begin", "GET /ui/login/callback"}
WHO_LOOKS = {re.sub(r"{[^}]*}", "x", route) for route, rule in TABLE.items() if rule.right == "viewer"}
"""What a viewer may ask for; of promotions whose word counts is the promotion's to say."""


@pytest.fixture
async def office(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path, people=True) as found:
        yield found


def routes(found: House) -> set[str]:
    """Every route of the page and of the API, with something in the place of its parameters."""
    every = [one for app in (found.page, found.api) for one in app.routes if isinstance(one, APIRoute)]
    return {f"{method} {re.sub(r'{[^}]*}', 'x', one.path)}" for one in every for method in one.methods or ()}


async def test_no_route_but_the_login_answers_a_stranger(office: House) -> None:
    asked = routes(office) - ANYBODY - {"GET /healthz", "GET /readyz", "GET /metrics"}
    async with office.visitor() as stranger:
        for route in sorted(asked):
            method, _, path = route.partition(" ")
            answer = await stranger.request(method, path)
            sent_away = answer.status_code == 303 and answer.headers["location"].startswith("/ui/login?back=")
            assert answer.status_code == 401 or (sent_away and method == "GET"), route
        for route in ANYBODY:
            assert (await stranger.request(*route.split(" "))).status_code not in {401, 303}, route
        assert (await stranger.get("/ui/static/page.css")).status_code == 200
    assert len(asked) > 60


async def test_who_only_looks_changes_nothing_by_any_route(office: House) -> None:
    posts = {route for route in routes(office) if route.startswith("POST")} - ANYBODY - WHO_LOOKS
    by_promotion = {"POST /ui/promotions/x", "POST /api/v1/promotions/x/x"}
    async with office.visitor("vic") as viewer:
        for route in sorted(posts):
            answer = await viewer.post(route.partition(" ")[2], json={})
            assert (answer.status_code, "needs the role" in answer.text) == (403, True), route
    assert by_promotion <= posts


async def test_assets_stay_inside_their_folder(office: House) -> None:
    async with office.visitor() as stranger:
        for path in ("../access.py", "..%2faccess.py", "%2e%2e/access.py", "/etc/passwd", "vendor/../../access.py"):
            assert (await stranger.get(f"/ui/static/{path}")).status_code in {401, 303, 404}, path


async def test_a_form_without_the_word_of_its_session_does_nothing(office: House) -> None:
    forms = {one for one in routes(office) if one.startswith("POST /ui/")} - ANYBODY
    async with office.visitor("root") as admin:
        for route in sorted(forms):
            path = route.partition(" ")[2].replace("/x", "/retry")
            for body in ("id=p-1&reason=x", "id=p-1&reason=x&word=" + "0" * 64):
                answer = await admin.post(path, content=body, headers=FORM)
                assert answer.status_code in {403, 422}, (route, answer.text)
                assert "not of this session" in answer.text or answer.status_code == 422, route


async def test_a_login_opens_the_page_and_ends(office: House) -> None:
    async with office.visitor() as person:
        first = await person.get("/ui/runs?phase=Failed")
        back = first.headers["location"].partition("back=")[2]
        wrong = await person.post("/ui/login", content="token=guess", headers=FORM)
        entered = await person.post("/ui/login", content=f"token={token_of('vic')}&back={back}", headers=FORM)
        cookie = entered.headers["set-cookie"]
        page = await person.get("/ui/runs")
        api = await person.get("/api/v1/runs")
        changes = await person.post("/api/v1/sensors/replay", json={})
        word = next(words["value"] for _, words in Seen(page.text).tags if words.get("name") == "word")
        left = await person.post("/ui/logout", content=f"word={word}", headers=FORM)
        person.cookies.set(COOKIE, cookie.partition("=")[2].partition(";")[0])
        again = await person.get("/ui/runs")

    assert wrong.status_code == 403
    assert (entered.status_code, entered.headers["location"]) == (303, "/ui/runs?phase=Failed")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert (page.status_code, api.status_code) == (200, 200)
    assert "vic" in Seen(page.text).text
    assert changes.status_code == 401  # through the API a cookie only reads
    assert (left.status_code, again.status_code) == (303, 303)


async def test_another_sites_page_cannot_log_somebody_in(office: House) -> None:
    async with office.visitor() as person:
        answer = await person.post(
            "/ui/login", content=f"token={token_of('vic')}", headers={**FORM, "origin": "https://evil.example"}
        )
    assert answer.status_code == 409
    assert "set-cookie" not in answer.headers


async def test_guessing_tokens_ends_after_a_few(office: House) -> None:
    async with office.visitor() as person:
        tries = [await person.post("/ui/login", content=f"token={n}", headers=FORM) for n in range(TRIES + 3)]
        late = await person.post("/ui/login", content=f"token={token_of('vic')}", headers=FORM)

    assert [one.status_code for one in tries] == [403] * TRIES + [429] * 3
    assert late.status_code == 429


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/ui/\\evil",
        "javascript:alert(1)",
        "/ui/login",
        "/ui/logout",
        "/ui/x\nSet-Cookie: a=b",
        "/other",
        "",
    ],
)
def test_a_login_leads_nowhere_else(back: str) -> None:
    assert safe(back) == "/ui/"


async def test_on_loopback_without_people_the_page_is_open_to_this_machine_only(tmp_path: Path) -> None:
    async with house(tmp_path) as found, found.visitor() as person:
        assert (await person.get("/", follow_redirects=True)).status_code == 200
        assert (await person.get("/ui/", headers={"host": "evil.example"})).status_code == 403
        assert (await person.get("/ui/login")).headers["location"] == "/ui/"
        sent = await person.post(
            "/ui/targets/hold", content="id=a/b", headers={**FORM, "origin": "https://evil.example"}
        )
        assert sent.status_code == 403


async def test_sessions_end_by_themselves_and_belong_to_one_cookie(office: House) -> None:
    now = office.services.clock.now()
    clock = [now]
    sessions = Sessions(office.store, lambda: clock[0], lasts=timedelta(hours=3), idle=timedelta(hours=2))
    await sessions.open()
    value = await sessions.begin(Visit("vic", "user digest"))
    headers: list[Any] = [(b"cookie", f"other=1; {COOKIE}={value}".encode())]

    found = await sessions.of(headers)
    assert found is not None
    assert (found.person, found.stands_for) == ("vic", "user digest")
    assert await sessions.of([(b"cookie", b"retrain_session=guess")]) is await sessions.of([]) is None
    assert sessions.fits(headers, sessions.form_word(headers))
    assert not sessions.fits([], sessions.form_word(headers))
    clock[0] = now + timedelta(hours=2)
    assert await sessions.of(headers) is None  # not used for too long
    clock[0] = now + timedelta(hours=1, minutes=50)
    seen = await sessions.of(headers)
    assert seen is not None
    await sessions.touch(seen)
    clock[0] = now + timedelta(hours=2, minutes=30)
    assert await sessions.of(headers) is not None  # used meanwhile
    clock[0] = now + timedelta(hours=3)
    assert await sessions.of(headers) is None  # over, used or not


async def test_a_restart_ends_no_session_and_no_form(office: House) -> None:
    first, second = (Sessions(office.store, office.services.clock.now) for _ in range(2))
    await first.open()
    value = await first.begin(Visit("vic", "user digest"))
    headers: list[Any] = [(b"cookie", f"{COOKIE}={value}".encode())]
    await second.open()

    assert (await second.of(headers)) == (await first.of(headers)) != None  # noqa: E711
    assert second.fits(headers, first.form_word(headers))
    assert second.fits([], first.form_word([]))
