"""Sources and sensors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from retrain.web.shapes.common import Object, Page, Shape, When
from retrain.web.shapes.events import Decision


class Source(Shape):
    """An entry of an EventSource, and how it is doing."""

    source: str
    event: str
    kind: str
    state: Literal["starting", "standby", "listening", "waiting", "stopped"]
    since: When
    waitingFor: str | None
    note: str | None
    lastEvent: When | None
    received: int
    rate: float = Field(description="Events a second over the last minute")
    lag: Any
    filtered: int
    deadLetters: int
    errors: int
    lastError: str | None
    lastErrorAt: When | None


class SourcePage(Page):
    """Sources by name."""

    items: list[Source]


class Sensor(Shape):
    """A sensor in short. `open`: how many keys wait; `held`: how many matches are."""

    name: str
    file: str
    line: int
    mode: str
    dependencies: list[str]
    triggers: list[str]
    open: int
    held: int
    behind: bool


class Limit(Shape):
    """A limit of a trigger. `full`: the next firing is held or refused now; `until`: when time changes that."""

    trigger: str
    kind: Literal["concurrency", "schedule", "cooldown", "rateLimit", "budget"]
    key: str
    used: float | None
    reserved: float | None
    limit: float | None
    unit: str
    per: str
    until: When | None
    full: bool
    onConflict: str


class SourceSeen(Shape):
    """A source with its entries, its events by the hour (`whole`: all of them are counted), and its document."""

    name: str
    file: str | None
    line: int | None
    entries: list[Source]
    hours: list[Object]
    whole: bool
    manifest: str
    findings: list[Object]


class GraphNode(Shape):
    """A part of the graph. `count`: of the last day, at least so many where `most`; `failed` of them went wrong."""

    id: str
    kind: Literal["source", "sensor", "trigger", "workflow", "promotion"]
    name: str
    under: str
    state: str
    count: int | None
    failed: int
    most: bool


class SensorGraph(Shape):
    """What leads to what: pairs of ids, cause first. `back`: pairs that would close a circle."""

    nodes: list[GraphNode]
    edges: list[list[str]]
    back: list[list[str]]


class SensorPage(Page):
    """Sensors by name."""

    items: list[Sensor]


class Held(Shape):
    """A match that is held. `asks`: it waits for a person's word."""

    firing: str
    reason: str
    since: When | None
    asks: bool


class Waiting(Shape):
    """What a trigger has of what it needs, for one key. `trigger` is empty for the window of a dependency."""

    trigger: str
    key: str | None
    have: list[str]
    need: list[str]
    until: When | None
    opened: When | None
    count: int
    progress: Any
    held: list[Held]


class Silence(Shape):
    """A dependency of which nothing has come."""

    dependency: str
    key: str | None
    since: When | None
    last: Any
    due: When | None


class Lane(Shape):
    """What of a trigger runs and is held, and what its budget has spent."""

    trigger: str
    active: list[Object]
    held: int
    spent: float
    firings: int
    due: When | None


class Memory(Shape):
    """How far a sensor has read the log. `joined`: with all others."""

    position: int
    joined: bool
    updated: When | None


class NumberedDecision(Decision):
    """A decision with the id of its event."""

    eventId: str | None


class SensorSeen(Sensor):
    """A sensor with all that it waits for, page by page, and its newest decisions."""

    waiting: list[Waiting]
    silences: list[Silence]
    lanes: list[Lane]
    limits: list[Limit]
    next: str | None
    memory: Memory | None
    decisions: list[NumberedDecision]
    decisionsNext: str | None


class Removed(Shape):
    """What a sensor left that is gone. `removed`: the whole of it; `cells`: how many, by part."""

    name: str
    removed: bool
    since: When | None
    cells: dict[str, int]


class RemovedPage(Page):
    """What is set aside, by sensor."""

    items: list[Removed]


class Replayed(Shape):
    """What the recorded log makes of a sensor."""

    sensor: str
    to: When
    log: Object
    events: int
    outcomes: dict[str, int]
    count: int
    firings: list[Object]
    waiting: list[Object]
    assumed: Any
    diff: Object = {}
    tookSeconds: float
