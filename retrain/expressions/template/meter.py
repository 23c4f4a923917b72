"""What a rendering may use: a bound on work, on the size of texts and on nesting, so that none of them can hang us.

Work is counted in steps, not in seconds: the same template over the same data ends in the same way on every machine. A
function that walks a whole value says how far it went with `spend`; the rendering under way in this thread pays.
"""

from __future__ import annotations

import threading

from retrain.expressions.template.values import LimitError

MAX_TEXT = 64 * 1024
"""Characters of a template."""
MAX_OUTPUT = 1024 * 1024
"""Characters that a template may write."""
MAX_STRING = 4 * 1024 * 1024
"""Characters of one text that a function makes."""
MAX_LIST = 100_000
"""Elements of one list that a function makes from nothing."""
MAX_STEPS = 1_000_000
"""Actions, turns of a loop and calls, with every 64 characters or 8 elements that a function handles as one more."""
MAX_NESTING = 100
"""Depth of values that are walked: lists in maps in lists."""
MAX_CALLS = 100
"""Templates that call templates."""
MAX_BLOCKS = 50
"""Depth of blocks and parentheses in the text of a template."""


class Meter:
    """The steps that are left."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Pay for work.

        Raises:
            LimitError: nothing is left.
        """
        self.left -= steps
        if self.left < 0:
            raise LimitError("it does too much: the limit of steps is used up")


class _Thread(threading.local):
    meter: Meter | None = None


_thread = _Thread()


def under_way() -> Meter | None:
    """The meter of the rendering under way in this thread, if there is one."""
    return _thread.meter


def swap(meter: Meter | None) -> Meter | None:
    """Let `meter` pay for what functions do in this thread; the one that did so far comes back, to be put back."""
    before, _thread.meter = _thread.meter, meter
    return before


def spend(steps: int) -> None:
    """Pay from the meter of the rendering under way in this thread, if there is one."""
    meter = _thread.meter
    if meter is not None:
        meter.spend(steps)


def room(size: int) -> None:
    """Check that a text of so many characters may be made, before it is.

    Raises:
        LimitError: it would be too long.
    """
    if size > MAX_STRING:
        raise LimitError(f"the text would have {size} characters, {MAX_STRING} are allowed")
    spend(size >> 6)


def seats(count: int) -> None:
    """Check that a list of so many elements may be made, before it is.

    Raises:
        LimitError: it would be too long.
    """
    if count > MAX_LIST:
        raise LimitError(f"the list would have {count} elements, {MAX_LIST} are allowed")
    spend(count >> 3)
