"""Events, and what was made of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from retrain.web.shapes.common import Page, Shape, When


class CloudEvent(Shape):
    """A CloudEvent 1.0; further attributes are its extensions."""

    EXAMPLE = {
        "specversion": "1.0",
        "id": "order-17",
        "source": "shop",
        "type": "order",
        "time": "2026-11-20T08:00:00Z",
        "data": {"rows": 3},
    }
    specversion: Literal["1.0"]
    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    type: str = Field(min_length=1)
    subject: str = ""
    time: When = ""
    datacontenttype: str = ""
    dataschema: str = ""
    data: Any = None
    data_base64: str = ""


class EventPage(Page):
    """Events, newest first."""

    items: list[CloudEvent]
    searched: int | None = Field(default=None, description="How many were looked through, where that is bounded")


class Decision(Shape):
    """What a sensor made of an event."""

    event: str | None = Field(description="The event's key; null: a timer decided")
    sensor: str
    dependency: str | None
    outcome: str
    reason: str | None
    detail: Any
    time: When | None
    trigger: str | None
    key: str | None


class Silent(Shape):
    """A sensor that said nothing of an event, and why. `asks`: it does ask for such events."""

    sensor: str
    asks: bool
    reason: str
    nearest: dict[str, str] | None = Field(description="Its dependency that is most like the event")


class EventSeen(Shape):
    """An event, what every sensor made of it, and the firings that it was part of."""

    event: CloudEvent
    key: str
    trace: str
    decisions: list[Decision]
    firings: list[str]
    silent: list[Silent]
    silentLeft: int = Field(ge=0, description="How many more sensors said nothing, which are less like it")


class EmittedAgain(Shape):
    """The new event, and the id of the one `of` which it is a copy."""

    id: str
    key: str
    of: str
    position: int


class Receipt(Shape):
    """An event that the bus has. `duplicate`: it had it already."""

    id: str
    position: int = Field(ge=0)
    duplicate: bool


class Taken(Shape):
    """What was taken in: all that was sent."""

    accepted: list[Receipt]


class Nothing(Shape):
    """An empty object."""


class Firing(Shape):
    """What a sensor has a trigger do."""

    id: str
    sensor: str
    trigger: str
    key: str | None
    events: list[str]
    state: str
    attempts: int
    created: When
    finished: When | None
    nextAttempt: When | None
    result: Any
    error: str | None


class FiringPage(Page):
    """Firings, newest first."""

    items: list[Firing]
    searched: int | None = Field(default=None, description="How many were looked through, where that is bounded")


class HeldFiring(Shape):
    """A match that is held back. `asks`: it waits for an approval; `gate`: the limit that holds it."""

    firing: str
    sensor: str
    trigger: str
    key: str
    gate: str
    reason: str
    since: When | None
    asks: bool
    approved: bool


class HeldPage(Page):
    """What is held back: what asks for an approval first, then the oldest first."""

    items: list[HeldFiring]


class FiringSeen(Firing):
    """A firing with its action."""

    action: Any
    trace: str


class FiringAnswered(Shape):
    """A firing that was held over its budget, and what somebody said to it."""

    firing: str
    sensor: str
    trigger: str
    event: str
    verdict: Literal["granted", "rejected"]


class DeadLetter(Shape):
    """What nobody could take, or what no try could do."""

    id: str
    kind: str
    origin: str
    reason: str
    body: str = Field(description="As text, as far as it is text; in a list its beginning")
    bytes: int = Field(description="How long the body is")
    created: When
    redriven: When | None


class DeadLetterPage(Page):
    """Dead letters, newest first."""

    items: list[DeadLetter]


class RedrivenAll(Shape):
    """How many letters were tried again, of how many the firing lives on or is gone, and how many more match."""

    redriven: int
    refused: int
    left: int


class Redriven(Shape):
    """The firing that is tried again."""

    firing: str
