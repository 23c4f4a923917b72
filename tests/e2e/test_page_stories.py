"""What people come to the page for, walked through in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.page_browser import leave, visitor
from tests.e2e.page_world import PageWorld, page_world

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(480)]
SOON = 60_000
"""Milliseconds in which the page shows what has happened."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    with page_world(tmp_path_factory.mktemp("page")) as found:
        yield found
        assert found.platform.stop() == 0


def test_a_run_is_watched_live_to_its_end(world: PageWorld, browser: Browser) -> None:
    page = visitor(browser, world.url, "vic")
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.get_by_text("No run yet.")).to_be_visible()

    world.day("2026-11-20")
    link = page.get_by_role("link", name=re.compile(r"^orders-"))
    expect(link).to_be_visible(timeout=SOON)
    name = link.inner_text()
    link.click()
    expect(page.get_by_role("row", name="train(1:forest)")).to_contain_text("Running", timeout=SOON)
    log = page.context.new_page()
    log.goto(f"{world.url}/ui/run/log?name={name}")
    expect(log.get_by_role("log")).to_contain_text("boosted epoch 3", timeout=SOON)
    world.go()

    expect(page.get_by_role("row", name="package")).to_contain_text("Succeeded", timeout=SOON)
    expect(page.get_by_role("definition").filter(has_text="Succeeded")).to_contain_text("6/6 steps", timeout=SOON)
    expect(page.get_by_text("s3://models/orders/2026-11-20")).to_be_visible()
    expect(log.get_by_role("log")).to_contain_text("linear is trained")
    expect(log.get_by_role("status")).to_have_text("ended")
    leave(page)


def test_two_people_approve_and_the_author_is_refused(world: PageWorld, browser: Browser) -> None:
    promotion = world.model("21")
    author, ada, cyd = (visitor(browser, world.url, name) for name in ("ben", "ada", "cyd"))

    author.goto(f"{world.url}/ui/promotion?id={promotion}")
    expect(author.get_by_text("You cannot approve it: ben has proposed or started it")).to_be_visible()
    expect(author.get_by_role("button", name="Approve")).to_have_count(0)
    word = author.locator("input[name=word]").first.input_value()
    subject = world.ask("vic", "GET", f"/api/v1/promotions/{promotion}").body["subject"]
    forged = author.request.post(
        f"{world.url}/ui/promotions/approve",
        form={"word": word, "id": promotion, "subject": subject, "reason": "mine", "actor": "ada"},
    )
    assert forged.status == 403
    assert "ben has proposed or started it" in forged.text()

    for number, page in enumerate((ada, cyd), 1):
        page.get_by_role("link", name="orders to production").click()
        expect(page.get_by_text(f"{number - 1} of 2 that are needed")).to_be_visible()
        form = page.locator("form[action='/ui/promotions/approve']")
        form.get_by_label("Reason").fill("the figures are right")
        form.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("table", name="").filter(has_text="the figures are right").first).to_be_visible()

    world.platform.wait(lambda: world.state(promotion) == "committed", "it is committed")
    for page in (author, ada, cyd):
        expect(page.get_by_role("definition").filter(has_text="committed").first).to_be_visible(timeout=SOON)
        leave(page)


def test_a_sensor_says_what_it_waits_for_and_why(world: PageWorld, browser: Browser) -> None:
    world.send("lake", "features", {"date": "2026-12-24", "rows": 5000})
    few = world.send("lake", "labels", {"date": "2026-12-24", "rows": 3})
    page = visitor(browser, world.url, "vic")

    page.get_by_role("link", name="Sensors", exact=True).click()
    page.get_by_role("link", name="retrain-orders").click()
    waiting = page.get_by_role("row", name="2026-12-24")
    expect(waiting.first).to_contain_text("features", timeout=SOON)
    expect(waiting.first).to_contain_text("labels")

    page.keyboard.press("/")
    page.keyboard.type(few)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Why did nothing happen?")).to_be_visible()
    answer = page.get_by_role("row", name="retrain-orders")
    expect(answer).to_contain_text("filtered")
    expect(answer).to_contain_text("rows")
    expect(page.get_by_role("row", name="promote-orders")).to_contain_text("no dependency waits for lake/labels")
    leave(page)


def test_a_model_is_rolled_back_and_held(world: PageWorld, browser: Browser) -> None:
    first, second = world.model("31"), ""
    world.approve(first, "ada", "cyd")
    second = world.model("32")
    world.approve(second, "ada", "cyd")
    page = visitor(browser, world.url, "eve")

    page.get_by_role("row", name="orders production").get_by_role("link", name="s3://models/orders/32").click()
    form = page.locator("form[action='/ui/targets/rollback']")
    form.get_by_label("Reason").fill("refunds are all flagged")
    form.get_by_role("button", name="Roll back").click()

    expect(page.get_by_text("Held: refunds are all flagged")).to_be_visible()
    expect(page.get_by_role("definition").filter(has_text="committed").first).to_be_visible(timeout=SOON)
    expect(page.locator("pre.diff ins")).to_contain_text("s3://models/orders/31")
    page.get_by_label("Views").get_by_role("link", name="Promotions").click()
    held = page.get_by_role("row", name="refunds are all flagged").first
    expect(held).to_contain_text("eve")
    held.get_by_text("Release orders in production").click()
    held.get_by_label("Reason").fill("mended")
    held.get_by_role("button", name="Release").click()
    expect(page.get_by_text("Held: nothing is promoted there")).to_have_count(0)
    page.get_by_role("link", name="Audit").click()
    expect(page.get_by_role("row", name="promotions.rollback").first).to_contain_text("refunds are all flagged")
    leave(page)


def test_an_objects_model_is_found_from_any_id(world: PageWorld, browser: Browser) -> None:
    promotion = world.model("41")
    world.approve(promotion, "ada", "cyd")
    commit = world.ask("vic", "GET", f"/api/v1/promotions/{promotion}").body["commit"]
    page = visitor(browser, world.url, "vic")

    page.keyboard.press("/")
    page.keyboard.type(commit[:10])
    page.keyboard.press("Enter")
    page.locator("#view").get_by_role("link", name="Trace", exact=True).click()

    for kind in ("event", "firing", "promotion", "commit"):
        expect(page.locator(f"article.{kind}").first).to_be_visible()
    expect(page.locator("article[aria-current]")).to_contain_text("orders to production")
    leave(page)


def test_who_only_looks_has_nothing_to_press(world: PageWorld, browser: Browser) -> None:
    promotion = world.model("51")
    page = visitor(browser, world.url, "vic")

    page.goto(f"{world.url}/ui/promotion?id={promotion}")
    expect(page.get_by_text("You cannot approve it: vic has the roles viewer")).to_be_visible()
    assert page.locator("main form").count() == 0
    page.get_by_role("button", name="Log out").click()
    page.goto(f"{world.url}/ui/promotion?id={promotion}")
    expect(page.get_by_label("Token")).to_be_visible()
    leave(page)


def test_the_page_reads_without_a_script(world: PageWorld, browser: Browser) -> None:
    page = visitor(browser, world.url, "vic", java_script_enabled=False)

    for view in ("Events", "Sensors", "Firings", "Runs", "Promotions", "Trace", "Dead letters", "Audit"):
        page.get_by_label("Views").get_by_role("link", name=view, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(view)
    page.goto(f"{world.url}/ui/events")
    expect(page.locator("time").first).to_contain_text("UTC")
    leave(page)
