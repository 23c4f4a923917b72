"""What is wrong with dependencies and triggers of the right shape: names that lead nowhere, texts that do not compile,
and what is known but not built. The paths of problems are those of the user's file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from retrain.manifests import Problem
from retrain.manifests.argo import Shape
from sensors import dependency_spec, trigger_spec
from sensors.actions.render import chosen_by_event
from sensors.checks.actions import check_parameters, check_template, unsupported
from sensors.checks.filters import Where, check_filters, check_logical, check_transform
from sensors.checks.objects import check_policy
from sensors.checks.triggers import Scope, check_decision, check_dependency, names_of
from sensors.dependency_spec import Dependency
from sensors.trigger_spec import Trigger

__all__ = ["Scope", "check_dependencies", "check_triggers", "unsupported"]

_ANSWERS = frozenset({"http", "aws_lambda"})
"""Kinds whose other side answers with an HTTP status, which `policy.status` judges."""
_OBJECTS = frozenset({"k8s", "argo_workflow"})
"""Kinds that make an object, for whose labels `policy.k8s` waits."""


def check_dependencies(dependencies: Sequence[Dependency], scope: Scope) -> Iterator[Problem]:
    """Every problem of `spec.dependencies`."""
    base: Where = ("spec", "dependencies")
    if not dependencies:
        yield Problem(base, "missing-field", "a sensor has at least one dependency")
    counts = Counter(scope.names)
    for index, one in enumerate(dependencies):
        at = (*base, index)
        for field, written in (
            ("name", one.name),
            ("eventSourceName", one.event_source_name),
            ("eventName", one.event_name),
        ):
            if not written:
                yield Problem((*at, field), "missing-field", f"a dependency needs {field}")
        if counts[one.name] > 1:
            message = f"several dependencies are named {one.name!r}"
            # Upstream loads it; the last of them counts, here too.
            if scope.ours:
                yield Problem((*at, "name"), "duplicate-name", message)
            else:
                yield Problem((*at, "name"), "duplicate-name", f"{message}: only the last of them counts", "warning")
        yield from _check_ours(one, dependency_spec.OURS, at, scope)
        if scope.ours:
            yield from check_dependency(one, at)
        yield from check_logical(one.filters_logical_operator, (*at, "filtersLogicalOperator"))
        if one.transform is not None:
            yield from check_transform(one.transform, (*at, "transform"))
        if one.filters is not None:
            yield from check_filters(one.filters, (*at, "filters"), ours=scope.ours)


def check_triggers(triggers: Sequence[Trigger], scope: Scope) -> Iterator[Problem]:
    """Every problem of `spec.triggers`, and dependencies that none of them is about."""
    base: Where = ("spec", "triggers")
    if not triggers:
        yield Problem(base, "missing-field", "a sensor has at least one trigger")
    counts = Counter(one.template.name for one in triggers if one.template is not None)
    for index, one in enumerate(triggers):
        at = (*base, index)
        yield from _check_trigger(one, at, scope)
        if one.template is not None and one.template.name and counts[one.template.name] > 1:
            message = f"several triggers are named {one.template.name!r}"
            yield Problem((*at, "template", "name"), "duplicate-name", message)
    used = {name for one in triggers for name in names_of(one, scope)}
    if not triggers or not used <= set(scope.names):
        return  # a name that is not there is told already, and may have meant this one
    for index, one in enumerate(scope.dependencies):
        if one.name and one.name not in used:
            message = f"no trigger is about {one.name!r}: its events change nothing"
            yield Problem(("spec", "dependencies", index, "name"), "unused-dependency", message, "warning")


def _check_trigger(one: Trigger, at: Where, scope: Scope) -> Iterator[Problem]:
    if one.template is None:
        yield Problem((*at, "template"), "missing-field", "a trigger has a template")
        return
    if not one.template.name:
        yield Problem((*at, "template", "name"), "missing-field", "a trigger has a name")
    yield from _check_execution(one, at, scope)
    yield from check_decision(one, at, scope)
    yield from check_template(one.template, (*at, "template"), scope)
    if one.dlq_trigger is not None:
        yield from _check_dlq(one.dlq_trigger, (*at, "dlqTrigger"), scope)


def _check_execution(one: Trigger, at: Where, scope: Scope) -> Iterator[Problem]:
    yield from _check_ours(one, trigger_spec.OURS, at, scope)
    yield from check_parameters(one.parameters, (*at, "parameters"), scope)
    if one.retry_strategy is not None and not one.at_least_once and not scope.ours:
        message = "without atLeastOnce Argo Events ignores the retryStrategy; here it holds"
        yield Problem((*at, "retryStrategy"), "not-portable", message, "warning")
    if chosen := chosen_by_event(one):
        message = f"a parameter changes {chosen}: an event does not choose here where the object comes from"
        yield Problem((*at, "parameters"), "unsupported-kind", message)
    policy, template = one.policy, one.template
    if policy is None or template is None:
        return
    for field, written, kinds, what in (
        ("status", policy.status, _ANSWERS, "policy.status tells which HTTP answers are good"),
        ("k8s", policy.k8s, _OBJECTS, "policy.k8s waits for an object to become as wanted"),
    ):
        if written is not None and not any(getattr(template, kind) is not None for kind in kinds):
            message = f"{what}; for this kind of trigger it changes nothing"
            yield Problem((*at, "policy", field), "ignored-field", message, "warning")
    if policy.k8s is not None:
        yield from check_policy(policy.k8s, (*at, "policy", "k8s"), scope)


def _check_dlq(one: Trigger, at: Where, scope: Scope) -> Iterator[Problem]:
    """The trigger of a firing that failed for good: an action, with nothing to say when it fires."""
    yield from _check_trigger(one, at, scope)
    if one.dlq_trigger is not None:
        yield unsupported((*at, "dlqTrigger"), "a dlqTrigger of a dlqTrigger")
    if one.template is not None and (one.template.conditions or one.template.conditions_reset):
        message = "a dlqTrigger fires when its trigger has failed; its conditions change nothing"
        yield Problem((*at, "template", "conditions"), "ignored-field", message, "warning")
    for name in trigger_spec.OURS:
        if scope.ours and name in _written(one):
            message = f"a dlqTrigger fires when its trigger has failed; {name} changes nothing there"
            yield Problem((*at, name), "ignored-field", message, "warning")


def _check_ours(one: Shape, fields: Sequence[str], at: Where, scope: Scope) -> Iterator[Problem]:
    """Fields of retrain.dev/v1, which upstream would drop."""
    for name in fields:
        if not scope.ours and name in _written(one):
            message = f"{name} is a field of retrain.dev/v1; under argoproj.io/v1alpha1 it changes nothing"
            yield Problem((*at, name), "unknown-field", message, "warning")


def _written(one: Shape) -> set[str]:
    return {str(type(one).model_fields[name].alias) for name in one.model_fields_set}
