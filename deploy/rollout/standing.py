"""What a promotion in the branch is worth: live, still looked at, or neither. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from retrain.events import JsonValue
from retrain.store.promotions import PromotionRow

UNASKED = "unasked"
"""The outcome of a canary's step where no checks are declared: nobody looks, and only time passes."""


def seen(row: PromotionRow) -> Mapping[str, JsonValue]:
    """What was seen after its commit, empty where nothing is to be."""
    return row.verification if isinstance(row.verification, dict) else {}


def is_live(row: PromotionRow) -> bool:
    """Whether the model may go on from here: verified, or committed where nothing is verified."""
    return row.state == "live" or (row.state == "committed" and not seen(row))


def live_since(row: PromotionRow) -> datetime:
    """Since when a live one is."""
    return when(row, "at") or row.ended or row.updated


def is_under_way(row: PromotionRow) -> bool:
    """Whether it is in the branch and nobody knows yet what becomes of it: verified, or on its way through a canary."""
    if row.state == "stepping":
        return True
    return row.state == "committed" and seen(row).get("outcome") in {"pending", "passed", UNASKED}


def when(row: PromotionRow, name: str) -> datetime | None:
    """A time that was written down beside what was seen."""
    said = seen(row).get(name)
    return datetime.fromisoformat(said) if isinstance(said, str) else None
