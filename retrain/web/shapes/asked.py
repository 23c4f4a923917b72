"""What bodies of actions say. All of it is text."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ReplayBody(_Body):
    """Either `sensor`, a name, or `manifest`, the text of a file."""

    sensor: str = Field("", description="The name of a sensor that runs here")
    manifest: str = Field("", description="The text of a file with a sensor")
    name: str = Field("", description="Which sensor, where the file has several")
    since: str = Field("", alias="from", description="The time, or the day, from which the log is read")
    to: str = Field("", description="The time, or the day, up to which it is read")
    diff: str = Field("", description="The name of the sensor to compare with")
    limit: str = Field("", description="Events of the log at most, the newest of them: a number, as text")


class VerdictBody(_Body):
    """Who says so, and why."""

    reason: str = Field("", description="Why")
    actor: str = Field("", description="Who says so, where no token of their own says it")


class AgainBody(VerdictBody):
    """Which event; who says so, and why."""

    id: str = Field(description="The id or the key of an event")


class PromotionBody(VerdictBody):
    """What is said with an action on a promotion; which of these, the action says."""

    subject: str = Field("", description="approve: the `subject` of what was looked at: that or nothing")
    gates: str = Field("", description="waive: a JSON list of names of gates")
    lasts: str = Field("", description="waive: for how long, such as 30m")
    environment: str = Field("", description="propose, rollback, hold, release: which, where there are several")
    candidate: str = Field("", description="propose: the candidate as JSON")


class LettersBody(VerdictBody):
    """Which letters are meant, as in the list; who says so, and why."""

    kind: str = Field("", description="firing, message or event")
    origin: str = Field("", description="A source, a sensor, or SENSOR/TRIGGER")
    text: str = Field("", description="What is looked for in the reason")
    since: str = Field("", description="An age such as 2h, or a time")
    until: str = Field("", description="An age such as 2h, or a time")
    state: str = Field("", description="waiting or redriven")
