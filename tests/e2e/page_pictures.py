"""Makes the pictures of the page in the docs, of a real platform: `python -m tests.e2e.page_pictures docs/pictures`."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Page

from tests.e2e import test_page_runs as trials
from tests.e2e.page_browser import chromium, visitor
from tests.e2e.page_world import PageWorld, measured, page_world
from tests.e2e.test_page_runs import Lab

WIDTH, TALLEST = 1280, 1700
SOURCE = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: clock}
spec:
  calendar: {newyear: {schedule: "0 0 1 1 *"}}
"""


class Trials(Lab):
    """The trainings that are asked for one by one, beside the others."""

    def runs(self) -> list[dict[str, Any]]:
        return [one for one in super().runs() if one["metadata"]["name"].startswith("trial-")]


HARMLESS = {"hostile.html": "<h1>Report</h1>", "drawing.svg": "<svg/>", "leading.html": "<p>"}


@contextmanager
def busy_world(place: Path) -> Generator[PageWorld]:
    """A platform on which something of everything has happened, and a training goes on."""
    project = place / "project"
    project.mkdir(parents=True)
    files = {"sources.yaml": SOURCE, "trials.yaml": trials.SENSOR, "trial.yaml": trials.WORKFLOW, **HARMLESS}
    for name, text in files.items():
        (project / name).write_text(text)
    with page_world(place) as world:
        world.go()
        for date in ("2026-11-18", "2026-11-19"):
            world.day(date)
        lab = Trials(world.platform)
        for lr in ("0.1", "0.01", "0.001"):
            lab.train(lr)
        lab.train("0.5", "broken", until="Failed")
        decide(world)
        ended(world, 5)
        (project / "go").unlink()
        world.send("lake", "features", {"date": "2026-11-21", "rows": 5000})
        world.send("lake", "labels", {"date": "2026-11-21", "rows": 3}, event_id="labels-of-few-rows")
        world.day("2026-11-20")
        world.platform.wait(lambda: running(world), "a training goes on")
        yield world


def decide(world: PageWorld) -> None:
    """Two models go live, the second is taken back, one is refused, one waits."""
    for version in ("v7", "v8"):
        world.approve(world.model(version), "ada", "cyd")
    back = {"environment": "production", "reason": "refunds are all flagged"}
    assert world.ask("eve", "POST", "/api/v1/promotions/orders/rollback", back).status == 200
    world.platform.wait(lambda: rolled_back(world), "it is back")
    free = {"environment": "production", "reason": "mended"}
    assert world.ask("eve", "POST", "/api/v1/promotions/orders/release", free).status == 200
    slow: dict[str, Any] = {"digest": f"sha256:{'9' * 64}", "uri": "s3://models/orders/v9", **measured(0.97)}
    slow["evaluation"]["latency"] = {"p95": 35.0}
    world.send("lab", "model", {"candidate": slow})
    world.send("lab", "model", {"candidate": "soon"})
    waiting = world.model("v10", 0.98)
    said = {"reason": "the figures are right"}
    assert world.ask("ada", "POST", f"/api/v1/promotions/{waiting}/approve", said).status == 200


def rolled_back(world: PageWorld) -> bool:
    return any(one["action"] == "rollback" and one["state"] == "committed" for one in world.items("promotions"))


def ended(world: PageWorld, succeeded: int) -> None:
    def all_of_them() -> bool:
        phases = [one["status"]["phase"] for one in world.items("runs")]
        return phases.count("Succeeded") == succeeded

    world.platform.wait(all_of_them, "the runs are over")


def running(world: PageWorld) -> str:
    """The run whose steps train, if there is one."""
    for one in world.items("runs"):
        if one["status"]["phase"] == "Running":
            found = world.ask("vic", "GET", f"/api/v1/runs/{one['metadata']['name']}").body
            if [1 for node in found["status"]["nodes"].values() if "forest" in node["displayName"]]:
                return one["metadata"]["name"]
    return ""


def views(world: PageWorld) -> dict[str, str]:
    """The name of each picture, and the view that it shows."""
    promotions = world.items("promotions")
    waiting = next(one for one in promotions if one["state"] == "awaiting")
    live = next(one for one in promotions if one["state"] == "committed" and one["environment"] == "staging")
    runs = [one for one in world.items("runs") if one["status"]["phase"] == "Succeeded"]
    names = [one["metadata"]["name"] for one in runs]
    compared = "&".join(f"name={one}" for one in names if one.startswith("trial-"))
    return {
        "overview": "/ui/",
        "event": "/ui/find?q=labels-of-few-rows",
        "sensor": "/ui/sensor?name=retrain-orders",
        "run": f"/ui/run?name={running(world)}",
        "compare": f"/ui/runs/compare?{compared}",
        "model": "/ui/model?name=orders",
        "promotion": f"/ui/promotion?id={waiting['id']}",
        "trace": f"/ui/trace?id={live['commit']}",
        "approvals": "/ui/approvals",
        "health": "/ui/health",
    }


def take(page: Page, file: Path) -> None:
    """The view from its top; what is further down than that is left out."""
    for folded in page.locator("details:not([open]) > summary", has_text="Time").all():
        folded.click()
    tall = int(page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": WIDTH, "height": min(tall, TALLEST)})
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=file, animations="disabled")
    page.set_viewport_size({"width": WIDTH, "height": 800})


def mend(page: Page) -> None:
    """The folder of this run is nobody's: a project is shown where people have theirs."""
    page.evaluate("""() => document.querySelectorAll("dd code, td code").forEach((one) => {
        if (!one.children.length) one.textContent = one.textContent.replace(/^\\/.*\\/project\\//, "project/"); })""")


def take_trial(page: Page, url: str, file: Path) -> None:
    """A changed sensor beside the one that runs."""
    page.goto(f"{url}/ui/sensor/try?name=retrain-orders")
    text = page.get_by_label("The sensor, as YAML")
    text.fill(text.input_value().replace('"100"', '"3"'))
    page.get_by_role("button", name="Replay it").click()
    page.get_by_role("heading", name="Only changed").wait_for()
    take(page, file)


def take_all(browser: Browser, world: PageWorld, folder: Path) -> None:
    page = visitor(browser, world.url, "cyd", viewport={"width": WIDTH, "height": 800})
    for name, view in views(world).items():
        page.goto(f"{world.url}{view}")
        page.wait_for_load_state("load")
        mend(page)
        take(page, folder / f"page-{name}.png")
    take_trial(page, world.url, folder / "page-try.png")
    page.emulate_media(color_scheme="dark")
    page.goto(f"{world.url}/ui/graph")
    take(page, folder / "page-graph.png")


def main(folder: Path) -> None:
    with TemporaryDirectory() as place, busy_world(Path(place)) as world, chromium() as browser:
        take_all(browser, world, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
