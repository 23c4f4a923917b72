"""The page is for everybody: axe finds nothing on any view, light and dark, narrow and wide; the keyboard suffices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from retrain.web.rights import PAGE
from tests.e2e.contract_world import contract_world
from tests.e2e.page_browser import complaints_of, violations, visitor
from tests.e2e.page_world import PageWorld

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]
SOURCE = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: clock}
spec:
  calendar: {newyear: {schedule: "0 0 1 1 *"}}
"""
LISTS = (
    *("/", "/events", "/sensors", "/graph", "/firings", "/runs", "/models", "/promotions", "/approvals", "/trace"),
    *("/deadletters", "/deadletters/redrive", "/health", "/audit", "/tokens"),
)
NO_VIEWS = {"/ui/live", "/ui/login/begin", "/ui/login/callback", "/ui/event/case", "/ui/run/artifact/body", "/ui"}
"""Streams, files, and ways that lead elsewhere."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    with contract_world(tmp_path_factory.mktemp("page")) as found:
        found.platform.write("sources.yaml", SOURCE)
        assert found.ask("ben", "POST", "/api/v1/reload").status == 200
        found.day("2026-11-19")
        found.send("lake", "labels", {"date": "2026-12-20", "rows": 3})
        found.send("lake", "features", {"date": "2026-12-20", "rows": 5000, "deep": {"list": [1, None, True, "text"]}})
        found.platform.wait(lambda: len(done(found)) == 2, "both runs are over")
        yield found


def done(world: PageWorld) -> list[str]:
    return [one["metadata"]["name"] for one in world.items("runs") if one["status"]["phase"] == "Succeeded"]


def views(world: PageWorld) -> list[str]:
    """A path to each view there is, with something in it."""
    (run, other), event = done(world), world.items("events")[-1]["id"]
    waiting = next(one["id"] for one in world.items("promotions") if one["state"] == "awaiting")
    nodes = world.ask("vic", "GET", f"/api/v1/runs/{run}").body["status"]["nodes"]
    steps = [one for one in nodes.values() if one["type"] == "Pod"]
    package = next(one for one in steps if one["displayName"] == "package")
    things = (
        f"/event?id={event}",
        "/sensor?name=retrain-orders",
        "/sensor/try?name=retrain-orders",
        "/source?name=clock",
        f"/firing?id={world.items('firings')[0]['id']}",
        f"/run?name={run}",
        f"/run?name={run}&node={steps[0]['id']}",
        f"/run/log?name={run}",
        f"/run/logs?name={run}&node={steps[0]['id']}&node={steps[1]['id']}",
        f"/run/artifact?name={run}&node={package['id']}&artifact=losses",
        f"/run/again?name={run}&verb=resubmit",
        f"/run/delete?name={run}",
        f"/runs/compare?name={run}&name={other}",
        "/model?name=orders",
        f"/promotion?id={waiting}",
        f"/propose?run={run}",
        f"/deadletter?id={world.items('deadletters')[0]['id']}",
        f"/trace?id={waiting}",
        "/find?q=orders",
        "/find?q=nothing-is-called-so",
        "/run?name=no",
    )
    return [*LISTS, *things]


def test_every_view_is_among_them(world: PageWorld) -> None:
    routes = {route.removeprefix("GET ") for route in PAGE if route.startswith("GET ")}
    seen = {f"/ui{view.partition('?')[0]}" for view in views(world)}

    assert routes - {"/", "/ui/login"} == seen | NO_VIEWS


@pytest.mark.parametrize(("theme", "width"), [("light", 360), ("dark", 1600)])
def test_no_view_shuts_anybody_out(
    world: PageWorld, browser: Browser, theme: Literal["light", "dark"], width: int
) -> None:
    page = visitor(browser, world.url, "ben", color_scheme=theme, viewport={"width": width, "height": 900})
    found: list[str] = []

    for view in views(world):
        answer = page.goto(f"{world.url}/ui{view}")
        assert answer is not None
        assert answer.status == (404 if view.endswith("=no") else 200), view
        found += [f"{view}: {one}" for one in violations(page)]
        wide = page.evaluate("document.documentElement.scrollWidth")
        found += [f"{view}: {wide} pixels"] if wide > width else []
    # What the browser complains of is the view that is not there.
    assert [one for one in complaints_of(page) if "404" not in one] == []
    page.get_by_role("button", name="Log out").click()
    found += violations(page)
    page.context.close()
    assert not found, "\n".join(found)


def focused(page: Page) -> str:
    return page.evaluate(
        "document.activeElement.textContent.trim() || document.activeElement.getAttribute('name') || ''"
    )


def test_the_keyboard_alone_suffices(world: PageWorld, browser: Browser) -> None:
    page = visitor(browser, world.url, "cyd")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"

    page.keyboard.press("Enter")
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page) == "orders to production":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="orders to production")).to_be_visible()
    page.keyboard.press("/")
    assert focused(page) == "q"
    page.context.close()
