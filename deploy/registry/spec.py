"""What a Promotion says of its model registry and of the marks there, and a candidate of its place in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from deploy.git.spec import Secret
from deploy.names import check_server, is_loopback, one_line
from deploy.shape import Shape, allow
from retrain.manifests import Problem

DIGEST_TAG = "retrain.dev/digest"
"""The tag of a model version that holds its digest, for `digest: tag`."""

_NAME = re.compile(r"[^\x00-\x1f\x7f/:]{1,250}")
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,250}")
_TAG = re.compile(r"[A-Za-z0-9_./ -]{1,250}")


class Mlflow(Shape):
    """An MLflow server. `url` is what MLFLOW_TRACKING_URI is; `model`: the registered model, where nobody names one.

    `digest`: how a version's digest is found. `files`: over the bytes of all its files; `tag`: its tag
    `retrain.dev/digest` is taken at its word. `insecureHttp`: a token may go over http, as inside of a cluster.
    """

    url: str
    model: str | None = None
    token: Secret | None = None
    username: Secret | str | None = None
    password: Secret | None = None
    ca: Secret | None = None
    digest: Literal["files", "tag"] = "files"
    insecureHttp: bool = False

    @field_validator("url")
    @classmethod
    def _allowed_url(cls, value: str) -> str:
        return allow(value, check_server(value, "an MLflow server"))

    @field_validator("model")
    @classmethod
    def _allowed_model(cls, value: str | None) -> str | None:
        return value if value is None else allow(value, check_model(value))

    @field_validator("username")
    @classmethod
    def _plain(cls, value: Secret | str | None) -> Secret | str | None:
        if isinstance(value, str):
            allow(value, None if value and value == one_line(value) and ":" not in value else "is no user name")
        return value

    @model_validator(mode="after")
    def _one_login(self) -> Mlflow:
        if self.token is not None and (self.username is not None or self.password is not None):
            raise ValueError("write a token, or username and password")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        secret = self.token is not None or self.password is not None
        if secret and self.url.startswith("http:") and not (self.insecureHttp or is_loopback(self.url)):
            raise ValueError("url is http: the secret would be readable on its way; use https, or insecureHttp: true")
        return self


class Registry(Shape):
    """The registry of a Promotion's models."""

    mlflow: Mlflow


class Mark(Shape):
    """What the registry says of the version that is live in an environment: an alias that points to it, tags on it."""

    alias: str | None = None
    tags: dict[str, str] = Field(default_factory=dict, max_length=20)

    @field_validator("alias")
    @classmethod
    def _allowed_alias(cls, value: str | None) -> str | None:
        return value if value is None else allow(value, check_alias(value))

    @field_validator("tags")
    @classmethod
    def _allowed_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        for key, value in tags.items():
            allow(key, None if _TAG.fullmatch(key) else "is no name of a tag: letters, digits, '_', '-', '.', '/', ' '")
            allow(
                value, None if value and value == one_line(value, 500) else "is no value of a tag: one line, not empty"
            )
        return tags

    @model_validator(mode="after")
    def _something(self) -> Mark:
        if self.alias is None and not self.tags:
            raise ValueError("write alias, tags, or both")
        return self


class Registered(Shape):
    """A version of a registered model: `alias` is the one that it was found by, which may point elsewhere by now."""

    model: str = Field(min_length=1, max_length=250)
    version: str = Field(min_length=1, max_length=100)
    alias: str | None = None

    @field_validator("model")
    @classmethod
    def _allowed_model(cls, value: str) -> str:
        return allow(value, check_model(value))

    @field_validator("version", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else (value or None)


Version = Annotated[str | None, BeforeValidator(_as_text)]


class Asked(Shape):
    """Which version a candidate is: by number, or by the alias that points to it now. What is "" is not there."""

    model: Annotated[str | None, BeforeValidator(_as_text)] = None
    version: Version = Field(default=None, pattern=r"^[0-9]{1,18}$")
    alias: Annotated[str | None, BeforeValidator(_as_text)] = None

    @field_validator("model")
    @classmethod
    def _allowed_model(cls, value: str | None) -> str | None:
        return value if value is None else allow(value, check_model(value))

    @field_validator("alias")
    @classmethod
    def _allowed_alias(cls, value: str | None) -> str | None:
        return value if value is None else allow(value, check_alias(value))

    @model_validator(mode="after")
    def _one(self) -> Asked:
        if (self.version is None) == (self.alias is None):
            raise ValueError("write version or alias, one of the two")
        return self


def check_model(name: str) -> str | None:
    """A registered model's name."""
    return None if _NAME.fullmatch(name) else "is no registered model's name: no '/', no ':', 1 to 250 characters"


def check_alias(alias: str) -> str | None:
    """An alias, by MLflow's rules."""
    if re.fullmatch(r"[vV][0-9]+", alias) or alias.lower() == "latest":
        return "is reserved by MLflow"
    return None if _ALIAS.fullmatch(alias) else "is no alias: letters, digits, '_' and '-'"


def check(
    registry: Registry | None, marks: Sequence[tuple[str, Mark | None, tuple[str | int, ...]]]
) -> Iterator[Problem]:
    """What is wrong between the fields. `marks`: environments with theirs, and where they stand."""
    seen: dict[str, str] = {}
    for environment, mark, here in marks:
        if mark is None:
            continue
        if registry is None:
            yield Problem(
                (*here, "mark"), "no-registry", "mark: there is no registry to set it in; write spec.registry"
            )
        if mark.alias is not None and (other := seen.setdefault(mark.alias, environment)) != environment:
            message = f"alias {mark.alias!r} would be that of {other} and of {environment}; give each its own"
            yield Problem((*here, "mark", "alias"), "duplicate-name", message)
