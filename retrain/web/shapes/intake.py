"""What may be sent: CloudEvents in all three forms of HTTP, and any JSON for WorkflowEventBindings."""

from __future__ import annotations

from typing import Any

from retrain.web.shapes.events import CloudEvent

_FORM: dict[str, Any] = CloudEvent.model_json_schema()
_MAYBE: dict[str, Any] = {"type": ["string", "null"], "minLength": 1}
_EVENT: dict[str, Any] = {
    **_FORM,
    "properties": {
        **_FORM["properties"],
        **dict.fromkeys(("subject", "datacontenttype", "dataschema"), _MAYBE),
        "time": {"type": ["string", "null"], "format": "date-time"},
        "data_base64": {"type": ["string", "null"], "contentEncoding": "base64"},
    },
    "not": {"required": ["data", "data_base64"]},
}
"""An attribute that is null is none, says the standard."""

INTAKE: dict[str, Any] = {
    "description": "Structured, batched, or binary: `ce-` headers, and the data in a body of any type. "
    "Answered once the bus has all of them.",
    "requestBody": {
        "required": True,
        "content": {
            "application/cloudevents+json": {"schema": _EVENT},
            "application/cloudevents-batch+json": {"schema": {"type": "array", "items": _EVENT}},
        },
    },
}
ARGO_INTAKE: dict[str, Any] = {
    "description": "Any JSON, as Argo's server takes it for WorkflowEventBindings.",
    "requestBody": {"required": False, "content": {"application/json": {"schema": {}}}},
}
