"""Promotions, holds, and what people did."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from retrain.web.shapes.common import Object, Page, Shape, When


class Gate(Shape):
    """What a gate said."""

    name: str
    kind: str
    verdict: Literal["pass", "fail", "error", "pending", "skipped"]
    reason: str
    figures: Any = None


class Change(Shape):
    """A field of a file that changes."""

    file: str
    path: str
    old: Any = None
    new: Any = None


class Promotion(Shape):
    """A model on its way to an environment."""

    id: str
    name: str
    state: str
    action: str
    environment: str
    candidate: Object
    commit: str | None
    gates: list[Gate]
    changes: list[Change]
    reason: str | None
    run: str | None
    firing: str | None
    created: When
    updated: When
    parent: str | None
    retryOf: str | None
    actor: str | None
    subject: str | None = Field(description="What is decided on: send it with `approve`")
    waiting: Any
    pull: Any
    step: int
    verification: Any


class PromotionPage(Page):
    """Promotions, newest first."""

    items: list[Promotion]


class Approval(Shape):
    """What somebody decided. `lapsed`: what was decided on has changed since."""

    actor: str
    verified: bool
    roles: list[str]
    decision: str
    reason: str
    at: When
    expires: When | None
    lapsed: bool
    subject: str | None


class Stop(Shape):
    """An environment on a model's way."""

    environment: str
    promotion: str | None
    state: str
    commit: str | None


class PromotionSeen(Promotion):
    """A promotion with its diff, its approvals and its way."""

    diff: str
    approvals: list[Approval]
    environments: list[Stop]
    mark: Any
    trace: str


class Done(Shape):
    """What came of an action, in words. Besides: the promotion, where it is about one."""

    message: str


class Hold(Shape):
    """What keeps automation away from a target."""

    name: str
    environment: str
    reason: str
    actor: str
    created: When


class HoldPage(Page):
    """Holds by name and environment."""

    items: list[Hold]


class Deed(Shape):
    """What somebody did."""

    at: When
    actor: str
    verified: bool
    action: str
    subject: str
    before: Any
    after: Any
    reason: str | None
    origin: Any = Field(alias="from", description="From where")


class DeedPage(Page):
    """What people did, newest first."""

    items: list[Deed]
