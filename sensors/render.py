"""From a trigger's template and the events that fired it to the action, written out in full. Pure.

Secrets are never looked up here: the action names them. The trigger's own parameters change the template first,
whatever stands in it; then those of its kind change the object or make the payload.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from pydantic import ValidationError

from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.manifests import Kinds, Plugged, load_text
from retrain.manifests.argo import Shape
from sensors import plugged
from sensors.parameters import Contents, Parameters, RenderError
from sensors.trigger_spec import ArgoWorkflow, Http, K8s, Log, Promotion, Source, Template, Trigger, body_of, kinds_of

Action = dict[str, JsonValue]
Render = Callable[[Contents], Action]


def compile_trigger(trigger: Trigger) -> Render:
    """How to make the action of a trigger.

    Raises:
        ConfigError: it has no kind or several, its kind cannot be rendered yet, or a parameter in it is wrong.
    """
    template = trigger.template or Template()
    common = _common(trigger)
    parameters = Parameters(trigger.parameters)
    if not parameters:
        render = _compile_template(template)
        return lambda contents: render(contents) | common
    written = _written(template) | {name: one.body for name, one in template.plugged.items()}

    def render_changed(contents: Contents) -> Action:
        changed = _read_template(parameters.apply(written, contents), template.plugged)
        try:
            render = _compile_template(changed)
        except ConfigError as error:
            raise RenderError(f"the template as its parameters made it: {error}") from error
        return render(contents) | common

    return render_changed


def _common(trigger: Trigger) -> Action:
    """What execution must know besides the kind's own fields, where it is written."""
    common: Action = {}
    if trigger.retry_strategy is not None:
        common["retryStrategy"] = _written(trigger.retry_strategy)
    # It tells which answers are good, so it means nothing where nobody answers; `check` says so.
    if trigger.policy is not None and trigger.template is not None and trigger.template.http is not None:
        common["policy"] = _written(trigger.policy)
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


def _compile_template(template: Template) -> Render:
    kinds = kinds_of(template)
    if len(kinds) != 1:
        raise ConfigError(f"a trigger's template has one kind, not {' and '.join(kinds) or 'none'}")
    match body_of(template):
        case Http() as body:
            return _compile_http(body)
        case (K8s() | ArgoWorkflow()) as body:
            return _compile_object(kinds[0], body)
        case Log() as body:
            action: Action = {"kind": "log", **_written(body)}
            return lambda _contents: dict(action)
        case Promotion() as body:
            return _compile_promotion(body)
        case Plugged() as body:
            return _compile_plugged(body)
        case _:
            raise ConfigError(f"the {kinds[0]} trigger is not built yet")


def _compile_http(http: Http) -> Render:
    written = _written(http)
    for name in ("parameters", "payload", "dynamicHeaders"):
        written.pop(name, None)
    parameters, payload = Parameters(http.parameters), Parameters(http.payload)
    headers = Parameters(http.dynamic_headers)

    def render(contents: Contents) -> Action:
        action: Action = {"kind": "http", **cast("Action", parameters.apply(written, contents))}
        if headers:
            action["headers"] = {**(action.get("headers") or {}), **headers.texts(contents)}
        if payload:
            body = payload.payload(contents)
            action["payload"] = body
            if isinstance(body, str):
                action["body"] = body  # sent as it is; a payload is sent as JSON
        return action

    return render


def _compile_object(kind: str, body: K8s | ArgoWorkflow) -> Render:
    resource = _resource(body.source)
    parameters = Parameters(body.parameters)
    written = _written(body)
    action: Action = {"kind": kind}
    action |= {name: value for name, value in written.items() if name not in ("source", "parameters")}
    action["operation"] = body.operation or ("create" if kind == "k8s" else "submit")
    return lambda contents: {**action, "resource": parameters.apply(resource, contents)}


def _resource(source: Source | None) -> JsonValue:
    if source is None:
        raise ConfigError("a source is missing: write the object under source.resource")
    if source.inline is not None:
        documents, findings = load_text(source.inline, "source.inline")
        if findings or len(documents) != 1:
            what = str(findings[0]) if findings else f"{len(documents)} objects"
            raise ConfigError(f"source.inline is one Kubernetes object as YAML, not {what}")
        return documents[0].body
    if source.resource is None:
        raise ConfigError("only source.resource and source.inline are built yet")
    return source.resource


def _compile_promotion(promotion: Promotion) -> Render:
    parameters = Parameters(promotion.parameters)

    def render(contents: Contents) -> Action:
        candidate = parameters.apply(promotion.candidate or {}, contents)
        return {"kind": "promotion", "promotion": promotion.name, "candidate": candidate}

    return render


def _compile_plugged(one: Plugged) -> Render:
    parameters, fields = plugged.compile_plugged(one)
    return lambda contents: plugged.render(one, parameters, fields, contents)
