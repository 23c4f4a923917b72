"""Coming in, in a real browser: by a login at a real provider (Gitea), and a token that somebody makes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.page_browser import complaints_of, leave, violations, visitor
from tests.e2e.page_world import SETTINGS, TOKENS
from tests.e2e.platform_driver import Platform
from tests.servers.forge_servers import PASSWORD, USER, Gitea

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]
OIDC = """\
  oidc:
    issuer: {issuer}
    client_id: {id}
    client_secret: {{env: ACME_SECRET}}
    name: Acme
    scopes: [openid, profile, email, groups]
    roles: {{browsers: [operator, approver@models]}}
server: {{url: "{url}"}}
"""


@dataclass(frozen=True)
class Office:
    """A platform whose people log in at Gitea."""

    platform: Platform
    gitea: Gitea

    @property
    def url(self) -> str:
        return self.platform.url

    def ask(self, token: str, method: str = "GET", path: str = "/api/v1/me") -> httpx2.Response:
        """One request of a program's, with a token."""
        return httpx2.request(method, f"{self.url}{path}", headers={"authorization": f"Bearer {token}"}, timeout=30)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def office(gitea_server: Gitea, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = gitea_server.call(
        "POST",
        "/user/applications/oauth2",
        {"name": "browsers", "redirect_uris": [f"{url}/ui/login/callback"], "confidential_client": True},
    )
    gitea_server.call("POST", "/orgs", {"username": "browsers"})
    issuer = httpx2.get(f"{gitea_server.url}/.well-known/openid-configuration").json()["issuer"]
    platform = Platform(tmp_path_factory.mktemp("office"), environment={"ACME_SECRET": app["client_secret"]})
    platform.write("retrain.yaml", SETTINGS + OIDC.format(issuer=issuer, id=app["client_id"], url=url))
    platform.start(port=port)
    with platform:
        yield Office(platform, gitea_server)
        assert platform.stop() == 0


def log_in_at_gitea(page: Page) -> None:
    page.get_by_label("Username or Email Address").fill(USER)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign In", exact=True).click()


def test_a_person_logs_in_at_the_provider_comes_back_and_leaves(office: Office, browser: Browser) -> None:
    page = visitor(browser, office.url, "")
    page.goto(f"{office.url}/ui/runs?phase=Failed")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert violations(page) == []
    page.get_by_role("link", name="Log in with Acme").click()
    assert page.url.startswith(office.gitea.url)
    log_in_at_gitea(page)
    page.get_by_role("button", name="Authorize Application").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
    assert page.url == f"{office.url}/ui/runs?phase=Failed"
    complaints_of(page).clear()  # the provider's own
    page.get_by_role("link", name="Tokens", exact=True).click()
    you = page.locator("section").filter(has=page.get_by_role("heading", name="You", exact=True))
    expect(you).to_contain_text(USER)
    expect(you).to_contain_text("approver@models, operator")
    page.get_by_role("link", name="Dead letters").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dead letters")
    cookie = next(one for one in page.context.cookies(office.url) if one.get("name") == "retrain_session")
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")

    page.get_by_role("button", name="Log out").click()
    kept = httpx2.get(f"{office.url}/api/v1/me", headers={"cookie": f"retrain_session={cookie.get('value')}"})
    assert kept.status_code == 401
    page.goto(f"{office.url}/ui/runs")
    expect(page.get_by_label("Token")).to_be_visible()
    leave(page)


def test_a_token_is_made_seen_once_used_and_revoked(office: Office, browser: Browser) -> None:
    page = visitor(browser, office.url, "eve")
    page.get_by_role("link", name="Tokens", exact=True).click()
    page.get_by_label("What for").fill("nightly reports")
    page.get_by_label("Days until it ends").fill("7")
    page.get_by_role("button", name="Make the token").click()
    token = page.get_by_role("region", name="The new token").inner_text()
    assert violations(page) == []

    assert (office.ask(token).json()["name"], office.ask(token).json()["roles"]) == ("eve", ["viewer"])
    assert office.ask(token, "POST", "/api/v1/reload").status_code == 403
    page.get_by_role("link", name="Tokens", exact=True).click()
    row = page.get_by_role("row", name="nightly reports")
    expect(row).to_contain_text("active")
    assert token not in page.content()
    page.get_by_role("button", name="Revoke nightly reports").click()
    expect(row).to_contain_text("revoked")
    assert office.ask(token).status_code == 401
    assert office.ask(TOKENS["eve"]).status_code == 200
    deeds = [one["action"] for one in office.ask(TOKENS["eve"], path="/api/v1/audit").json()["items"]]
    assert deeds[:2] == ["tokens.revoke", "tokens.create"]
    leave(page)


def test_a_view_whose_session_ends_elsewhere_says_so(office: Office, browser: Browser) -> None:
    page = visitor(browser, office.url, "vic")
    with page.expect_response("**/ui/live*"):
        page.goto(f"{office.url}/ui/runs")
    other = page.context.new_page()
    other.goto(f"{office.url}/ui/tokens")
    other.get_by_role("button", name="End all").click()

    expect(page.get_by_role("status")).to_contain_text("You are logged out")
    assert all("401" in one for one in complaints_of(page))
    page.context.close()
