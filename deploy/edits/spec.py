"""What a Promotion says of the values that it changes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from deploy.edits import selector
from deploy.names import check_file
from deploy.shape import Shape, allow
from retrain.errors import ConfigError


class Edit(Shape):
    """One value in one file. `resource` picks a document of several: `{kind: Deployment, metadata.name: digits}`.

    `create`: make the key or item where it is missing; `remove`: take it out, in place of a value. `at`: only in the
    steps of a canary before its last one, or only in the last; left out: in each.
    """

    file: str
    path: str
    value: str | int | float | bool | None = None
    resource: dict[str, str] = Field(default_factory=dict)
    create: bool = False
    remove: bool = False
    at: Literal["canary", "full"] | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if self.remove and (self.value is not None or self.create):
            raise ValueError("remove: true stands alone, without value and create")
        if not self.remove and self.value is None:
            raise ValueError("value is missing; write value, or remove: true")
        if self.remove and isinstance(selector.parse(self.path)[-1], selector.Index):
            raise ValueError("an item is removed by [key=value], not by its number: twice would take two")
        return self

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
