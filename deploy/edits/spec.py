"""What a Promotion says of the values that it changes."""

from __future__ import annotations

from pydantic import Field, field_validator

from deploy.edits import selector
from deploy.names import check_file
from deploy.shape import Shape, allow
from retrain.errors import ConfigError


class Edit(Shape):
    """One value in one file. `resource` picks a document of several: `{kind: Deployment, metadata.name: digits}`."""

    file: str
    path: str
    value: str | int | float | bool
    resource: dict[str, str] = Field(default_factory=dict)

    @field_validator("file")
    @classmethod
    def _allowed_file(cls, value: str) -> str:
        return allow(value, check_file(value))

    @field_validator("path")
    @classmethod
    def _readable_path(cls, value: str) -> str:
        try:
            selector.parse(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value
