"""`policy.k8s`: an act on an object is done when the object has certain labels. Pure.

The object is looked at when it was made, and then again after the waits of the `backoff`; when it has not got the
labels by the last look, that is a failure only with `errorOnBackoffTimeout`. Unlike upstream nobody sits and waits
meanwhile, and an object that is over is not waited for: its labels do not change any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from retrain.errors import ConfigError, Permanent
from retrain.events import JsonValue
from triggers.port import Later
from triggers.retry import MAX_DELAY_S, Backoff, read_backoff

MAX_LOOKS = 10_000


@dataclass(frozen=True, slots=True)
class LabelPolicy:
    """Wait for `labels`."""

    labels: Mapping[str, str]
    backoff: Backoff
    error_on_timeout: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """How an object is now. `since`: when it was made. `over`: it will not change any more."""

    name: str
    labels: Mapping[str, str]
    since: datetime
    over: bool


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
    labels = k8s.get("labels")
    if not isinstance(labels, Mapping) or not labels:
        raise Permanent("policy.k8s.labels must name the labels to wait for")
    try:
        backoff = read_backoff(k8s.get("backoff"))
    except ConfigError as error:
        raise Permanent(f"policy.k8s.backoff: {error}") from error
    wanted = {str(name): str(value) for name, value in cast("Mapping[str, Any]", labels).items()}
    return LabelPolicy(wanted, backoff, k8s.get("errorOnBackoffTimeout") is True)


def judge(policy: LabelPolicy | None, seen: Seen, result: dict[str, JsonValue], now: datetime) -> JsonValue | Later:
    """The result if the act is done, else when to look again.

    Raises:
        Permanent: the object has not got the labels, and that is an error.
    """
    missing = _missing(policy, seen.labels) if policy is not None else ""
    if policy is None or not missing:
        return result
    again = next((look for look in _looks(policy.backoff, seen.since) if look > now), None)
    if again is not None and not seen.over:
        return Later(again, f"waits until {seen.name} has {missing}", result)
    why = "and is over" if seen.over else "at the last look"
    if policy.error_on_timeout:
        raise Permanent(f"{seen.name} has no label {missing}, {why}")
    return {**result, "policy": f"no label {missing}, {why}"}


def _missing(policy: LabelPolicy, labels: Mapping[str, str]) -> str:
    wanting = [f"{name}={value}" for name, value in policy.labels.items() if labels.get(name) != value]
    return ", ".join(wanting)


def _looks(backoff: Backoff, since: datetime) -> Iterator[datetime]:
    """When to look: at once, and after each wait. Without jitter: the same firing looks at the same times."""
    at = since
    wait_s = backoff.duration_s
    yield at
    for _ in range(min(backoff.steps, MAX_LOOKS) - 1):
        at += timedelta(seconds=wait_s)
        yield at
        wait_s = min(wait_s * backoff.factor, MAX_DELAY_S)
