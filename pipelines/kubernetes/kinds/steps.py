"""Reading kinds whose controllers say by one word how far an object is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipelines.kubernetes.kinds.port import ENDED, Object, Phase
from pipelines.kubernetes.kinds.status import SUSPENDED, spec_of, time_of

Steps = Mapping[str, tuple[Phase, str]]
"""The controller's word -> the phase, and what there is to say of it."""


def step_of(steps: Steps, name: str) -> tuple[Phase, str]:
    """What a word means. One that nobody knows is told as it is."""
    return steps.get(name, ("Running", name))


def held(found: Object, name: str, message: str) -> str:
    """The message; of an object that its controller has not looked at, and that is to wait, that it does."""
    return SUSPENDED if not name and spec_of(found).get("suspend") is True else message


def joined(*parts: str) -> str:
    """What there is to say, from the general to the special."""
    return ": ".join(part for part in parts if part)


def ended_at(phase: Phase, time: Any) -> datetime | None:
    """The time of the end, of what has ended."""
    return time_of(time) if phase in ENDED else None
