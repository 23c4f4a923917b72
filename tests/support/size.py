"""How much the costly tests do.

RETRAIN_TEST_FAULTS is `few` (the default: every sort of fault comes, a few times) or `all` (for a night, or before a
release: thousands of messages, tens of kills).
"""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

WHOLE = {"few": False, "all": True}[os.environ.get("RETRAIN_TEST_FAULTS") or "few"]


def size(few: T, whole: T) -> T:
    """How many of something this run takes."""
    return whole if WHOLE else few
