"""A real browser for the tests of the page: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.page_world import TOKENS
from tests.servers.launch import absent

AXE = Path(__file__).parents[1] / "data" / "axe" / "axe-4.14.1.min.js"
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, for as long as the block lasts."""
    program = which("chromium")
    if program is None:
        absent("there is no chromium; tests/servers/browser.sh install")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def log_in(page: Page, url: str, name: str) -> None:
    """Let a person log in, who then sees the overview."""
    page.goto(f"{url}/ui/")
    page.get_by_label("Token").fill(TOKENS[name])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{url}/ui/")


def visitor(browser: Browser, url: str, name: str, **more: Any) -> Page:
    """A person at a browser of their own, logged in. What the page says on its console is kept in `page.said`."""
    context: BrowserContext = browser.new_context(**more)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    listen(page)
    if name:
        log_in(page, url, name)
    return page


def listen(page: Page) -> None:
    """Remember what goes wrong on a page: errors of scripts, and what the policy of contents refuses."""
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type in {"error", "warning"} else None)
    page.on("pageerror", lambda one: complaints.append(str(one)))
    page.complaints = complaints  # type: ignore[attr-defined]


def complaints_of(page: Page) -> list[str]:
    """What went wrong on a page so far."""
    return page.complaints  # type: ignore[attr-defined]


def leave(page: Page, *, expected: str = "") -> None:
    """Close it, after a look at what went wrong. `expected`: part of what the browser says of an answer that was to be
    a refusal."""
    found = [one for one in complaints_of(page) if not expected or expected not in one]
    page.context.close()
    assert found == [], found


def violations(
    page: Page, tags: Sequence[str] = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")
) -> list[str]:
    """What axe finds wrong on the page as it is now."""
    # As the test's own script: the page's policy lets in none but its own.
    page.evaluate(AXE.read_text())
    found = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", list(tags))
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
