"""Whether a step that failed is tried again, and when.

Pure: how the attempts ended and the time go in, one verdict comes out.

Source: `processNodeRetries` of Argo's controller. There, as here, the wait of a `backoff` is only kept where `limit` is
set; a limit of 3 means 4 attempts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pipelines.core.expressions import evaluate_bool
from pipelines.core.nodes import Node, Phase
from retrain.errors import ConfigError

POLICIES = ("Always", "OnFailure", "OnError", "OnTransientError")
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
MAX_WAIT_S = 10 * 365 * 86400.0
_TRANSIENT = re.compile(
    "|".join(("exceeded quota", "object has been modified", "ResourceQuota", "TooManyRequests", "i/o timeout"))
    + "|connection reset by peer|TLS handshake timeout|transport is closing|net/http: request canceled"
)


@dataclass(frozen=True, slots=True)
class Again:
    """Start another attempt; `deadline` is when it must have ended (of `backoff.maxDuration`)."""

    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again at this time."""

    until: datetime
    message: str


@dataclass(frozen=True, slots=True)
class End:
    """The retried node ends like this."""

    phase: Phase
    message: str = ""
    raised: str = ""
    """An error of the strategy itself, which the one that waits has to pass on."""


def duration_s(text: str) -> float:
    """Seconds of `90`, `1m30s`, `2d` (Argo reads plain numbers as seconds).

    Raises:
        ConfigError: it is no duration.
    """
    text = str(text).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if day := re.fullmatch(r"(\d+)d", text):
        return float(day[1]) * 86400
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.removeprefix("-").removeprefix("+"):
        raise ConfigError(f"unable to parse {text} as a duration: it is written like 30, 1m30s or 2h")
    seconds = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    return -seconds if text.startswith("-") else seconds


def decide(strategy: Mapping[str, Any], attempts: Sequence[Node], now: datetime) -> Again | Wait | End:
    """What follows the last of `attempts`, which has ended.

    Raises:
        ConfigError: the strategy cannot be read.
    """
    last = attempts[-1]
    if not last.phase.bad:
        return End(Phase.Succeeded)
    backoff: Mapping[str, Any] = strategy.get("backoff") or {}
    deadline = None
    if backoff:
        verdict, deadline = _backoff(backoff, _limit(strategy), attempts, now)
        if verdict is not None:
            return verdict
    if not _retriable(policy_of(strategy), last):
        return End(last.phase, last.message)
    limit = _limit(strategy)
    if limit is not None and len(attempts) > limit:
        return End(last.phase, "No more retries left")
    if strategy.get("expression") and not evaluate_bool(strategy["expression"], last_retry(attempts)):
        return End(last.phase, "retryStrategy.expression evaluated to false")
    return Again(deadline)


def policy_of(strategy: Mapping[str, Any]) -> str:
    """The `retryPolicy`; without one an `expression` alone decides."""
    return str(strategy.get("retryPolicy") or ("Always" if strategy.get("expression") else "OnFailure"))


def last_retry(attempts: Sequence[Node]) -> dict[str, str]:
    """What an `expression` may read: `retries`, `lastRetry.*`, all texts."""
    last = attempts[-1]
    ran = (last.finished_at - last.started_at).total_seconds() if last.finished_at and last.started_at else 0.0
    return {
        "retries": str(len(attempts) - 1),
        "lastRetry.exitCode": last.outputs.exit_code or "-1",
        "lastRetry.status": str(last.phase),
        "lastRetry.duration": f"{ran:g}",
        "lastRetry.message": last.message,
    }


def _limit(strategy: Mapping[str, Any]) -> int | None:
    limit = strategy.get("limit")
    if limit is None:
        return None
    try:
        return int(str(limit))
    except ValueError:
        raise ConfigError(f"retryStrategy.limit '{limit}' is no whole number") from None


def _backoff(
    backoff: Mapping[str, Any], limit: int | None, attempts: Sequence[Node], now: datetime
) -> tuple[Wait | End | None, datetime | None]:
    last, deadline = attempts[-1], None
    if backoff.get("maxDuration"):
        deadline = (attempts[0].started_at or now) + timedelta(seconds=duration_s(backoff["maxDuration"]))
        if now > deadline:
            return End(last.phase, "Max duration limit exceeded"), deadline
    if not backoff.get("duration"):
        raise ConfigError("no base duration specified for retryStrategy")
    wait_s = _wait_s(backoff, len(attempts))
    until = (last.finished_at or now) + timedelta(seconds=wait_s)
    if deadline is not None and until > deadline:
        return End(last.phase, "Backoff would exceed max duration limit"), deadline
    if now < until and limit is not None and len(attempts) <= limit:
        return Wait(until, f"Backoff for {humanize(wait_s)}"), deadline
    return None, deadline


def _wait_s(backoff: Mapping[str, Any], attempts: int) -> float:
    """`duration * factor^(attempts - 1)`: the first retry waits `duration`."""
    wait = duration_s(backoff["duration"])
    factor = _limit({"limit": backoff.get("factor")}) or 0
    if factor > 0 and wait > 0:
        try:
            wait *= float(factor) ** (attempts - 1)
        except OverflowError:
            wait = MAX_WAIT_S
    if backoff.get("cap"):
        wait = min(wait, duration_s(backoff["cap"]))
    return min(wait, MAX_WAIT_S)


def humanize(seconds: float) -> str:
    """`1 minute 30 seconds`."""
    whole = round(seconds)
    units: list[tuple[Literal["day", "hour", "minute", "second"], int]] = [
        ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)
    ]  # fmt: skip
    words: list[str] = []
    for name, size in units:
        count, whole = divmod(whole, size)
        if count:
            words.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(words[:2]) or "0 seconds"


def _retriable(policy: str, last: Node) -> bool:
    match policy:
        case "Always":
            return True
        case "OnError":
            return last.phase is Phase.Error
        case "OnFailure":
            return last.phase is Phase.Failed
        case "OnTransientError":
            return _TRANSIENT.search(last.message) is not None
        case _:
            raise ConfigError(f"{policy} is not a valid RetryPolicy")
