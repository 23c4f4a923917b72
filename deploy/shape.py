"""What every part of a Promotion is: frozen, and without unknown fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """A part of what the user writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def allow(value: str, why: str | None) -> str:
    """The value, for a validator of pydantic's.

    Raises:
        ValueError: there is something against it.
    """
    if why is not None:
        raise ValueError(f"{value[:120]!r} {why}")
    return value
