"""Ids that the lines of the log carry while something is worked on: `trace_id`, `span_id`, and what else is named."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def bound(**ids: str) -> Generator[None]:
    """Every line that is written in the block carries these. Nothing happens where no line was written yet."""
    if "structlog" not in sys.modules:
        yield
        return
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**{name: value for name, value in ids.items() if value}):
        yield
