"""Secrets are taken out of texts whatever they look like there, and nothing else is."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from retrain.app.keeping import masking
from retrain.app.keeping.masking import MASK, Masker

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]), min_size=8, max_size=40)
AROUND = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20)


@given(SECRETS, AROUND, AROUND)
def test_a_known_value_is_found_in_every_form_it_may_have(value: str, before: str, after: str) -> None:
    masker = Masker([value])
    raw = value.encode()
    inner = base64.b64encode(f"{before}{value}{after}".encode()).decode()
    forms = [value, json.dumps(value), quote(value, safe=""), base64.b64encode(raw).decode(), inner]

    for form in forms:
        clean = masker.text(f"a {form} b")
        assert value not in clean
        assert masker.left(clean) == 0
        if form != inner:
            assert MASK in clean
    assert quote(value, safe="") not in masker.text(quote(value, safe=""))


def test_a_short_value_is_a_word_of_its_own() -> None:
    masker = Masker(["test", "x"])

    assert masker.text("the latest test: x") == "the latest ***: x"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("git clone https://ada:s3cret@forge/x.git", "git clone https://***@forge/x.git"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("nats://:pw@host:4222,nats://tok@b", "nats://***@host:4222,nats://***@b"),
        ("https://x/y?token=abc123&z=1", "https://x/y?token=***&z=1"),
        ('{"password": "hunter22"}', '{"password": "***"}'),
        ("--api-key=abcdef", "--api-key=***"),
        ("ghp_0123456789abcdef0123", "***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nafter", "***\nafter"),
        ("-----BEGIN PRIVATE KEY-----\ntorn", "***"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4", "***"),
        ("state: pending, attempts: 3, tokens 17 read", "state: pending, attempts: 3, tokens 17 read"),
        ("see https://example.com/path and s3://lake/key", "see https://example.com/path and s3://lake/key"),
    ],
)
def test_what_is_not_known_is_told_by_its_look(text: str, clean: str) -> None:
    assert Masker([]).text(text) == clean


def test_names_hide_values_and_what_points_to_secrets_stays() -> None:
    body = {
        "env": [{"name": "DB_PASSWORD", "value": "a"}, {"name": "REGION", "value": "b"}],
        "secretKeyRef": {"name": "db", "key": "password"},
        "secretName": "db",
        "headers": {"X-Api-Key": "k", "Accept": "json"},
        "nested": [{"accessKey": 7, "on": True}],
    }

    assert masking.document(body) == {
        "env": [{"name": "DB_PASSWORD", "value": MASK}, {"name": "REGION", "value": "b"}],
        "secretKeyRef": {"name": "db", "key": "password"},
        "secretName": "db",
        "headers": {"X-Api-Key": MASK, "Accept": "json"},
        "nested": [{"accessKey": MASK, "on": True}],
    }


def test_of_a_secret_only_the_names_of_its_keys_stay() -> None:
    body = {
        "kind": "Secret",
        "metadata": {"name": "db", "annotations": {"last-applied": '{"data": {"p": "aGV5aGV5"}}'}},
        "data": {"p": "aGV5aGV5"},
        "stringData": {"q": "x"},
    }

    assert masking.document(body) == {
        "kind": "Secret",
        "metadata": {"name": "db"},
        "data": {"p": MASK},
        "stringData": {"q": MASK},
    }
    assert set(masking.of_document(body)) == {"x", "aGV5aGV5", "heyhey"}


class _Inner(BaseModel):
    url: str = "nats://ada:of-a-url@host"
    token: SecretStr = SecretStr("typed-secret")


class _Outer(BaseModel):
    inner: _Inner = _Inner()
    api_key: str = "named-secret"
    users: dict[str, _Inner] = {"ada": _Inner(token=SecretStr("of-a-user"))}
    port: int = 1


def test_secrets_of_settings_are_known_by_type_by_name_and_in_urls() -> None:
    found = set(masking.of_settings(_Outer()))

    assert found == {"of-a-url", "typed-secret", "named-secret", "of-a-user"}
