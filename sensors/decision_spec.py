"""What `retrain.dev/v1` adds to a Sensor: keys, windows, silence, order, and what holds a firing back.

Argo Events has none of this. What each field means is told in docs/sensors.md; the modules that decide are named there.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from retrain.manifests.argo import Shape
from retrain.manifests.duration import AS_TEXT, PATTERN, Duration, parse_duration

Conflict = Literal["queue", "skip", "replace", "coalesce"]
"""What becomes of a firing that may not go now: wait its turn, be dropped, take the place of the one that runs, or be
merged with the one that waits."""

Paths = tuple[str, ...]


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_TEXT = {"type": "string"}
OneOrMore = Annotated[
    Paths,
    BeforeValidator(_as_tuple),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}),
]
"""A gjson path over the data after the transform, or several; several make one key together."""


class Short(Shape):
    """A shape that may be written shorter: `short` is the JSON schema of the other forms."""

    short: ClassVar[tuple[JsonSchemaValue, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [*cls.short, handler(core)]}


class Dedupe(Shape):
    """Of events with the same `key` (default: the dependency's key), one counts within `ttl` after the first."""

    key: OneOrMore | None = None
    ttl: Duration = timedelta(hours=24)


class Sum(Shape):
    """Add up the number at `path` of every event."""

    path: str
    at_least: float


class Expect(Short):
    """What makes a window complete: every member of `of`, or `count` different ones; all but `missing` of them.

    `by`: the path of what tells members apart (default: the dependency's dedupe key; else each event is one).
    """

    short: ClassVar[tuple[JsonSchemaValue, ...]] = (
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": r"^\d+\s*-\s*\d+$"},
        {"type": "array", "items": _TEXT},
    )
    of: tuple[str, ...] = ()
    count: int = Field(default=0, ge=0)
    missing: int = Field(default=0, ge=0)
    by: OneOrMore | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"count": value}
        if isinstance(value, list):
            return {"of": value}
        if isinstance(value, str):
            match = re.fullmatch(r"(\d+)\s*-\s*(\d+)", value, re.ASCII)
            if match is None:
                raise ValueError(f"{value!r} is no expectation; write a list, a number, or like 12-2: all but 2 of 12")
            return {"count": int(match[1]), "missing": int(match[2])}
        return value

    @model_validator(mode="after")
    def _something(self) -> Expect:
        if bool(self.of) == bool(self.count):
            raise ValueError("expect needs either members (of) or a count")
        if self.missing >= self.total:
            raise ValueError(
                f"of {self.total} expected ones {self.missing} may be missing: it would be complete when empty"
            )
        return self

    @property
    def total(self) -> int:
        """How many are expected."""
        return len(set(self.of)) or self.count


class Window(Shape):
    """Collect events; all of them reach the action.

    It is complete when any of `count`, `sum` and `expect` says so; without them, and without `quiet` and `maxWait`, as
    soon as the condition holds. `quiet`: since the last event; `maxWait`: since the first, both fire with what is
    there. `within`: since the first, then it is given up as `onTimeout` says. All by arrival.
    """

    count: int | None = Field(default=None, ge=1, le=100_000)
    sum: Sum | None = None
    expect: Expect | None = None
    quiet: Duration | None = None
    max_wait: Duration | None = None
    within: Duration | None = None
    on_timeout: Literal["drop", "fire", "alert"] = "alert"


class Absent(Shape):
    """The dependency is met when none of its events has come `for` so long. `startingAt`: from when on that counts
    (default: when the sensor was first seen). `repeat`: again and again as long as it lasts, not once."""

    for_: Duration = Field(alias="for")
    starting_at: AwareDatetime | None = None
    repeat: bool = False


class Sequence(Short):
    """Dependencies whose events must come in this order, for each key. `within`: since the first, as in a window."""

    short: ClassVar[tuple[JsonSchemaValue, ...]] = ({"type": "array", "items": _TEXT, "minItems": 2},)
    order: tuple[str, ...] = Field(min_length=2, max_length=64)
    within: Duration | None = None
    on_timeout: Literal["drop", "fire", "alert"] = "alert"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"order": value} if isinstance(value, list) else value


class Concurrency(Shape):
    """At most `limit` firings at a time whose runs are not over; of each `key`, where there is one (paths as for
    dependencies, or the word `key` for the key of the join)."""

    key: OneOrMore | None = None
    limit: int = Field(default=1, ge=1, le=10_000)
    on_conflict: Conflict = "queue"


class Cooldown(Short):
    """At least `for` between two firings. `onConflict`: coalesce (all that comes meanwhile fires once, at its end),
    queue, or skip."""

    short: ClassVar[tuple[JsonSchemaValue, ...]] = (_TEXT,)
    for_: Duration = Field(alias="for")
    on_conflict: Literal["queue", "skip", "coalesce"] = "coalesce"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"for": value} if isinstance(value, str) else value


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Hours(Shape):
    """A part of the week: `days` like mon, or mon-fri (default: all), from `start` on, before `stop` (HH:MM; a stop
    before the start is on the next day; both missing: the whole day)."""

    days: tuple[str, ...] = ()
    start: str = "00:00"
    stop: str = "24:00"


class Schedule(Shape):
    """When the trigger may fire: never in `closed` hours; where there are `open` ones, only in these."""

    open: tuple[Hours, ...] = ()
    closed: tuple[Hours, ...] = ()
    timezone: str = ""
    on_conflict: Literal["queue", "skip", "coalesce"] = "queue"


def _read_period(value: object) -> timedelta:
    return timedelta(seconds=PERIODS[value]) if isinstance(value, str) and value in PERIODS else parse_duration(value)


PERIODS = {"hour": 3600, "day": 86400, "week": 604800, "month": 2_592_000}
_PERIOD: JsonSchemaValue = {"anyOf": [{"enum": list(PERIODS)}, {"type": "string", "pattern": PATTERN}]}


class Budget(Shape):
    """What the trigger may spend in any stretch of time as long as `per` (month: 30 days). One of `runs`, `gpuHours`
    and `cost`. `costPath`: where a run says what it cost, in the data of its `run.*` event. `estimate`: what a run is
    taken to spend while it runs (default: the mean of the last ten; before there are any, one run at a time)."""

    runs: int | None = Field(default=None, ge=1)
    gpu_hours: float | None = Field(default=None, gt=0, alias="gpuHours")
    cost: float | None = Field(default=None, gt=0)
    cost_path: str = "outputs.parameters.cost"
    per: Annotated[timedelta, BeforeValidator(_read_period), WithJsonSchema(_PERIOD), AS_TEXT]
    estimate: float | None = Field(default=None, ge=0)
    on_exceed: Literal["queue", "skip", "approve"] = "queue"

    @model_validator(mode="after")
    def _one_kind(self) -> Budget:
        if sum(limit is not None for limit in (self.runs, self.gpu_hours, self.cost)) != 1:
            raise ValueError("a budget is of one thing: runs, gpuHours or cost")
        return self
