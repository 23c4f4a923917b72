"""`policy.k8s`: an act on an object is done when the object has certain labels, conditions or values. Pure.

The object is looked at when it was made, and then again after the waits of the `backoff`; when it is not as wanted by
the last look, that is a failure only with `errorOnBackoffTimeout`. Unlike upstream nobody sits and waits meanwhile,
and an object that is over is not waited for: it does not change any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, cast

from pipelines.agents.kubepath import compile_kubepath
from retrain.errors import ConfigError, Permanent
from retrain.events import JsonValue
from triggers.port import Later
from triggers.retry import MAX_DELAY_S, Backoff, read_backoff

MAX_LOOKS = 10_000
NONE: Mapping[str, Any] = MappingProxyType({})
_WANTED = ("labels", "conditions", "jsonPath")


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """Wait for `labels`, for conditions to have a status, and for what jsonPaths lead to; for all of them."""

    labels: Mapping[str, str]
    backoff: Backoff
    error_on_timeout: bool
    conditions: Mapping[str, str] = field(default_factory=lambda: NONE)
    paths: Mapping[str, str] = field(default_factory=lambda: NONE)


@dataclass(frozen=True, slots=True)
class Seen:
    """How an object is now. `since`: when it was made or changed. `over`: it will not change any more."""

    name: str
    labels: Mapping[str, str]
    since: datetime
    over: bool
    object: Mapping[str, Any] = field(default_factory=lambda: NONE)


def read_policy(policy: JsonValue) -> LabelPolicy | None:
    """The `policy` of an action on an object; None if it says nothing.

    Raises:
        Permanent: it cannot be read, or is for another kind of trigger.
    """
    if policy is None or policy == {}:
        return None
    if not isinstance(policy, Mapping):
        raise Permanent("policy must be an object with k8s")
    words = cast("Mapping[str, Any]", policy)
    if unknown := sorted(set(words) - {"k8s"}):
        raise Permanent(f"policy.{unknown[0]} means nothing here: an object is judged by policy.k8s")
    body: Any = words.get("k8s")
    if not isinstance(body, Mapping):
        return None
    k8s = cast("Mapping[str, Any]", body)
    if unknown := sorted(set(k8s) - {*_WANTED, "backoff", "errorOnBackoffTimeout"}):
        raise Permanent(f"policy.k8s.{unknown[0]} is unknown; there are {', '.join(_WANTED)}")
    labels, conditions, paths = (_texts(k8s.get(name), name) for name in _WANTED)
    if not labels and not conditions and not paths:
        raise Permanent("policy.k8s.labels must name the labels to wait for (or conditions, or jsonPath)")
    _check_paths(paths)
    try:
        backoff = read_backoff(k8s.get("backoff"))
    except ConfigError as error:
        raise Permanent(f"policy.k8s.backoff: {error}") from error
    return LabelPolicy(labels, backoff, k8s.get("errorOnBackoffTimeout") is True, conditions, paths)


def _texts(body: Any, name: str) -> dict[str, str]:
    if body is None:
        return {}
    if not isinstance(body, Mapping):
        raise Permanent(f"policy.k8s.{name} must be an object")
    return {str(key): str(value) for key, value in cast("Mapping[str, Any]", body).items()}


def _check_paths(paths: Mapping[str, str]) -> None:
    for path in paths:
        try:
            compile_kubepath(path)
        except ConfigError as error:
            raise Permanent(f"policy.k8s.jsonPath: {error}") from error


def judge(policy: LabelPolicy | None, seen: Seen, result: dict[str, JsonValue], now: datetime) -> JsonValue | Later:
    """The result if the act is done, else when to look again.

    Raises:
        Permanent: the object has not got the labels, and that is an error.
    """
    missing = _missing(policy, seen) if policy is not None else ""
    if policy is None or not missing:
        return result
    again = next((look for look in _looks(policy.backoff, seen.since) if look > now), None)
    if again is not None and not seen.over:
        return Later(again, f"waits until {seen.name} has {missing}", result)
    why = "and is over" if seen.over else "at the last look"
    if policy.error_on_timeout:
        raise Permanent(f"{seen.name} has no {missing}, {why}")
    return {**result, "policy": f"no {missing}, {why}"}


def _missing(policy: LabelPolicy, seen: Seen) -> str:
    """What the object has not got, in words."""
    parts = (
        ("label", policy.labels, seen.labels.get),
        ("condition", policy.conditions, partial(_status_of, seen.object)),
        ("value", policy.paths, partial(_value_at, seen.object)),
    )
    found = [
        (noun, [f"{key}={value}" for key, value in wanted.items() if has(key) != value]) for noun, wanted, has in parts
    ]
    return " and no ".join(f"{noun} {', '.join(wanting)}" for noun, wanting in found if wanting)


def _status_of(found: Mapping[str, Any], condition: str) -> str | None:
    conditions: Any = (found.get("status") or {}).get("conditions") or ()
    return next((str(one.get("status")) for one in conditions if one.get("type") == condition), None)


def _value_at(found: Mapping[str, Any], path: str) -> str:
    return compile_kubepath(path).render(found)


def _looks(backoff: Backoff, since: datetime) -> Iterator[datetime]:
    """When to look: at once, and after each wait. Without jitter: the same firing looks at the same times."""
    at = since
    wait_s = backoff.duration_s
    yield at
    for _ in range(min(backoff.steps, MAX_LOOKS) - 1):
        at += timedelta(seconds=wait_s)
        yield at
        wait_s = min(wait_s * backoff.factor, MAX_DELAY_S)
