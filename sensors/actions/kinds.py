"""From the body of a nats, kafka, email, slack or awsLambda trigger to its action. Pure; `render.py` takes the table.

All five work alike: the kind's own `parameters` change what the user wrote (upstream computes those of slack and email
and then forgets them; those of nats cannot change the subject there), and `payload` is made of the events alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.manifests.argo import Shape
from sensors.actions.match import Match
from sensors.actions.parameters import Parameters, RenderError
from sensors.trigger_spec import AwsLambda, Email, Kafka, Nats, Slack

Action = dict[str, JsonValue]
Render = Callable[[Match], Action]

NAMES: Mapping[type[Shape], str] = MappingProxyType(
    {AwsLambda: "awsLambda", Email: "email", Kafka: "kafka", Nats: "nats", Slack: "slack"}
)
"""The shape of a kind -> the name that users write."""


def compile_kind(body: Shape) -> Render:
    """How to make the action of a trigger of one of these kinds.

    Raises:
        ConfigError: the body is of another kind, a parameter in it is wrong, or it asks for what is not built.
    """
    kind = NAMES.get(type(body))
    if kind is None:
        raise ConfigError(f"{type(body).__name__} is none of {', '.join(NAMES.values())}")
    if isinstance(body, Kafka) and body.schema_registry is not None:
        raise ConfigError("kafka.schemaRegistry is not built: the payload is sent as JSON")
    written = body.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"parameters", "payload"})
    parameters = Parameters(getattr(body, "parameters", ()))
    payload = Parameters(getattr(body, "payload", ()))
    shape = type(body)

    def render(match: Match) -> Action:
        action: Action = {"kind": kind, **_filled(parameters, written, match, shape)}
        if payload:
            made = payload.payload(match)
            # A payload that is a text as a whole is sent as it is, any other as JSON.
            action["body" if isinstance(made, str) else "payload"] = made
        return action

    return render


RENDERERS: Mapping[type[Shape], Callable[[Shape], Render]] = MappingProxyType(dict.fromkeys(NAMES, compile_kind))
"""The shape of a kind -> how to compile a body of it."""


def _filled(parameters: Parameters, written: Action, match: Match, shape: type[Shape]) -> Action:
    if not parameters:
        return dict(written)
    filled = parameters.apply(written, match)
    if not isinstance(filled, dict):
        raise RenderError(f"{NAMES[shape]}: its parameters made it {type(filled).__name__}, and it must be an object")
    known = {info.alias for info in shape.model_fields.values()} - {"parameters", "payload"}
    if unknown := sorted(set(filled) - known):
        raise RenderError(f"{NAMES[shape]}: a parameter writes to {unknown[0]!r}, which this trigger does not have")
    return cast("Action", filled)
