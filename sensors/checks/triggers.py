"""What is wrong with a trigger's execution: when it fires, and what holds it back. Conditions, windows, limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from retrain.errors import ConfigError
from retrain.expressions import Condition, compile_condition, compile_path
from retrain.expressions.cron import compile_cron
from retrain.manifests import Problem
from retrain.manifests.advice import nearest
from sensors.checks.filters import Where, compiles
from sensors.core.schedule import compile_schedule
from sensors.decision_spec import Expect, Window
from sensors.dependency_spec import Dependency
from sensors.filtering.clock_time import zone
from sensors.trigger_spec import ConditionsReset, RateLimit, Template, Trigger

UNITS = ("Second", "Minute", "Hour")
OUR_UNITS = (*UNITS, "Day")
MOST_NAMES = 12
"""Names of a condition that is tried in every combination, to see whether it can be true at all."""

_STARTS_RUNS = frozenset({"argo_workflow", "k8s"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What a check must know of the whole Sensor. `ours`: it is of retrain.dev/v1."""

    ours: bool
    dependencies: tuple[Dependency, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The dependencies' names."""
        return tuple(one.name for one in self.dependencies if one.name)

    def hint(self, name: str) -> str:
        """What was probably meant by a name that no dependency has."""
        near = nearest(name, list(self.names))
        return f"; did you mean {near!r}?" if near else f"; there are {', '.join(self.names) or 'none'}"


def check_decision(one: Trigger, at: Where, scope: Scope) -> Iterator[Problem]:
    """Every problem of when a trigger fires."""
    template = one.template
    if template is None:
        return
    condition, found = _read_condition(template, (*at, "template", "conditions"), scope)
    yield from found
    for index, reset in enumerate(template.conditions_reset):
        yield from _check_reset(reset, (*at, "template", "conditionsReset", index))
    if one.rate_limit is not None:
        yield from _check_rate(one.rate_limit, (*at, "rateLimit"), scope)
    if scope.ours:
        yield from _check_collecting(one, condition, at, scope)
        yield from _check_limits(one, at)


def names_of(one: Trigger, scope: Scope) -> tuple[str, ...]:
    """The dependencies that a trigger is about."""
    if one.sequence is not None:
        return one.sequence.order
    template = one.template
    if template is None or not template.conditions.strip():
        return scope.names
    try:
        return compile_condition(template.conditions).names
    except ConfigError:
        return scope.names


# --- conditions ---


def _read_condition(template: Template, at: Where, scope: Scope) -> tuple[Condition | None, list[Problem]]:
    if not template.conditions.strip():
        return None, []
    try:
        condition = compile_condition(template.conditions)
    except ConfigError as error:
        return None, [Problem(at, "bad-condition", str(error))]
    return condition, list(_check_condition(condition, at, scope))


def _check_condition(condition: Condition, at: Where, scope: Scope) -> Iterator[Problem]:
    for name in condition.names:
        if name not in scope.names:
            yield Problem(at, "unknown-dependency", f"unknown dependency {name!r}{scope.hint(name)}")
    if condition.negated and not scope.ours:
        yield Problem(at, "bad-condition", "'!' is of retrain.dev/v1; Argo Events knows only && || ( )")
    elif condition.negated and condition.holds(()):
        yield Problem(at, "bad-condition", "the condition holds before any event: it would wait for nothing")
    elif not _can_hold(condition):
        yield Problem(at, "never-true", f"condition {condition.text!r} is true for no set of dependencies")


def _can_hold(condition: Condition) -> bool:
    if not condition.negated or len(condition.names) > MOST_NAMES:
        return True
    choices = product((False, True), repeat=len(condition.names))
    return any(condition.holds({n for n, has in zip(condition.names, one, strict=True) if has}) for one in choices)


def _check_reset(one: ConditionsReset, at: Where) -> Iterator[Problem]:
    by_time = one.by_time
    if by_time is None or not by_time.cron:
        yield Problem((*at, "byTime", "cron"), "missing-field", "conditionsReset needs byTime.cron: when to forget")
        return
    yield from compiles(zone, by_time.timezone, (*at, "byTime", "timezone"), "wrong-value")
    try:
        cron = compile_cron(by_time.cron)
    except ConfigError as error:
        yield Problem((*at, "byTime", "cron"), "bad-cron", str(error))
        return
    if cron.never:
        message = f"cron {by_time.cron!r} names no day that exists: it never fires"
        yield Problem((*at, "byTime", "cron"), "never-fires", message, "warning")


# --- collecting: retrain.dev/v1 ---


def _check_collecting(one: Trigger, condition: Condition | None, at: Where, scope: Scope) -> Iterator[Problem]:
    yield from _check_conflicts(one, condition, at)
    names = names_of(one, scope)
    about = [dependency for dependency in scope.dependencies if dependency.name in names]
    keyed = [dependency.name for dependency in about if dependency.key is not None]
    if keyed and len(keyed) < len(about):
        rest = ", ".join(dependency.name for dependency in about if dependency.key is None)
        message = (
            f"{', '.join(keyed)} have a key and {rest} none: events are joined by key, so all have one or none has"
        )
        yield Problem(at, "mixed-keys", message)
    if one.sequence is not None:
        for index, name in enumerate(one.sequence.order):
            if name not in scope.names:
                message = f"unknown dependency {name!r}{scope.hint(name)}"
                yield Problem((*at, "sequence", index), "unknown-dependency", message)
        if len(set(one.sequence.order)) < len(one.sequence.order):
            yield Problem((*at, "sequence"), "wrong-value", "a dependency stands in a sequence once")
    if one.window is not None:
        yield from check_window(one.window, (*at, "window"), about)
    waits = one.sequence or one.window
    if keyed and len(about) > 1 and (waits is None or waits.within is None) and not _is_only_or(condition):
        message = "what never meets is kept for ever: say after which time it is given up, as window.within"
        yield Problem(at, "no-timeout", message, "warning")


def _is_only_or(condition: Condition | None) -> bool:
    return condition is not None and not condition.joins


def _check_conflicts(one: Trigger, condition: Condition | None, at: Where) -> Iterator[Problem]:
    pairs = (
        ("sequence", "conditions", one.sequence is not None and condition is not None),
        ("sequence", "window", one.sequence is not None and one.window is not None),
        ("absent", "sequence", one.absent is not None and one.sequence is not None),
        ("absent", "window", one.absent is not None and one.window is not None),
    )
    for first, second, both in pairs:
        if both:
            message = f"{first} and {second} exclude each other: each says by itself when the trigger fires"
            yield Problem((*at, first), "conflicting-fields", message)


def check_window(window: Window, at: Where, about: Sequence[Dependency]) -> Iterator[Problem]:
    """Every problem of a window over events of these dependencies."""
    if window.sum is not None:
        yield from compiles(compile_path, window.sum.path, (*at, "sum", "path"), "bad-path")
    if window.expect is not None:
        yield from _check_expect(window.expect, (*at, "expect"), about)
    if "on_timeout" in window.model_fields_set and window.within is None:
        yield Problem(
            (*at, "onTimeout"), "ignored-field", "onTimeout says what happens after within, which is missing", "warning"
        )
    for name, length in (("quiet", window.quiet), ("maxWait", window.max_wait)):
        if length is not None and window.within is not None and length >= window.within:
            message = f"{name} is not shorter than within: the window is given up before"
            yield Problem((*at, name), "never-fires", message, "warning")


def _check_expect(expect: Expect, at: Where, about: Sequence[Dependency]) -> Iterator[Problem]:
    for index, path in enumerate(expect.by or ()):
        yield from compiles(compile_path, path, (*at, "by", index), "bad-path")
    told_apart = expect.by is not None or all(d.dedupe is not None and d.dedupe.key is not None for d in about)
    if expect.of and not told_apart:
        message = "expect lists members, so it needs by: the path of what in an event names its member"
        yield Problem((*at, "by"), "missing-field", message)


def check_dependency(one: Dependency, at: Where) -> Iterator[Problem]:
    """Every problem of the fields of a dependency that only retrain.dev/v1 has."""
    for index, path in enumerate(one.key or ()):
        yield from compiles(compile_path, path, (*at, "key", index), "bad-path")
    if one.dedupe is not None:
        if one.dedupe.key is None and one.key is None:
            message = "dedupe needs a key: what makes two events the same. (The same event twice counts once anyway.)"
            yield Problem((*at, "dedupe", "key"), "missing-field", message)
        for index, path in enumerate(one.dedupe.key or ()):
            yield from compiles(compile_path, path, (*at, "dedupe", "key", index), "bad-path")
    if one.window is not None:
        yield from check_window(one.window, (*at, "window"), [one])
        if one.absent is not None:
            message = "a dependency either collects events (window) or waits for their silence (absent)"
            yield Problem((*at, "absent"), "conflicting-fields", message)


# --- holding back ---


def _check_rate(one: RateLimit, at: Where, scope: Scope) -> Iterator[Problem]:
    units = OUR_UNITS if scope.ours else UNITS
    if one.unit and one.unit not in units:
        yield Problem((*at, "unit"), "wrong-value", f"unit {one.unit!r} is none of {', '.join(units)}")
    if one.requests_per_unit is None or one.requests_per_unit < 1:
        yield Problem((*at, "requestsPerUnit"), "wrong-value", "requestsPerUnit is a number from 1 on")
    if one.mode is not None and not scope.ours:
        message = "mode is a field of retrain.dev/v1; under argoproj.io/v1alpha1 a rateLimit makes firings wait"
        yield Problem((*at, "mode"), "unknown-field", message, "warning")


def _check_limits(one: Trigger, at: Where) -> Iterator[Problem]:
    starts_runs = any(getattr(one.template, field) is not None for field in _STARTS_RUNS)
    if one.concurrency is not None:
        for index, path in enumerate(one.concurrency.key or ()):
            yield from compiles(compile_path, path, (*at, "concurrency", "key", index), "bad-path")
        if one.concurrency.on_conflict == "replace" and not starts_runs:
            message = (
                "there is no run to stop: what does not start workflows cannot be replaced; write queue or coalesce"
            )
            yield Problem((*at, "concurrency", "onConflict"), "wrong-value", message)
    if one.budget is not None:
        yield from compiles(compile_path, one.budget.cost_path, (*at, "budget", "costPath"), "bad-path")
        if one.budget.runs is None and not starts_runs:
            message = "only a workflow tells what it spent; for this kind of trigger a budget counts runs"
            yield Problem((*at, "budget"), "wrong-value", message)
    if one.schedule is not None:
        here = (*at, "schedule")
        yield from compiles(zone, one.schedule.timezone, (*here, "timezone"), "wrong-value")
        try:
            schedule = compile_schedule(one.schedule)
        except ConfigError as error:
            yield Problem(here, "wrong-value", str(error))
            return
        if schedule.never_open:
            yield Problem(here, "never-fires", "these hours leave no time in which the trigger may fire")
