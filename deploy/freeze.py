"""Times in which nothing is promoted: one stretch, or the same stretch again and again. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Discriminator, Field, Tag, field_validator, model_validator

from deploy.shape import Shape
from retrain.expressions.cron import CronError, compile_cron
from retrain.manifests.duration import Duration

_MANY = 1000
"""Windows that are looked at before a freeze counts as one without end."""


class Once(Shape):
    """From one moment to another, with an offset or `Z`. The end is not part of it."""

    from_: AwareDatetime = Field(alias="from")
    to: AwareDatetime
    reason: str = Field(default="", max_length=200)

    @model_validator(mode="after")
    def _forward(self) -> Once:
        if self.to <= self.from_:
            raise ValueError("`to` is not after `from`")
        return self


class Again(Shape):
    """From each moment of a cron expression (in `timezone`), for a while."""

    cron: str
    for_: Duration = Field(alias="for")
    timezone: str = "UTC"
    reason: str = Field(default="", max_length=200)

    @field_validator("cron")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            cron = compile_cron(value)
        except CronError as error:
            raise ValueError(str(error)) from None
        if cron.never:
            raise ValueError(f"cron {value!r} never comes")
        return value

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, OSError, ValueError):
            raise ValueError(f"there is no time zone {value[:60]!r}; write one like Europe/Berlin") from None
        return value


def _which(value: Any) -> str:
    return "again" if isinstance(value, Again) or (isinstance(value, dict) and "cron" in value) else "once"


Freeze = Annotated[Annotated[Once, Tag("once")] | Annotated[Again, Tag("again")], Discriminator(_which)]


def frozen_until(freezes: Sequence[Freeze], now: datetime) -> tuple[datetime, str] | None:
    """When the freeze that holds `now` is over, those that follow without a gap included, and its reason.

    None: nothing is frozen.
    """
    until, reason = now, ""
    for _ in range(_MANY):
        found = max((end for one in freezes for end in _ends(one, until)), default=None)
        if found is None:
            break
        reason = reason or next(one.reason for one in freezes if any(True for _ in _ends(one, until)))
        until = found
    return (until, reason) if until > now else None


def is_endless(freeze: Freeze) -> bool:
    """Whether its stretches follow each other without a gap: nothing would ever be promoted."""
    if isinstance(freeze, Once):
        return False
    cron, zone = compile_cron(freeze.cron), ZoneInfo(freeze.timezone)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    starts: list[datetime] = []
    while len(starts) < 30 and (following := cron.next(starts[-1] if starts else start, zone)) is not None:
        starts.append(following)
    return len(starts) > 1 and all(b - a <= freeze.for_ for a, b in pairwise(starts))


def _ends(freeze: Freeze, now: datetime) -> Iterator[datetime]:
    """The ends of its stretches that hold `now`."""
    if isinstance(freeze, Once):
        if freeze.from_ <= now < freeze.to:
            yield freeze.to.astimezone(UTC)
        return
    start = _start(freeze, now)
    if start is not None:
        yield start + freeze.for_


def _start(freeze: Again, now: datetime) -> datetime | None:
    """The latest beginning whose stretch holds `now`."""
    cron, zone = compile_cron(freeze.cron), ZoneInfo(freeze.timezone)
    # The end is not part of it: a stretch that began exactly `for` ago is over.
    found, following = None, cron.next(now - freeze.for_, zone)
    for _ in range(_MANY):
        if following is None or following > now:
            break
        found, following = following, cron.next(following, zone)
    return found


def spent_until(ended: Sequence[datetime], promotions: int, per: timedelta, now: datetime) -> datetime | None:
    """When one more may go, where `promotions` may go in `per`; None: now. `ended`: when others did."""
    recent = sorted((one for one in ended if one > now - per), reverse=True)
    return None if len(recent) < promotions else recent[promotions - 1] + per
