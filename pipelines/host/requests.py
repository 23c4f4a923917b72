"""What may be asked of an open run, as it is kept in `run_requests` and as the engine takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pipelines.core.happenings import Resume, SetNodes, Stop, Suspend
from pipelines.core.nodes import Outputs, Phase
from pipelines.host.verbs import Verb
from retrain.errors import ConfigError
from retrain.events import JsonValue

Request = Stop | Suspend | Resume | SetNodes

WHOLE: Mapping[str, Request] = {
    "stop": Stop("Stop"),
    "terminate": Stop("Terminate"),
    "suspend": Suspend(),
    "resume": Resume(),
}
"""What is asked of a run as a whole, by its verb."""


def body_of(request: Request) -> dict[str, JsonValue]:
    """The request as JSON."""
    match request:
        case Stop():
            verb = "terminate" if request.strategy == "Terminate" else "stop"
            return _short({"verb": verb, "selector": request.selector, "message": request.message})
        case Suspend():
            return {"verb": "suspend"}
        case Resume():
            return _short(
                {"verb": "resume", "selector": request.selector, "message": request.message, "by": request.by}
            )
        case SetNodes():
            phase = str(request.phase) if request.phase is not None else ""
            words = {"verb": "set", "selector": request.selector, "phase": phase, "message": request.message}
            return {**_short(words), "outputs": cast("JsonValue", request.outputs.to_argo())}


def request_of(body: Mapping[str, Any]) -> Request:
    """Read it back.

    Raises:
        ConfigError: an older or a newer Retrain wrote something else.
    """
    selector, message = str(body.get("selector", "")), str(body.get("message", ""))
    match body.get("verb"):
        case "stop":
            return Stop("Stop", message, selector)
        case "terminate":
            return Stop("Terminate", message, selector)
        case "suspend":
            return Suspend()
        case "resume":
            return Resume(selector, message, str(body.get("by", "")))
        case "set":
            phase = body.get("phase")
            return SetNodes(selector, Phase(phase) if phase else None, message, Outputs.from_argo(body.get("outputs")))
        case verb:
            raise ConfigError(f"no run can be asked to {verb!r}")


def verb_of(request: Request) -> Verb | None:
    """The verb of a request to the run as a whole; None: it is about some of its nodes only."""
    match request:
        case Stop() if not request.selector:
            return "terminate" if request.strategy == "Terminate" else "stop"
        case Suspend():
            return "suspend"
        case Resume() if not request.selector:
            return "resume"
        case _:
            return None


def _short(words: Mapping[str, str]) -> dict[str, JsonValue]:
    return {key: value for key, value in words.items() if value}
