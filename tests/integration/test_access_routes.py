"""Every route of the API and the page, asked by everybody: a new one without a line in the table of rights fails."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlencode

import anyio
import httpx2
import pytest
from fastapi.routing import APIRoute

from retrain.web.rights import ANYBODY, TABLE, Rule, is_entry
from tests.integration.access_world import premises
from tests.integration.page_house import House

VISITORS = ("", "vic", "nora", "eve", "ada", "robot", "root")
WORDS = {
    # what it is over: nobody, viewer, viewer of another namespace, operator, approver, service (operator), admin
    ("viewer", ""): "out in no in in in in",
    ("viewer", "list"): "out in in in in in in",
    ("viewer", "own"): "out in in in in in in",
    ("viewer", "seam"): "out in in in in in in",
    ("viewer", "thing"): "out in no in in in in",
    ("operator", ""): "out no no in no in in",
    ("operator", "seam"): "out no no in no in in",
    ("approver", "seam"): "out no no no in in in",
    ("admin", ""): "out no no no no no in",
}
HIDDEN = {"run": "veiled-run", "sensor": "veiled-sensor", "firing": "veiled-firing", "promotion": "veiled-promotion"}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncGenerator[House]:
    async with premises(tmp_path) as found:
        found.services.closing.set()  # what would answer without end ends
        yield found


def routes(found: House) -> set[str]:
    every = [one for app in (found.page, found.api) for one in app.routes if isinstance(one, APIRoute)]
    return {f"{method} {one.path}" for one in every for method in one.methods or ()}


def expected(rule: Rule) -> list[str]:
    over = "thing" if rule.thing else rule.over
    return WORDS[rule.right, over].split(" ")


def asked(route: str, rule: Rule) -> tuple[str, str]:
    """The method and the address of a route, about something that is in the namespace `mine`."""
    method, _, path = route.partition(" ")
    kind, word = rule.thing or ("run", "")
    path = re.sub(r"{(\w+)}", lambda m: HIDDEN.get(kind, "x") if m[1] == word else "x", path)
    in_query = word and "{" + word + "}" not in route
    query = {"name": "x", "id": "x", "node": "x", "artifact": "x", "q": "x", "verb": "retry"}
    return method, f"{path}?{urlencode({**query, **({word: HIDDEN[kind]} if in_query else {})})}"


async def verdict(visitor: httpx2.AsyncClient, method: str, address: str) -> str:
    with anyio.move_on_after(3):
        answer = await visitor.request(method, address)
        where = answer.headers.get("location", "")
        if answer.status_code == 401 or where.startswith("/ui/login"):
            return "out"
        refused = "needs the role" in answer.text or where == "/ui/runs"
        return "no" if refused else "in"
    return "in"  # a feed


async def test_every_route_has_a_line_and_lets_in_whom_it_says(office: House) -> None:
    found = routes(office)
    opened = {f"GET {path}" for path in ANYBODY}
    login = {one for one in found if is_entry(one.partition(" ")[2])}

    assert not found - opened - set(TABLE), "write their lines into retrain/web/rights.py"
    wrong: list[str] = []
    for number, name in enumerate(VISITORS):
        async with office.visitor(name) as visitor:
            for route in sorted(found - opened - login - {"POST /ui/logout"}):
                said = await verdict(visitor, *asked(route, TABLE[route]))
                if said != expected(TABLE[route])[number]:
                    wrong.append(f"{route} as {name or 'nobody'}: {said}")
    assert not wrong, "\n".join(wrong)
    assert len(found) > 100


async def test_what_changes_something_is_for_more_than_those_who_look() -> None:
    """The lines of the table that let a viewer send something, by hand: a new one is looked at twice."""
    looks = {route for route, rule in TABLE.items() if not route.startswith("GET") and rule.right == "viewer"}

    assert looks - {one for one in TABLE if TABLE[one].over == "own"} == {
        "POST /api/v1/sensors/replay",
        "POST /api/v1/promotions/{name}/approve",
        "POST /api/v1/promotions/{name}/reject",
        "POST /api/v1/promotions/{name}/waive",
        "POST /ui/promotions/approve",
        "POST /ui/promotions/reject",
        "POST /ui/promotions/waive",
        "POST /ui/sensor/try",
        "POST /ui/sensor/try/file",
    }


async def test_who_may_look_into_another_namespace_only_sees_nothing_of_this_one(office: House) -> None:
    lists = [one for one, rule in TABLE.items() if rule.over == "list" and one.startswith("GET ")]
    seen: list[str] = []
    async with office.visitor("nora") as stranger, office.visitor("olga") as one_of_us:
        for route in sorted(set(lists) & routes(office) - {"GET /ui/live"}):
            path = route.partition(" ")[2]
            answer = await stranger.get(path)
            if "veiled" in answer.text:
                seen.append(path)
        own = [await one_of_us.get(f"/api/v1/{noun}") for noun in ("runs", "firings", "sensors", "promotions", "holds")]
        theirs = await stranger.get("/api/v1/runs")
        pages = [await one_of_us.get(f"/ui/{noun}") for noun in ("runs", "firings", "sensors", "promotions")]
    assert seen == []
    assert ["veiled" in one.text for one in own] == [True] * 5
    assert [one["metadata"]["name"] for one in theirs.json()["items"]] == ["open-run"]
    assert [("veiled" in one.text, one.status_code) for one in pages] == [(True, 200)] * 4


async def test_who_operates_in_one_namespace_does_nothing_in_another(office: House) -> None:
    async with office.visitor("olga") as olga:
        there = await olga.post("/api/v1/runs/open-run/stop")
        here = await olga.post("/api/v1/runs/veiled-run/stop")
        view = await olga.get("/ui/run?name=veiled-run")
        other = await olga.get("/ui/run?name=open-run")
        none = await olga.post("/api/v1/reload")

    assert (there.status_code, here.status_code, none.status_code) == (403, 200, 403)
    assert (view.status_code, other.status_code) == (200, 403)
    assert "/ui/runs/" in view.text  # the forms are there for who may
