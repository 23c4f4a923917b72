"""What all shapes share."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

When = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339 in UTC."""
Object = dict[str, Any]


class Shape(BaseModel):
    """An object. Fields may be added to it; one that has a default may be missing."""

    model_config = ConfigDict(extra="allow")
    EXAMPLE: ClassVar[Object] = {}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(core)
        schema = handler.resolve_ref_schema(made)
        for field in schema.get("properties", {}).values():
            # Nobody fills a default in: what is missing is missing.
            field.pop("default", None)
            field.pop("title", None)
        schema["additionalProperties"] = True
        if cls.EXAMPLE:
            schema["example"] = cls.EXAMPLE
        return made


class Page(Shape):
    """A part of a list."""

    next: str | None = Field(description="The cursor of the part behind this one; null: this is the end")


class FieldError(Shape):
    """One thing that is wrong: a parameter by its name, or a part of the body by its JSON pointer."""

    detail: str
    parameter: str = ""
    pointer: str = ""


class Problem(Shape):
    """An error, as RFC 9457 says it."""

    EXAMPLE = {
        "type": "/problems/not-found",
        "title": "There is no such thing",
        "status": 404,
        "detail": "p-1: no such promotion; `retrain promotions list` shows the ids",
        "instance": "/api/v1/promotions/p-1",
        "error": "p-1: no such promotion; `retrain promotions list` shows the ids",
        "requestId": "5f0c8a1e9d3b7a42",
    }
    type: str = Field(description="The kind: /problems/NAME; GET it to read what it means", pattern="^/problems/")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What was wrong, where, and what would be right")
    instance: str = Field(description="The path that was asked for")
    error: str = Field(description="As `detail`")
    requestId: str = Field(description="The id of this request, in the log too")
    errors: list[FieldError] = Field(default=[], description="What was wrong, one by one")
    attribute: str = Field(default="", description="The attribute of a CloudEvent that was wrong")
