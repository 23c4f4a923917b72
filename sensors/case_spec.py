"""What a user writes to try a Sensor: `NAME.test.yaml` beside it, events in and firings out.

Times are durations since the case began (`10m`), or RFC 3339 times. What `expect` does not name is not looked at; what
it names is compared as far as it is written: a mapping may have more members than the expected one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from retrain.events import JsonValue
from retrain.manifests.duration import Duration, parse_duration

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
"""When a case begins that does not say it."""


def _read_offset(value: object) -> object:
    if isinstance(value, str) and value in {"0", "0s"}:
        return timedelta()
    if isinstance(value, str) and value[:4].isdecimal() and "-" in value:
        return datetime.fromisoformat(value)
    return parse_duration(value)


Moment = Annotated[
    timedelta | AwareDatetime,
    BeforeValidator(_read_offset),
    WithJsonSchema({"type": "string", "examples": ["10m", "2026-11-20T08:00:00Z"]}),
]


class Part(BaseModel):
    """What every part of a case is."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=False)


class Given(Part):
    """One thing that happens. An event: `source` and `name` as dependencies name them, with `data`, or a whole
    CloudEvent as `event`. Or time that goes by (`wait`). Or the end of a run (`run`) that a firing has started.

    `at`: when; without it right after the one before.
    """

    at: Moment | None = None
    source: str = ""
    name: str = ""
    id: str = ""
    type: str = ""
    time: AwareDatetime | None = None
    data: JsonValue = None
    event: dict[str, JsonValue] | None = None
    wait: Duration | None = None
    run: RunEnd | None = None
    approve: str = ""
    reject: str = ""

    @model_validator(mode="after")
    def _one_thing(self) -> Given:
        named = {
            "source and name": bool(self.source or self.name),
            "event": self.event is not None,
            "wait": self.wait is not None,
            "run": self.run is not None,
            "approve": bool(self.approve),
            "reject": bool(self.reject),
        }
        said = [what for what, is_there in named.items() if is_there]
        if len(said) != 1:
            raise ValueError(f"one of {', '.join(named)} says what happens, not {' and '.join(said) or 'none of them'}")
        if "source and name" in said and not (self.source and self.name):
            raise ValueError("an event has both: source (the EventSource's name) and name (the event's)")
        return self


class RunEnd(Part):
    """The run of a trigger's oldest firing that still runs ends. `resources`: seconds of each, such as
    nvidia.com/gpu."""

    trigger: str
    phase: Literal["Succeeded", "Failed", "Error"] = "Succeeded"
    outputs: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    resources: dict[str, float] = Field(default_factory=dict[str, float])


class ExpectedFiring(Part):
    """A firing. `events`: ids, in order. `action`: what is rendered, as far as it is written here."""

    trigger: str
    key: str | None = None
    events: tuple[str, ...] | None = None
    at: Moment | None = None
    action: JsonValue = None
    error: str | None = None


class ExpectedWaiting(Part):
    """What a trigger still has, and what it needs."""

    trigger: str
    key: str = ""
    have: tuple[str, ...] | None = None
    need: tuple[str, ...] | None = None


class ExpectedDecision(Part):
    """A decision that must be among those made. `reason`: a part of it."""

    event: str | None = None
    dependency: str | None = None
    trigger: str | None = None
    outcome: str
    reason: str = ""


class Expected(Part):
    """What must come of it. `firings` and `waiting` are all of them, in order; `decisions` must be among those made."""

    firings: tuple[ExpectedFiring, ...] | None = None
    waiting: tuple[ExpectedWaiting, ...] | None = None
    decisions: tuple[ExpectedDecision, ...] = ()


class Case(Part):
    """One case: its sensor begins with nothing."""

    name: str
    begin: AwareDatetime = BEGINNING
    given: tuple[Given, ...] = ()
    until: Moment | None = None
    expect: Expected


class CaseFile(Part):
    """A whole file. `file`: the sensor's, beside this one (default: `NAME.yaml` for `NAME.test.yaml`); `sensor`: its
    name, where the file holds several."""

    file: str = ""
    sensor: str = ""
    cases: tuple[Case, ...] = Field(min_length=1)


Given.model_rebuild()
