"""ID tokens as somebody hostile would write them, with real keys."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from retrain.errors import Forbidden
from retrain.web.oidc_claims import Expected, login_of, roles_of, signed_claims

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
CURVE = ECKey.generate_key("P-256", {"kid": "two"})
KEYS = KeySet([RSAKey.import_key(KEY.as_dict(private=False)), ECKey.import_key(CURVE.as_dict(private=False))])
EXPECTED = Expected("https://login.acme", "retrain", "the-nonce")


def claims(**changed: Any) -> dict[str, Any]:
    at = int(NOW.timestamp())
    good = {"iss": "https://login.acme", "aud": "retrain", "sub": "17", "nonce": "the-nonce", "iat": at, "exp": at + 60}
    return {name: one for name, one in {**good, "name": "ada", **changed}.items() if one is not None}


def token(key: Any = KEY, alg: str = "RS256", kid: str = "one", **changed: Any) -> str:
    return jwt.encode({"alg": alg, "kid": kid}, claims(**changed), key, algorithms=[alg])


def check(text: str) -> dict[str, Any]:
    return signed_claims(text, KEYS, EXPECTED, NOW)


def test_a_good_token_names_its_person() -> None:
    assert check(token())["sub"] == "17"
    assert check(token(CURVE, "ES256", "two"))["sub"] == "17"
    assert check(token(aud=["retrain", "others"], azp="retrain"))["sub"] == "17"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://evil.example"},
        {"iss": "https://login.acme/"},
        {"iss": None},
        {"aud": "others"},
        {"aud": ["others"]},
        {"aud": None},
        {"aud": ["retrain", "others"]},
        {"azp": "others"},
        {"aud": ["retrain", "others"], "azp": "others"},
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": 5},
        {"sub": None},
        {"sub": ""},
        {"sub": 17},
        {"exp": int(NOW.timestamp()) - 61},
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"iat": int(NOW.timestamp()) + 3600},
        {"iat": None},
        {"nbf": int(NOW.timestamp()) + 3600},
    ],
)
def test_a_token_that_says_something_else_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Forbidden, match="the login is not good"):
        check(token(**changed))


def _none() -> str:
    return f"{_part({'alg': 'none', 'kid': 'one'})}.{_part(claims())}."


def _public_key_as_a_secret() -> str:
    parts = [_part({"alg": "HS256", "kid": "one"}), _part(claims())]
    sign = hmac.digest(KEY.as_pem(private=False), ".".join(parts).encode(), "sha256")
    return ".".join([*parts, urlsafe_b64encode(sign).rstrip(b"=").decode()])


def _part(value: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _cut(text: str) -> str:
    head, body, _ = text.split(".")
    return f"{head}.{body}.AAAA"


@pytest.mark.parametrize(
    "text",
    [
        _none(),
        _public_key_as_a_secret(),
        token(OTHER),
        token(CURVE, "ES256", "one"),
        token(KEY, kid="three"),
        _cut(token()),
        "",
        "a.b.c",
        "not a token",
        "é.é.é",
    ],
)
def test_a_token_that_the_issuer_did_not_sign_is_refused(text: str) -> None:
    with pytest.raises(Forbidden, match="signature"):
        check(text)


@pytest.mark.parametrize("name", [None, "", 5, "a\nb", "<b>", "x" * 121, "a\u202eb", "service:robot"])
def test_a_name_that_no_record_should_have_is_refused(name: Any) -> None:
    with pytest.raises(Forbidden, match="no name"):
        login_of(claims(name=name), "name", "groups")


def test_groups_give_roles_and_nothing_else_does() -> None:
    login = login_of(claims(groups=["a", 5, "b"]), "name", "groups")

    assert roles_of(login, {"a": ("operator",), "c": ("admin",)}, ("viewer",)) == ("operator", "viewer")
    assert roles_of(login_of(claims(), "name", "groups"), {"a": ("admin",)}, ()) == ()
