"""A plugin's kind of trigger in a Sensor: `parameters` mean what they mean everywhere, the rest is its own. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from pydantic import BaseModel, ConfigDict

from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.manifests import Plugged, Problem, problems
from sensors.actions.match import Match
from sensors.actions.parameters import Parameters, RenderError
from sensors.shapes import Parameter

Action = dict[str, JsonValue]

RESERVED = ("kind", "policy", "retryStrategy")
"""Members of an action that say which kind it is of and how it is tried again."""


class Written(BaseModel):
    """What stands under the kind's name. What is not ours is in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    parameters: tuple[Parameter, ...] = ()


def check_body(one: Plugged, at: tuple[str | int, ...]) -> Iterator[Problem]:
    """What is wrong with the body. What the parameters say is checked apart, by `parameters_of`."""
    found = list(problems(Written, one.body, at))
    yield from found
    if found or not isinstance(one.body, dict):
        return
    fields = {name: value for name, value in one.body.items() if name != "parameters"}
    for name in RESERVED:
        if name in fields:
            yield Problem((*at, name), "unsupported-field", f"{name!r} is a word of the platform's own here")
    if one.Spec is not None:
        yield from problems(one.Spec, fields, at)


def parameters_of(one: Plugged) -> tuple[Parameter, ...]:
    """Its parameters; none where the body is of the wrong shape."""
    if any(problems(Written, one.body)):
        return ()
    return Written.model_validate(one.body).parameters


def compile_plugged(one: Plugged) -> tuple[Parameters, Action]:
    """The parameters, and the action as it is without them.

    Raises:
        ConfigError: the body is not what the kind wants.
    """
    if wrong := next(check_body(one, (one.name,)), None):
        raise ConfigError(f"the {one.name} trigger: {wrong.message}")
    written = Written.model_validate(one.body)
    return Parameters(written.parameters), dict(written.model_extra or {})


def render(one: Plugged, parameters: Parameters, fields: Mapping[str, JsonValue], match: Match) -> Action:
    """The action, with the parameters in it.

    Raises:
        RenderError: a value is not there, or what came out is not what the kind wants.
    """
    filled = cast("Action", parameters.apply(dict(fields), match))
    if parameters and (wrong := next(check_body(Plugged(one.name, filled, one.Spec), (one.name,)), None)):
        raise RenderError(f"the {one.name} trigger as its parameters made it: {wrong.message}")
    return {"kind": one.name, **filled}
