"""What a span is before a library of OpenTelemetry has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

TEXT = 500
"""Characters of a text that a span carries."""

Role = Literal["internal", "client", "producer", "consumer"]
Attributes = dict[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Span:
    """One span. Times are aware; `parent` is a span id; `links` are (trace id, span id). `failed`: why it is an error.
    `sampled`: what somebody outside has decided on the whole trace; None: nobody."""

    name: str
    span: str
    parent: str | None
    start: datetime
    end: datetime
    attributes: Attributes = field(default_factory=dict[str, "str | int | float | bool"])
    role: Role = "internal"
    links: tuple[tuple[str, str], ...] = ()
    failed: str | None = None
    trace: str = ""
    sampled: bool | None = None


Made = dict[str, list[Span]]
"""Spans by the key or id of what they are of."""
