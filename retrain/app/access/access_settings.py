"""Who may come in, as the settings say: people with tokens, a login at a provider, how long things last."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from retrain.roles import ROLE

SHORTEST_TOKEN = 16
"""Characters of a user's token."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Role = Annotated[str, Field(pattern=rf"^{ROLE.pattern}$")]
UserName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f<>]{1,120}$")]
Hours = Annotated[float, Field(gt=0, le=24 * 366)]
Days = Annotated[int, Field(gt=0, le=3660)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class User(_Group):
    """Somebody who may speak to the API: by a token, or by its SHA-256 so that the file holds no secret.

    `kind: service` is a program: it may do what its roles say, and approves nothing.
    """

    token: SecretStr | None = None
    token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    roles: tuple[Role, ...] = ("viewer",)
    kind: Literal["person", "service"] = "person"

    @model_validator(mode="after")
    def _one_token(self) -> User:
        if (self.token is None) == (self.token_sha256 is None):
            raise ValueError("write token, or token_sha256")
        if self.token is not None and len(self.token.get_secret_value()) < SHORTEST_TOKEN:
            raise ValueError(f"a token has {SHORTEST_TOKEN} characters at least")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the token, in hex."""
        if self.token is None:
            return self.token_sha256 or ""
        return sha256(self.token.get_secret_value().encode()).hexdigest()


class SecretPlace(_Group):
    """Where a secret is: in a variable, or in a file whose last line end does not count."""

    env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    file: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> SecretPlace:
        if (self.env is None) == (self.file is None):
            raise ValueError("write env, or file")
        return self

    def __str__(self) -> str:
        return f"the variable {self.env}" if self.env is not None else f"the file {self.file}"


def plain_url(text: str) -> str:
    """An `https://` URL without query; `http://` only to this machine.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(text)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("must begin with https://; http:// is for this machine only")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or "@" in text:
        raise ValueError("must be a URL such as https://login.example.com, without user, query and fragment")
    return text


def base_url(text: str) -> str:
    """The same without a path, and without a slash at its end.

    Raises:
        ValueError: it has a path.
    """
    if urlsplit(plain_url(text)).path not in {"", "/"}:
        raise ValueError("must be a URL without a path, such as https://retrain.example.com")
    return text.rstrip("/")


class Oidc(_Group):
    """A provider of OpenID Connect at which people log in."""

    issuer: Annotated[str, AfterValidator(plain_url)]
    """As its discovery document names it, to the letter."""
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretPlace | None = None
    """None: a public client, which PKCE alone protects."""
    name: Annotated[str, Field(min_length=1, max_length=60)] = "single sign-on"
    """How the login's button calls the provider."""
    scopes: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")], ...] = ("openid", "profile", "email")
    name_claim: str = "preferred_username"
    """The claim that names a person: on the record, and where authors and approvers are told apart."""
    groups_claim: str = "groups"
    roles: dict[str, tuple[Role, ...]] = {}
    """Group -> roles."""
    everybody: tuple[Role, ...] = ()
    """Roles of all who can log in there."""
    ca: str | None = None
    """PEM file of the authority that signed its certificate, where the machine does not know it."""
    roles_last_days: Days = 30
    """Days after their last login for which a person's tokens still count: what a group gave is known from logins."""

    @model_validator(mode="after")
    def _gives_something(self) -> Oidc:
        if "openid" not in self.scopes:
            raise ValueError("scopes: openid must be among them")
        if not self.roles and not self.everybody:
            raise ValueError("nobody would have a role: write roles (group -> roles), or everybody")
        return self


class AccessGroup(_Group):
    """Who may do what."""

    users: dict[UserName, User] = {}
    """People by name, with token and roles: viewer, operator, approver, admin, and those that approvals ask for."""
    oidc: Oidc | None = None
    """Where people log in; needs `server.url`."""
    session_hours: Hours = 12.0
    """Hours after which a session of the page ends."""
    session_idle_hours: Hours = 2.0
    """Hours without a request after which it ends sooner."""
    token_days: Days = 90
    """Days for which a token lasts that says nothing else."""
    token_most_days: Days = 365
    """Days for which a token may last at most."""

    @model_validator(mode="after")
    def _own_tokens(self) -> AccessGroup:
        digests = [user.digest for user in self.users.values()]
        if len(set(digests)) < len(digests):
            raise ValueError("two users have the same token")
        if self.token_days > self.token_most_days:
            raise ValueError("token_days is more than token_most_days")
        return self

    @property
    def tells_apart(self) -> bool:
        """Whether people have something of their own to come in with."""
        return bool(self.users) or self.oidc is not None
