"""expr-lang: what one evaluation works with, and how much it may do and make.

Work is counted in steps and memory in elements and characters, not in seconds and bytes: the same expression over the
same data ends in the same way on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from retrain.expressions.expr.tokens import ExprError

MAX_STEPS = 1_000_000
"""Work of one evaluation: about one step for each node that a loop visits and for each 16 characters of a text."""
MAX_ITEMS = 1_000_000
"""Elements of all lists and maps that one evaluation makes."""
MAX_TEXT = 1024 * 1024
"""Characters of any text that it makes."""
MAX_VALUE_DEPTH = 100
"""How deep a value may be nested that is compared, written out or returned."""


class LimitError(ExprError):
    """One evaluation did or made too much."""


class Frame:
    """What one evaluation works with: the environment, variables, and what is left to spend."""

    __slots__ = ("acc", "around", "env", "index", "item", "items_left", "now", "seed", "slots", "steps_left")

    def __init__(self, env: Mapping[str, object], slots: int, now: datetime | None, seed: str) -> None:
        self.env = env
        self.slots: list[object] = [None] * slots
        self.now = now
        self.seed = seed
        self.item: object = None
        self.index = 0
        self.acc: object = None
        self.around: object = None
        self.steps_left = MAX_STEPS
        self.items_left = MAX_ITEMS

    def spend(self, steps: int) -> None:
        """Count work.

        Raises:
            ExprError: there was too much of it.
        """
        self.steps_left -= steps
        if self.steps_left < 0:
            raise LimitError(f"the expression takes more than {MAX_STEPS} steps")

    def room(self, items: int) -> None:
        """Count elements of a new list or map."""
        self.items_left -= items
        if self.items_left < 0:
            raise LimitError(f"memory budget exceeded: more than {MAX_ITEMS} elements")
        self.spend(items >> 2)

    def text(self, length: int) -> None:
        """Count a text that is read or made; call it before it is made."""
        if length > MAX_TEXT:
            raise LimitError(f"memory budget exceeded: a text of more than {MAX_TEXT} characters")
        self.spend(length >> 4)

    def touch(self, value: object) -> None:
        """Count a long text that is compared, or looked up as a key."""
        if type(value) is str and len(value) > 4096:
            self.spend(len(value) >> 8)
