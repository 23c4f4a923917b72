"""`/openapi.json`: what FastAPI knows of its routes, and the one hot route that is not FastAPI's."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "A CloudEvent 1.0; further attributes are its extensions",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "subject": {"type": "string"},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"type": "string"},
        "data": {},
    },
}
_ERROR: dict[str, Any] = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["id", "position", "duplicate"],
    "properties": {
        "id": {"type": "string"},
        "position": {"type": "integer", "minimum": 1},
        "duplicate": {"type": "boolean"},
    },
}
_TAKEN: dict[str, Any] = {
    "type": "object",
    "required": ["accepted"],
    "properties": {"accepted": {"type": "array", "items": _RECEIPT}},
}


def _said(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


INTAKE: dict[str, Any] = {
    "summary": "Send Events",
    "description": "Structured, batched, or binary with `ce-` headers. Answered once the bus has all of them.",
    "operationId": "send_events_api_v1_events_post",
    "requestBody": {
        "required": True,
        "content": {
            "application/cloudevents+json": {"schema": _EVENT},
            "application/cloudevents-batch+json": {"schema": {"type": "array", "items": _EVENT}},
            "*/*": {"schema": {}},
        },
    },
    "responses": {
        "202": _said("The bus has them", _TAKEN),
        "400": _said("One of them is no CloudEvent, or not one that may come from outside; none was taken", _ERROR),
        "408": _said("The body did not come in time", _ERROR),
        "413": _said("The body, or one event, is over the limit", _ERROR),
        "503": _said("The bus is away; send them again", _ERROR),
    },
}


def describe(api: FastAPI) -> None:
    """Make the API's description whole."""
    of_routes = api.openapi

    def whole() -> dict[str, Any]:
        page = of_routes()  # made once, and kept by FastAPI
        page["paths"].setdefault("/api/v1/events", {})["post"] = INTAKE
        return page

    api.openapi = whole
