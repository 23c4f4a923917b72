"""What a Promotion says of its repository and its commits."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from deploy.names import check_branch, check_url
from deploy.shape import Shape, allow
from retrain.events import JsonValue

_PERSON = re.compile(r"[^<>\x00-\x1f\x7f]*[^<>\x00-\x1f\x7f .,:;'\"][^<>\x00-\x1f\x7f]*")
_EMAIL = re.compile(r"[^<>\s\x00-\x1f\x7f]+@[^<>\s\x00-\x1f\x7f]+")


class Repo(Shape):
    """The deployment repository. `credentials` are known but not built: git uses none, or the ssh agent's."""

    url: str
    branch: str = "main"
    credentials: JsonValue = None

    @field_validator("url")
    @classmethod
    def _allowed_url(cls, value: str) -> str:
        return allow(value, check_url(value))

    @field_validator("branch")
    @classmethod
    def _allowed_branch(cls, value: str) -> str:
        return allow(value, check_branch(value))


class Commit(Shape):
    """The commit's words and its author, who is the committer too."""

    message: str = Field(default="promote({{promotion.name}}): {{candidate.digest}} in {{promotion.environment}}")
    name: str = "Retrain"
    email: str = "retrain@localhost"

    @field_validator("name")
    @classmethod
    def _person(cls, value: str) -> str:
        return allow(value, None if _PERSON.fullmatch(value) else "is no name that git can store")

    @field_validator("email")
    @classmethod
    def _address(cls, value: str) -> str:
        return allow(value, None if _EMAIL.fullmatch(value) else "is no e-mail address")
