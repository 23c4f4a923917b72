"""The schema of `status`, as `retrain.app.operator.statuses` writes it."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "format": "int64"}
_TIME: Schema = {"type": "string", "format": "date-time"}


def status_schema(kind: str) -> Schema:
    """Of a kind. Conditions merge by their types."""
    common: Schema = {
        "state": _TEXT,
        "observedGeneration": _COUNT,
        "runningGeneration": _COUNT,
        "waiting": _TEXT,
        "errors": _list(_object(path=_TEXT, code=_TEXT, message=_TEXT, line=_COUNT)),
        "warnings": _list(_object(path=_TEXT, code=_TEXT, message=_TEXT, line=_COUNT)),
        "lacking": _list(_TEXT),
        "conditions": {
            **_list(
                _object(type=_TEXT, status=_TEXT, reason=_TEXT, message=_TEXT, lastTransitionTime=_TIME)
                | {"required": ["type", "status"]}
            ),
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    }
    return {"type": "object", "properties": common | _OWN[kind]}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": dict(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_OWN: dict[str, Schema] = {
    "EventSource": {
        "events": _COUNT,
        "lastEvent": _TIME,
        "sources": _list(
            _object(
                event=_TEXT,
                kind=_TEXT,
                state=_TEXT,
                received=_COUNT,
                lastEvent=_TIME,
                waitingFor=_TEXT,
                lastError=_TEXT,
            )
        ),
    },
    "Sensor": {
        "open": _COUNT,
        "held": _COUNT,
        "lastFiring": _object(id=_TEXT, trigger=_TEXT, state=_TEXT, time=_TIME, result=_TEXT, error=_TEXT),
    },
    "Promotion": {},
}
