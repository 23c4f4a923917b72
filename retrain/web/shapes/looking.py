"""The whole platform: overview, search, trace, health."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from retrain.web.shapes.common import Object, Page, Shape, When


class Overview(Shape):
    """The last day, and now."""

    since: When
    capped: int = Field(description="A count that is as high as this may be higher")
    flow: Object = Field(description="How many events, decisions, firings, runs and promotions, by state")
    waiting: Object = Field(description="For people")
    broken: Object
    live: list[Object] = Field(description="The newest commit of each model in each environment")


class Found(Shape):
    """Something that has a name."""

    kind: str
    id: str
    summary: str


class Finding(Shape):
    """What was found. `exact`: it is their id, key, object or name."""

    items: list[Found]
    exact: bool


class Link(Shape):
    """A thing in a trace."""

    kind: Literal["object", "event", "firing", "run", "promotion", "commit"]
    id: str
    time: When | None
    summary: str


class Trace(Shape):
    """From the object that arrived to the commit that deploys its model. `edges`: pairs of ids, cause first.
    `trace`: its id as OpenTelemetry has it."""

    trace: str
    nodes: list[Link]
    edges: list[list[str]]


class Reloaded(Shape):
    """The project's files, loaded again."""

    status: str
    notes: list[Any]


class Alive(Shape):
    """The process lives."""

    status: Literal["alive"]


class PartReady(Shape):
    """A part of the platform."""

    name: str
    ready: bool
    waitingFor: str | None


class Ready(Shape):
    """Whether events can be taken in."""

    status: Literal["ready", "waiting"]
    parts: list[PartReady]


class PartHealth(PartReady):
    """A part, and since when it is as it is. `vital`: nothing is taken in without it."""

    vital: bool
    since: When | None


class Health(Shape):
    """How all of it is. What is null is not known now."""

    status: Literal["ready", "degraded", "waiting"]
    at: When
    started: When
    versions: Object
    parts: list[PartHealth]
    log: Object
    sensors: list[Object]
    sensorCount: int
    sources: Object
    store: Object
    bus: Object | None
    disk: Object | None
    runner: Object | None
    settings: list[Object]


class Check(Shape):
    """Something that was looked at. `means` and `do` (what would be right) are empty where it is ok."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    means: str
    do: str


class CheckPage(Page):
    """All that was looked at."""

    items: list[Check]
