"""Whom an ID token names, if it is good: of this issuer, for us, for this login, signed by its key, in time. Pure.

OpenID Connect Core 1.0, 3.1.3.7. Only signatures that need the issuer's private key count: neither `none`, nor one made
with a secret that others may know (a public key taken for one, too).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from retrain.errors import Forbidden

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY_S = 60
"""Seconds by which the provider's clock may be another."""
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f<>\u202a-\u202e\u2066-\u2069]{1,120}")
MOST_GROUPS = 1000


@dataclass(frozen=True, slots=True)
class Expected:
    """What a good ID token of this login says."""

    issuer: str
    client_id: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Login:
    """Who has logged in. `subject` is who it is, as the issuer tells people apart."""

    name: str
    subject: str
    groups: tuple[str, ...]


def signed_claims(id_token: str, keys: KeySet, expected: Expected, now: datetime) -> dict[str, Any]:
    """What the token says.

    Raises:
        Forbidden: it is not good; the message says why, and nothing of the token.
    """
    try:
        found = jwt.decode(id_token, keys, algorithms=ALGORITHMS)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise _bad(f"its signature does not hold ({type(error).__name__})") from None
    claims = found.claims
    if why := why_bad(claims, expected, now.timestamp()):
        raise _bad(why)
    return claims


def why_bad(claims: Mapping[str, Any], expected: Expected, now: float) -> str | None:
    """Why these claims are not those of this login; None: they are."""
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
    azp, nonce, subject = claims.get("azp"), claims.get("nonce"), claims.get("sub")
    if claims.get("iss") != expected.issuer:
        return "it is of another issuer"
    if expected.client_id not in audiences:
        return "it is for somebody else (aud)"
    if (azp is not None or len(audiences) > 1) and azp != expected.client_id:
        return "it was given to somebody else (azp)"
    if not isinstance(nonce, str) or not compare_digest(nonce.encode(), expected.nonce.encode()):
        return "it is of another login (nonce)"
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        return "it does not say who it is (sub)"
    return _why_not_now(claims, now)


def login_of(claims: Mapping[str, Any], name_claim: str, groups_claim: str) -> Login:
    """Who the claims name.

    Raises:
        Forbidden: they name nobody, or with a name that no record should have.
    """
    name, groups = claims.get(name_claim), claims.get(groups_claim)
    if not isinstance(name, str) or _NAME.fullmatch(name.strip()) is None or name.startswith("service:"):
        raise _bad(f"its claim {name_claim} holds no name that can be used here (access.oidc.name_claim)")
    named = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    return Login(name.strip(), str(claims["sub"]), tuple(one for one in named[:MOST_GROUPS] if isinstance(one, str)))


def roles_of(login: Login, given: Mapping[str, tuple[str, ...]], everybody: tuple[str, ...]) -> tuple[str, ...]:
    """What the groups of somebody give, in a fixed order."""
    found = {role for group in login.groups for role in given.get(group, ())}
    return tuple(sorted(found | set(everybody)))


def _why_not_now(claims: Mapping[str, Any], now: float) -> str | None:
    times = {name: claims.get(name) for name in ("exp", "iat", "nbf")}
    if any(one is not None and (isinstance(one, bool) or not isinstance(one, int | float)) for one in times.values()):
        return "one of its times is none"
    ends, made, since = times["exp"], times["iat"], times["nbf"]
    if ends is None or made is None:
        return "it does not say when it was made and when it ends"
    if now - LEEWAY_S >= ends:
        return "it is over (exp)"
    if made > now + LEEWAY_S or (since is not None and since > now + LEEWAY_S):
        return "it is of the future; look at the clocks"
    return None


def _bad(why: str) -> Forbidden:
    return Forbidden(f"the login is not good: {why}; begin again, or tell whoever runs the platform")
