"""What people come to the page for with a model in mind, walked through in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.page_browser import leave, visitor
from tests.e2e.page_world import PageWorld, measured, page_world

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(480)]
SOON = 60_000
"""Milliseconds in which the page shows what has happened."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    with page_world(tmp_path_factory.mktemp("models")) as found:
        yield found
        assert found.platform.stop() == 0


def slow_model(world: PageWorld, version: str) -> str:
    """Propose a model that answers too slowly for production; the promotion that is refused there."""
    digest = f"sha256:{version.encode().hex().ljust(64, '0')[:64]}"
    candidate: dict[str, Any] = {"digest": digest, "uri": f"s3://models/orders/{version}", **measured(0.97)}
    candidate["evaluation"]["latency"] = {"p95": 35.0}
    world.send("lab", "model", {"candidate": candidate})

    def refused() -> str | None:
        found = (one for one in world.items("promotions") if one["candidate"]["digest"] == digest)
        return next((one["id"] for one in found if one["state"] == "refused"), None)

    found = world.platform.wait(refused, f"the model {version} is refused")
    assert found is not None
    return found


def test_a_gate_is_waived_with_a_reason_and_its_author_cannot(world: PageWorld, browser: Browser) -> None:
    promotion = slow_model(world, "61")
    author, ada = visitor(browser, world.url, "ben"), visitor(browser, world.url, "ada")

    author.goto(f"{world.url}/ui/promotion?id={promotion}")
    expect(author.get_by_role("row", name="fast")).to_contain_text("fail")
    expect(author.locator("form[action='/ui/promotions/waive']")).to_have_count(0)
    word = author.locator("input[name=word]").first.input_value()
    form: dict[str, Any] = {"word": word, "id": promotion, "gate:fast": "on", "reason": "mine", "actor": "ada"}
    forged = author.request.post(f"{world.url}/ui/promotions/waive", form=form)
    assert forged.status == 403
    assert "somebody else must waive its gates" in forged.text()

    ada.goto(f"{world.url}/ui/promotion?id={promotion}")
    box = ada.locator("form[action='/ui/promotions/waive']")
    expect(box.get_by_label("fast")).to_be_checked()
    box.get_by_label("Reason").fill("the night load is small")
    box.get_by_label("For how long").fill("1h")
    box.get_by_role("button", name="Waive").click()

    expect(ada.get_by_role("row", name="fast")).to_contain_text("waived by ada", timeout=SOON)
    expect(ada.get_by_role("row", name="fast")).to_contain_text("the night load is small")
    expect(ada.get_by_text("0 of 2 that are needed")).to_be_visible(timeout=SOON)
    ada.get_by_label("Views").get_by_role("link", name="Approvals").click()
    waiting = ada.get_by_role("row", name="orders to production").first
    expect(waiting).to_contain_text("0 of 2")
    author.goto(f"{world.url}/ui/promotion?id={promotion}")
    author.get_by_text("It was tried again").get_by_role("link").click()
    expect(author.get_by_text("You cannot approve it: ben has proposed or started it")).to_be_visible()
    leave(author)
    leave(ada)


def test_a_model_goes_back_and_its_history_shows_it(world: PageWorld, browser: Browser) -> None:
    for version in ("71", "72"):
        world.approve(world.model(version), "ada", "cyd")
    page = visitor(browser, world.url, "eve")

    page.get_by_label("Views").get_by_role("link", name="Models").click()
    expect(page.get_by_role("row", name="production")).to_contain_text("72")
    page.get_by_role("link", name="orders", exact=True).click()
    expect(page.get_by_role("row", name="production").first).to_contain_text("ada, cyd")
    page.get_by_text("Roll back production").click()
    form = page.locator("details[open] form[action='/ui/targets/rollback']")
    form.get_by_label("Reason").fill("refunds are all flagged")
    form.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("definition").filter(has_text="committed").first).to_be_visible(timeout=SOON)

    page.get_by_role("definition").get_by_role("link", name="orders").click()
    expect(page.get_by_text("Held in production: refunds are all flagged")).to_be_visible()
    live = page.get_by_role("row", name="production").first
    expect(live).to_contain_text("71")
    expect(live).to_contain_text("back by a rollback")
    told = [one.partition(" from ") for one in page.locator(".picture svg title").all_text_contents()]
    assert [one[0] for one in told if "rollback" in one[2]] == ["71"]
    assert [one[0] for one in told if "taken back" in one[2]] == ["72"]
    page.get_by_text("Release production").click()
    release = page.locator("details[open] form[action='/ui/targets/release']")
    release.get_by_label("Reason").fill("mended")
    release.get_by_role("button", name="Release").click()
    expect(page.get_by_text("Held in production")).to_have_count(0)
    expect(page.get_by_role("row", name="release").first).to_contain_text("mended")
    leave(page)


def test_an_objects_model_is_found_and_the_way_is_one_line(world: PageWorld, browser: Browser) -> None:
    promotion = world.model("81")
    world.approve(promotion, "ada", "cyd")
    event = next(one["id"] for one in world.items("events?source=lab") if "81" in str(one["data"]))
    page = visitor(browser, world.url, "vic", viewport={"width": 360, "height": 740})

    page.keyboard.press("/")
    page.keyboard.type(event)
    page.keyboard.press("Enter")
    page.locator("#view").get_by_role("link", name="Trace", exact=True).first.click()

    main = page.locator("article.main")
    expect(main.last).to_contain_text("is live: orders in production")
    kinds = [one.split()[0].lower() for one in main.locator(".kind").all_inner_texts()]
    assert [kinds[0], kinds[-1]] == ["event", "commit"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(media="print")
    expect(page.locator(".bar")).to_be_hidden()
    expect(main.first).to_be_visible()
    page.emulate_media(media="screen")
    page.keyboard.press("/")
    page.keyboard.type("orders")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Model orders")
    leave(page)
