"""Models, what waits for approvals, and letters in numbers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from retrain.web.shapes.common import Object, Page, Shape, When
from retrain.web.shapes.promotions import Hold


class Live(Shape):
    """What is live in an environment. `model`: the promotion whose model it is; after a rollback another one."""

    promotion: str
    model: str | None
    action: str
    state: str
    since: When | None
    commit: str | None
    step: int
    version: str | None
    uri: Any
    digest: Any
    metrics: Object
    run: str | None


class Target(Shape):
    """An environment of a model."""

    environment: str
    live: Live | None
    hold: Hold | None


class Model(Shape):
    """What a Promotion promotes. `gone`: no document has it any more."""

    name: str
    namespace: str | None
    gone: bool
    registry: Object | None
    environments: list[Target]


class ModelPage(Page):
    """Models by name."""

    items: list[Model]


class TargetSeen(Target):
    """An environment of a model with its history, the newest first."""

    approvedBy: list[str]
    spans: list[Object]
    held: list[Object]
    moments: list[Object]
    refused: list[Object]


class ModelSeen(Model):
    """A model with its history. `metrics`: names of figures; `metric`: the one that is drawn."""

    environments: list[TargetSeen]  # pyright: ignore[reportIncompatibleVariableOverride]
    metrics: list[str]
    metric: str


class Said(Shape):
    """Who has approved, and until when that counts."""

    actor: str
    at: When
    until: When | None


class Awaiting(Shape):
    """A promotion that waits for approvals. `why`: why whoever asks cannot give one; null: they can."""

    id: str
    name: str
    environment: str
    version: str | None
    subject: str
    reason: str | None
    since: When
    have: int
    need: int
    until: When | None
    expires: float = Field(description="Seconds that an approval counts")
    roles: list[str]
    said: list[Said]
    can: list[str]
    why: str | None


class AwaitingPage(Page):
    """What waits for approvals, those first that whoever asks can give."""

    items: list[Awaiting]
