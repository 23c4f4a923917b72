"""Settings: the environment over the file, and every mistake named."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.app.settings import load_settings
from retrain.errors import ConfigError


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "retrain.yaml").write_text("server: {port: 1, max_body: 5}\n")
    monkeypatch.setenv("RETRAIN_SERVER_PORT", "2")

    settings = load_settings(tmp_path)

    assert (settings.server.port, settings.server.max_body) == (2, 5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("servr: {}\n", "servr: there is no such setting"),
        ("server: {prot: 1}\n", "server.prot: there is no such setting"),
        ("server: {port: 70000}\n", r"server.port \(RETRAIN_SERVER_PORT\): .* not 70000"),
        ("[1, 2]\n", "must be a mapping of groups"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "retrain.yaml").write_text(text)

    with pytest.raises(ConfigError, match=said):
        load_settings(tmp_path)


def test_a_token_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAIN_SERVER_TOKEN", "hunter2")

    assert "hunter2" not in repr(load_settings(tmp_path))
