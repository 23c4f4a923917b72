"""The page is for everybody: axe finds nothing on any view, light and dark, narrow and wide; the keyboard suffices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.page_browser import chromium, complaints_of, violations, visitor
from tests.e2e.page_world import PageWorld, page_world

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(480)]
LISTS = ("/", "/events", "/sensors", "/firings", "/runs", "/promotions", "/trace", "/deadletters", "/audit")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    with page_world(tmp_path_factory.mktemp("page")) as found:
        found.go()
        found.day("2026-11-19")
        found.send("lake", "labels", {"date": "2026-11-20", "rows": 3})
        found.send("lake", "features", {"date": "2026-11-20", "rows": 5000, "deep": {"list": [1, None, True, "text"]}})
        found.approve(found.model("17"), "ada", "cyd")
        found.model("18")
        found.platform.wait(lambda: found.items("runs")[0]["status"]["phase"] == "Succeeded", "the run is over")
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def views(world: PageWorld) -> list[str]:
    """A path to each view there is, with something in it."""
    run, event = world.items("runs")[0]["metadata"]["name"], world.items("events")[-1]["id"]
    waiting = next(one["id"] for one in world.items("promotions") if one["state"] == "awaiting")
    things = (
        f"/event?id={event}",
        "/sensor?name=retrain-orders",
        f"/firing?id={world.items('firings')[0]['id']}",
        f"/run?name={run}",
        f"/run/log?name={run}",
        f"/promotion?id={waiting}",
        f"/trace?id={waiting}",
        "/find?q=orders",
        "/run?name=no",
    )
    return [*LISTS, *things]


@pytest.mark.parametrize(("theme", "widths"), [("light", (360, 1600)), ("dark", (1280,))], ids=["light", "dark"])
def test_no_view_shuts_anybody_out(
    world: PageWorld, browser: Browser, theme: Literal["light", "dark"], widths: tuple[int, ...]
) -> None:
    page = visitor(browser, world.url, "cyd", color_scheme=theme)
    found: list[str] = []

    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        for view in views(world):
            page.goto(f"{world.url}/ui{view}")
            found += [f"{view} at {width}: {one}" for one in violations(page)]
            wide = page.evaluate("document.documentElement.scrollWidth")
            found += [f"{view}: {wide} pixels on {width}"] if wide > width else []
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
