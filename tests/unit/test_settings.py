"""Settings: the variable over the file, and errors that name the setting and show no secret."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from retrain.app.keeping.doctor import examine
from retrain.app.settings import load_settings
from retrain.errors import ConfigError


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("RETRAIN_"):
            monkeypatch.delenv(name)


def test_a_variable_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "retrain.yaml").write_text("server: {port: 1, max_body: 5}\nshutdown_s: 3\n")
    monkeypatch.setenv("RETRAIN_SERVER_PORT", "2")

    found = load_settings(tmp_path)

    assert (found.server.port, found.server.max_body, found.shutdown_s) == (2, 5, 3)


def test_the_url_that_commands_talk_to_is_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_SERVER", "http://127.0.0.1:7300")

    assert load_settings(tmp_path).server.port == 7300


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bus: {urll: x}", "bus.urll: there is no such setting"),
        ("buss: {}", "buss: there is no such setting"),
        ("server: {port: 70000}", "server.port (RETRAIN_SERVER_PORT): .*, not 70000"),
        ("pipelines: {max_runs: 0}", "pipelines.max_runs .*, not 0"),
        ("[1]", "must be a mapping"),
        ("{", "is not YAML"),
    ],
)
def test_a_setting_that_is_wrong_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "retrain.yaml").write_text(text)

    with pytest.raises(ConfigError, match=said.replace("(", r"\(").replace(")", r"\)")):
        load_settings(tmp_path)


@pytest.mark.parametrize("text", ["bus: {token: hunter2, user: a, password: hunter2}", "server: {token: [hunter2]}"])
def test_a_message_shows_no_secret(text: str, tmp_path: Path) -> None:
    (tmp_path / "retrain.yaml").write_text(text)

    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)

    assert "hunter2" not in str(caught.value)


def test_the_doctor_knows_what_is_read_and_names_what_is_not(tmp_path: Path) -> None:
    known = dict.fromkeys(
        ["RETRAIN_SERVER", "RETRAIN_BUS_STREAM", "RETRAIN_SECRET_LAKE_KEY", "RETRAIN_SHUTDOWN_S"], "x"
    )

    def told(environment: dict[str, str]) -> tuple[bool, str]:
        found = next(one for one in examine(tmp_path, environment) if one.name == "settings")
        return found.ok, found.found

    assert told(known) == (True, "all known")
    assert told({**known, "RETRAIN_BSU_URL": "x"}) == (False, "RETRAIN_BSU_URL")


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ("{ada: {roles: [approver]}}", "write token, or token_sha256"),
        ("{ada: {token: hunter2, roles: [approver]}}", "16 characters at least"),
        ("{ada: {token_sha256: hunter2}}", "token_sha256"),
        ("{ada: {token: hunter2hunter2hunter2, roles: ['a b']}}", "roles.0"),
        ("{ada: {token: hunter2hunter2hunter2}, ben: {token: hunter2hunter2hunter2}}", "two users have the same token"),
        ('{"a\\nb": {token: hunter2hunter2hunter2}}', "access.users"),
        ("hunter2", "access.users"),
    ],
)
def test_a_user_that_is_wrong_is_told_without_its_token(users: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "retrain.yaml").write_text(f"access: {{users: {users}}}\n")

    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)

    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_users_have_a_token_or_its_digest(tmp_path: Path) -> None:
    token = "a-token-of-20-letters"
    digest = sha256(token.encode()).hexdigest()
    (tmp_path / "retrain.yaml").write_text(
        f"access: {{users: {{ada: {{token: {token}, roles: [approver]}}, eve: {{token_sha256: {'ab' * 32}}}}}}}\n"
    )

    users = load_settings(tmp_path).access.users

    assert (users["ada"].digest, users["eve"].digest) == (digest, "ab" * 32)
    assert users["eve"].roles == ("viewer",)
    assert token not in repr(users)


def test_the_store_does_not_forget_what_the_bus_still_shows(tmp_path: Path) -> None:
    (tmp_path / "retrain.yaml").write_text("store: {events_days: 10}")
    with pytest.raises(ConfigError, match="write 30 at least, or 0"):
        load_settings(tmp_path)
    (tmp_path / "retrain.yaml").write_text("store: {events_days: 0}")
    assert load_settings(tmp_path).store.events_days == 0
