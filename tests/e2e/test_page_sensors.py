"""What people ask sensors for, in a real browser: why one waits, what a change would do, an event again, a word for a
firing that is over its budget."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.page_browser import leave, violations, visitor
from tests.e2e.page_world import TOKENS, PageWorld
from tests.e2e.platform_driver import RETRAIN
from tests.e2e.sensor_page_world import sensor_world

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    with sensor_world(tmp_path_factory.mktemp("sensors")) as found:
        yield found
        assert found.platform.stop() == 0


def decided(world: PageWorld, event_id: str) -> None:
    def seen() -> bool:
        answer = world.ask("vic", "GET", f"/api/v1/event?id={event_id}")
        return answer.status == 200 and bool(answer.body["decisions"])

    world.platform.wait(seen, f"{event_id} is decided about")


def test_why_a_sensor_waits_and_why_an_event_did_nothing(world: PageWorld, browser: Browser) -> None:
    half = world.send("lake", "features", {"date": "2026-11-20", "rows": 5000})
    lost = world.send("lake", "lables", {"date": "2026-11-20"})
    decided(world, half)
    page = visitor(browser, world.url, "vic")

    page.get_by_role("link", name="Sensors", exact=True).click()
    page.get_by_role("link", name="What leads to what").click()
    graph = page.get_by_role("group", name="Graph")
    expect(graph.get_by_role("link", name="lake/features")).to_be_visible()
    graph.get_by_role("link", name="sensor orders").click()
    waiting = page.get_by_role("row", name="2026-11-20").first
    expect(waiting).to_contain_text("features")
    expect(waiting).to_contain_text("labels")
    assert violations(page) == []

    page.goto(f"{world.url}/ui/events?outcome=unmatched")
    page.get_by_role("link", name=lost).click()
    silent = page.get_by_role("row", name="orders").first
    expect(silent).to_contain_text("no dependency waits for lake/lables; nearest: labels waits for lake/labels")
    expect(page.get_by_role("button", name="Emit again")).to_have_count(0)
    leave(page)


def test_a_changed_sensor_is_replayed_side_by_side_and_nothing_is_applied(world: PageWorld, browser: Browser) -> None:
    world.send("lake", "features", {"date": "2026-12-01", "rows": 9})
    few = world.send("lake", "labels", {"date": "2026-12-01", "rows": 9})
    decided(world, few)
    page = visitor(browser, world.url, "vic")
    page.goto(f"{world.url}/ui/sensor?name=orders")
    page.get_by_role("link", name="Try a change").click()
    text = page.get_by_label("The sensor, as YAML")
    assert "# few rows are not worth it" in text.input_value()

    written = text.input_value().replace('"100"', '"5"')
    text.fill(written.replace("features && labels", "features && lables"))
    page.get_by_role("button", name="Replay it").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing was replayed")
    expect(page.locator(".found.error")).to_contain_text("lables")

    text.fill(written)
    page.get_by_role("button", name="Replay it").click()
    expect(page.get_by_role("heading", name="Only changed: 1")).to_be_visible()
    added = page.get_by_role("table").filter(has_text="What the one that runs said").get_by_role("row").nth(1)
    expect(added).to_contain_text("2026-12-01")
    expect(added).to_contain_text("filtered: ")
    assert violations(page) == []
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as a file").click()
    assert '"5"' in Path(saved.value.path()).read_text()
    assert saved.value.suggested_filename == "orders.yaml"

    assert world.items("firings") == [one for one in world.items("firings") if one["sensor"] != "orders"]
    assert '"100"' in (world.platform.project / "sensors.yaml").read_text()
    leave(page, expected="status of 422")


def test_an_event_is_emitted_again_and_kept_as_a_case(world: PageWorld, browser: Browser, tmp_path: Path) -> None:
    first = world.send("lake", "labels", {"date": "2026-12-02", "rows": 700})
    decided(world, first)
    page = visitor(browser, world.url, "eve")
    page.goto(f"{world.url}/ui/event?id={first}")

    with page.expect_download() as saved:
        page.get_by_role("link", name="orders.test.yaml").click()
    saved.value.save_as(tmp_path / "orders.test.yaml")
    (tmp_path / "sensors.yaml").write_text((world.platform.project / "sensors.yaml").read_text())
    tested = subprocess.run([RETRAIN, "sensors", "test", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert tested.returncode == 0, tested.stdout + tested.stderr

    page.get_by_label("Reason").fill("the sensor was mended")
    page.get_by_role("button", name="Emit again").click()
    expect(page.get_by_role("heading", name=f"Event {first}.again-")).to_be_visible()
    expect(page.get_by_role("definition").get_by_role("link", name=first, exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="orders").first).to_contain_text("passed")
    leave(page)


def test_a_firing_over_its_budget_waits_for_an_approvers_word(world: PageWorld, browser: Browser) -> None:
    world.send("desk", "wish", {"n": 1})
    world.send("desk", "wish", {"n": 2})
    world.platform.wait(lambda: world.items("held"), "one is held")
    looks = visitor(browser, world.url, "vic")
    looks.goto(f"{world.url}/ui/sensor?name=costly")
    expect(looks.get_by_role("row", name="budget").first).to_contain_text("1 of 1 runs in 24h")
    looks.get_by_role("row", name="asks for approval").get_by_role("link").click()
    expect(looks.get_by_text("Who has the role approver may let it go or drop it.")).to_be_visible()
    leave(looks)

    page = visitor(browser, world.url, "ada")
    page.goto(f"{world.url}/ui/firings")
    page.get_by_role("region", name="What is held back").get_by_role("link", name="costly").click()
    page.get_by_role("row", name="asks for approval").get_by_role("link").click()
    assert violations(page) == []
    form = page.locator("form[action='/ui/firings/approve']")
    form.get_by_label("Reason").fill("it is worth it")
    form.get_by_role("button", name="Let it go").click()
    expect(page.get_by_role("row", name="released").first).to_be_visible()
    leave(page)


def retrain(world: PageWorld, name: str, *words: str) -> str:
    environment = {**os.environ, "RETRAIN_SERVER_TOKEN": TOKENS[name]}
    command = [RETRAIN, *words, "--server", world.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_says_the_same(world: PageWorld) -> None:
    first = world.send("lake", "labels", {"date": "2026-12-03", "rows": 700})
    decided(world, first)

    assert "sensor: orders" in retrain(world, "vic", "events", "case", first, "--sensor", "orders")
    assert f"{first}.again-" in retrain(world, "eve", "events", "again", first, "--reason", "once more")
    deed = next(one for one in world.items("audit") if one["action"] == "events.again")
    assert (deed["actor"], deed["reason"]) == ("eve", "once more")
    assert "orders/train" in retrain(world, "vic", "sensors", "graph")
    assert first in retrain(world, "vic", "events", "list", "--outcome", "waiting", "--since", "1h")
    assert retrain(world, "vic", "firings", "held", "-o", "name").split() == [
        one["firing"] for one in world.items("held")
    ]
    assert "budget spend" in retrain(world, "vic", "sensors", "show", "costly")
    replayed = retrain(world, "vic", "sensors", "replay", "orders", "--limit", "1", "-o", "json")
    assert json.loads(replayed)["log"]["events"] == 1


def test_a_source_shows_its_hours_and_no_secret(world: PageWorld, browser: Browser) -> None:
    page = visitor(browser, world.url, "vic")
    page.goto(f"{world.url}/ui/source?name=lake")

    expect(page.get_by_role("row", name="features").first).to_contain_text("listening")
    expect(page.get_by_role("img", name="Events by the hour")).to_be_visible()
    document = page.get_by_role("region", name="The source's document")
    expect(document).to_contain_text("(hidden)@lake.example.com")
    expect(document).not_to_contain_text("hunter2")
    assert violations(page) == []
    leave(page)
