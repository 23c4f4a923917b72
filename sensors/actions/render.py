"""From a trigger's template and the events that fired it to the action, written out in full. Pure.

Secrets are never looked up here: the action names them. Variables in what the user wrote are filled first; then the
trigger's own parameters change the template, whatever stands in it; then those of its kind change the object or make
the payload.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from pydantic import ValidationError

from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.manifests import Kinds, Plugged
from retrain.manifests.argo import Shape
from sensors.actions import plugged
from sensors.actions.chosen import Guard
from sensors.actions.kinds import RENDERERS
from sensors.actions.match import Match
from sensors.actions.parameters import Parameters, RenderError
from sensors.actions.variables import compile_arguments
from sensors.objects.sources import FETCHED, NoSources, Sources, compile_object, identity, kind_of
from sensors.shapes import Parameter
from sensors.trigger_spec import (
    KINDS,
    ArgoWorkflow,
    Http,
    K8s,
    Log,
    Promotion,
    Retrain,
    Source,
    Template,
    Trigger,
    body_of,
    kinds_of,
)

Action = dict[str, JsonValue]
Render = Callable[[Match], Action]

NO_SOURCES = NoSources()
OBJECTS = ("argoWorkflow", "k8s")
"""Kinds of trigger with an object that comes from a source."""
_PARAMETERS = ("parameters", "payload", "dynamic_headers")
_POLICIES = {"http": "status", "awsLambda": "status", **dict.fromkeys(OBJECTS, "k8s")}
"""The part of `policy` that says for a kind of trigger what counts as success."""


def compile_trigger(trigger: Trigger, sources: Sources = NO_SOURCES, *, ours: bool = True) -> Render:
    """How to make the action of a trigger. `sources` gives the texts that are not in the manifest.

    `ours`: it is of retrain.dev/v1. Otherwise what only that has means nothing in its parameters, as upstream drops it.

    Raises:
        ConfigError: it has no kind or several, its kind cannot be rendered yet, a parameter in it is wrong, or its
            object cannot be had.
    """
    trigger = trigger if ours else _without_windows(trigger)
    template = trigger.template or Template()
    common = _common(trigger)
    if not trigger.parameters:
        render = _compile_template(template, sources)
        return lambda match: render(match) | common
    if chosen := chosen_by_event(trigger):
        raise ConfigError(f"a parameter changes {chosen}: an event cannot choose where the object comes from")
    render_changed = _compile_changing(template, Parameters(trigger.parameters), sources)
    return lambda match: render_changed(match) | common


def chosen_by_event(trigger: Trigger) -> str:
    """The field by which an event would choose where the object comes from; "" if none does."""
    places = tuple(f"{kind}.source.{place}" for kind in OBJECTS for place in FETCHED)
    return next((one.dest for one in trigger.parameters if one.dest.startswith(places)), "")


def _without_windows(trigger: Trigger) -> Trigger:
    template = trigger.template
    if template is None:
        return trigger
    bodies: dict[str, Shape] = {}
    for field in KINDS:
        body: Shape | None = getattr(template, field)
        if body is not None:
            lists = {name: _plain(found) for name in _PARAMETERS if (found := getattr(body, name, ()))}
            bodies[field] = body.model_copy(update=lists)
    kept = {"template": template.model_copy(update=bodies), "parameters": _plain(trigger.parameters)}
    return trigger.model_copy(update=kept)


def _plain(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    return tuple(
        one.model_copy(update={"src": one.src.model_copy(update={"window": ""})}) if one.src is not None else one
        for one in parameters
    )


def _compile_changing(template: Template, parameters: Parameters, sources: Sources) -> Render:
    """For a template that the trigger's own parameters change with each firing."""
    source = _source_of(template)
    written = _written(template) | {name: one.body for name, one in template.plugged.items()}
    fill = _compile_fill(template, written)
    guard = _guard(template)
    if source is not None:
        compile_object(source, sources)  # what is wrong with it is wrong at once

    def render(match: Match) -> Action:
        changed = _read_template(parameters.apply(fill(match), match), template.plugged)
        if not _same_place(source, _source_of(changed)):
            raise RenderError("a parameter changes where the object comes from: an event cannot choose that")
        try:
            return _compile_template(changed, sources, guard)(match)
        except ConfigError as error:
            raise RenderError(f"the template as its parameters made it: {error}") from error

    return render


def _source_of(template: Template) -> Source | None:
    body = template.argo_workflow or template.k8s
    return None if body is None else body.source


def _same_place(before: Source | None, after: Source | None) -> bool:
    if after is None or kind_of(after) not in FETCHED:
        return True
    return before is not None and identity(before) == identity(after)


def _compile_fill(template: Template, written: Action) -> Callable[[Match], Action]:
    """The template with its variables filled, before anything of an event is in it."""
    source = _source_of(template)
    if source is None or kind_of(source) in FETCHED:
        return lambda _match: written
    fill = compile_arguments(compile_object(source, NO_SOURCES)())
    if fill is None:
        return lambda _match: written
    kind = next(name for name in OBJECTS if name in written)
    body = cast("Action", written[kind])
    return lambda match: {**written, kind: {**body, "source": {"resource": fill(match)}}}


def _common(trigger: Trigger) -> Action:
    """What execution must know besides the kind's own fields, where it is written."""
    common: Action = {}
    if trigger.retry_strategy is not None:
        common["retryStrategy"] = _written(trigger.retry_strategy)
    kind = "".join(kinds_of(trigger.template or Template()))
    # What means nothing for the kind is left out, as upstream does; `check` says so.
    if trigger.policy is not None and (part := _POLICIES.get(kind)) and (said := _written(trigger.policy).get(part)):
        common["policy"] = {part: said}
    return common


def _written(shape: Shape) -> Action:
    """What the user wrote, as JSON."""
    return shape.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _read_template(document: JsonValue, kinds: Kinds) -> Template:
    try:
        return Template.model_validate(document, context=kinds)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise RenderError(f"the template as its parameters made it: {where}: {first['msg']}") from error


def _guard(template: Template) -> Guard:
    """Of the template as it is written: what it says beside its object, and the object where it holds that."""
    body, source = template.argo_workflow or template.k8s, _source_of(template)
    if body is None or source is None or kind_of(source) in FETCHED:
        return Guard(_fields(body))
    return Guard(_fields(body), compile_object(source, NO_SOURCES)())


def _compile_template(template: Template, sources: Sources, guard: Guard | None = None) -> Render:
    """`guard`: parameters have changed the template, and nothing of the user's own text is left to fill in, but in an
    object that is fetched."""
    kinds = kinds_of(template)
    if len(kinds) != 1:
        raise ConfigError(f"a trigger's template has one kind, not {' and '.join(kinds) or 'none'}")
    match body_of(template):
        case Http() as body:
            return _compile_http(body)
        case (K8s() | ArgoWorkflow()) as body:
            return _compile_object(kinds[0], body, sources, guard)
        case Log() as body:
            action: Action = {"kind": "log", **_written(body)}
            return lambda _match: dict(action)
        case Promotion() as body:
            return _compile_promotion(body)
        case Retrain() as body:
            return _compile_retrain(body)
        case Plugged() as body:
            return _compile_plugged(body)
        case Shape() as body if (compile_kind := RENDERERS.get(type(body))) is not None:
            return compile_kind(body)
        case _:
            raise ConfigError(f"the {kinds[0]} trigger is not built yet")


def _compile_http(http: Http) -> Render:
    written = _written(http)
    for name in ("parameters", "payload", "dynamicHeaders"):
        written.pop(name, None)
    parameters, payload = Parameters(http.parameters), Parameters(http.payload)
    headers = Parameters(http.dynamic_headers)

    def render(match: Match) -> Action:
        action: Action = {"kind": "http", **cast("Action", parameters.apply(written, match))}
        if headers:
            action["headers"] = {**(action.get("headers") or {}), **headers.texts(match)}
        if payload:
            body = payload.payload(match)
            action["payload"] = body
            if isinstance(body, str):
                action["body"] = body  # sent as it is; a payload is sent as JSON
        return action

    return render


def _compile_object(kind: str, body: K8s | ArgoWorkflow, sources: Sources, changed: Guard | None) -> Render:
    take = compile_object(body.source, sources)
    parameters = Parameters(body.parameters)
    fields = _fields(body)
    guard = changed or Guard(fields)
    is_fetched = body.source is not None and kind_of(body.source) in FETCHED
    fill = _compile_filling(enabled=is_fetched or changed is None)

    def render(match: Match) -> Action:
        written = take()
        resource = parameters.apply(fill(written, match), match)
        live: Action = {"live": parameters.steps(match)} if fields.get("liveObject") else {}
        return guard.marked({"kind": kind, **fields, **live, "resource": resource}, written)

    return render


def _fields(body: K8s | ArgoWorkflow | None) -> Action:
    """What an action says beside its object."""
    if body is None:
        return {}
    fields: Action = {name: value for name, value in _written(body).items() if name not in ("source", "parameters")}
    fields["operation"] = body.operation or ("create" if isinstance(body, K8s) else "submit")
    return fields


def _compile_filling(*, enabled: bool) -> Callable[[JsonValue, Match], JsonValue]:
    """What fills the variables of an object, which may be another one next time and then has others."""
    last: list[tuple[JsonValue, Callable[[Match], JsonValue] | None]] = []

    def fill(resource: JsonValue, match: Match) -> JsonValue:
        if not enabled:
            return resource
        if not last or last[0][0] is not resource:
            last[:] = [(resource, compile_arguments(resource))]
        made = last[0][1]
        return resource if made is None else made(match)

    return fill


def _compile_promotion(promotion: Promotion) -> Render:
    parameters = Parameters(promotion.parameters)
    where: Action = {} if promotion.environment is None else {"environment": promotion.environment}

    def render(match: Match) -> Action:
        candidate = parameters.apply(promotion.candidate or {}, match)
        return {"kind": "promotion", "promotion": promotion.name, **where, "candidate": candidate}

    return render


def _compile_retrain(retrain: Retrain) -> Render:
    parameters, payload = Parameters(retrain.parameters), Parameters(retrain.payload)
    written: Action = {"eventName": retrain.event_name}

    def render(match: Match) -> Action:
        action: Action = {"kind": "retrain", **cast("Action", parameters.apply(written, match))}
        return action | {"payload": payload.payload(match)} if payload else action

    return render


def _compile_plugged(one: Plugged) -> Render:
    parameters, fields = plugged.compile_plugged(one)
    return lambda match: plugged.render(one, parameters, fields, match)
