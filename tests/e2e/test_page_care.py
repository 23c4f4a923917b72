"""What the page owes to whoever looks: a keyboard is enough, times are theirs, no silence, no link into nothing."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.error import HTTPError
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.contract_world import contract_world
from tests.e2e.page_browser import complaints_of, visitor
from tests.e2e.page_world import TOKENS, PageWorld
from tests.e2e.platform_driver import Platform

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(480)]
LISTS = {
    "": "No model has been promoted yet.",
    "events": "retrain events emit sends one by hand",
    "sensors": "retrain init writes one to begin with",
    "graph": "retrain init writes some to begin with",
    "firings": "Sensors shows what each lacks",
    "runs": "A firing of a sensor begins one.",
    "models": "retrain init writes one to begin with",
    "promotions": "retrain init writes one to begin with",
    "approvals": "No promotion waits for approvals.",
    "trace": "Events, runs and promotions have ids.",
    "deadletters": "None: all that came was dealt with.",
    "health": "Store",
    "audit": "Nobody has done anything yet.",
    "tokens": "this platform asks nobody for a token",
}
"""What each list says of nothing, and what to do about it."""
MOST = 150
"""Links that are followed."""
TABS = 120


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    with contract_world(tmp_path_factory.mktemp("page")) as found:
        yield found


# --- the keyboard ----------------------------------------------------------------------------------------------------


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is on the first thing that fits."""
    for _ in range(TABS):
        page.keyboard.press("Tab")
        if page.evaluate("wanted => document.activeElement === document.querySelector(wanted)", selector):
            return
    raise AssertionError(f"{TABS} tabs do not lead to {selector} at {page.url}")


def test_a_promotion_is_approved_by_keyboard(world: PageWorld, browser: Browser) -> None:
    promotion = next(one["id"] for one in world.items("promotions") if one["state"] == "awaiting")
    free = {"environment": "staging", "reason": "counted"}
    assert world.ask("ben", "POST", "/api/v1/promotions/orders/release", free).status == 200
    page = visitor(browser, world.url, "cyd")

    tab_to(page, f"main a[href='/ui/promotion?id={promotion}']")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="orders to production")).to_be_visible()
    tab_to(page, "form[action='/ui/promotions/approve'] input[name=reason]")
    page.keyboard.type("the figures are right")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Approve"
    page.keyboard.press("Enter")

    said = page.locator("tr").filter(has_text="approver").filter(has_text="cyd")
    expect(said).to_contain_text("approve")
    expect(said).to_contain_text("the figures are right")
    assert complaints_of(page) == []
    page.context.close()
    world.approve(promotion, "ada")


# --- times -----------------------------------------------------------------------------------------------------------


def test_times_are_the_readers_own(world: PageWorld, browser: Browser) -> None:
    event = world.items("events")[0]
    # Nine hours ahead of UTC all the year, and a way to write times that is everywhere the same.
    page = visitor(browser, world.url, "vic", timezone_id="Asia/Tokyo", locale="en-GB")
    page.goto(f"{world.url}/ui/events")
    time = page.locator("tbody time").first
    expect(time).not_to_contain_text("UTC")

    stamp, utc = str(time.get_attribute("datetime")), str(time.get_attribute("title"))
    hour = (int(stamp[11:13]) + 9) % 24
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", utc)
    assert utc == f"{stamp[:10]} {stamp[11:19]} UTC"
    assert time.inner_text().endswith(f"{hour:02}{stamp[13:19]}")
    assert event["id"] in page.locator("tbody").inner_text()
    page.context.close()


# --- nothing there ---------------------------------------------------------------------------------------------------


def test_an_empty_platform_says_what_to_do(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> None:
    with Platform(tmp_path_factory.mktemp("empty")) as platform:
        page = visitor(browser, platform.url, "")
        for view, words in LISTS.items():
            answer = page.goto(f"{platform.url}/ui/{view}")
            assert answer is not None
            assert answer.status == 200, view
            expect(page.locator("main")).to_contain_text(words)
        assert complaints_of(page) == []
        page.context.close()


def test_a_view_that_is_not_live_says_so(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> None:
    with Platform(tmp_path_factory.mktemp("gone")) as platform:
        port = urlsplit(platform.url).port
        assert port is not None
        page = visitor(browser, platform.url, "")
        with page.expect_response(re.compile("/ui/live")):
            page.goto(f"{platform.url}/ui/events")
        hint = page.locator("#lost")
        expect(hint).to_be_empty()

        platform.kill()
        expect(hint).to_contain_text("Not live: the platform does not answer.")
        platform.start(port=port)
        expect(hint).to_be_empty()
        event = {"specversion": "1.0", "id": "after-all", "source": "lake", "type": "features.v1"}
        assert platform.emit(event).status == 202
        expect(page.get_by_role("link", name="after-all")).to_be_visible()
        page.context.close()


# --- links -----------------------------------------------------------------------------------------------------------


class Links(HTMLParser):
    """Where a page's links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in {"href", "src"} and value]


def session(browser: Browser, url: str) -> str:
    """The cookie of somebody who has logged in."""
    page = visitor(browser, url, "ben")
    (cookie,) = page.context.cookies()
    page.context.close()
    return f"{cookie.get('name')}={cookie.get('value')}"


def fetched(url: str, cookie: str) -> tuple[int, str]:
    """The status, and the text if it is a page."""
    request = urllib.request.Request(url, headers={"Cookie": cookie, "Accept": "text/html"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            page = "html" in str(answer.headers["Content-Type"])
            return answer.status, answer.read().decode(errors="replace") if page else ""
    except HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")[:300]


def test_no_link_leads_nowhere(world: PageWorld, browser: Browser) -> None:
    cookie, begin = session(browser, world.url), f"{world.url}/ui/"
    waiting, seen, broken = [begin], {begin: "the beginning"}, list[str]()
    asked = 0

    while waiting and asked < MOST:
        at, asked = waiting.pop(0), asked + 1
        status, text = fetched(at, cookie)
        if status != 200:
            broken.append(f"{status} {at}, from {seen[at]}: {text}")
        for link in Links(text).found if urlsplit(at).path.startswith("/ui") else ():
            to = urldefrag(urljoin(at, link)).url
            if to.startswith(f"{world.url}/") and to not in seen:
                seen[to] = at
                waiting.append(to)

    assert not broken, "\n".join(broken)
    assert asked == MOST or len(seen) > len(LISTS) * 3
    assert TOKENS["ben"] not in " ".join(seen)
