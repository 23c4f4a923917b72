"""The log of modules that a command line waits for: structlog is loaded with the first line that is written.

It takes as long to load as all of the engine, and most runs in the foreground have nothing to say.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

_waiting: list[Callable[[], None]] = []


class _Logger:
    """`structlog.get_logger()`, fetched with the first use."""

    def __init__(self) -> None:
        self._logger: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._logger is None:
            import structlog

            while _waiting:
                _waiting.pop()()
            self._logger = structlog.get_logger()
        return getattr(self._logger, name)


def get_logger() -> Any:
    """A logger with structlog's methods."""
    return _Logger()


def set_up_later(work: Callable[[], None]) -> None:
    """Have `work`, which configures structlog, done before the first line. At once if structlog is loaded already."""
    if "structlog" in sys.modules:
        work()
    else:
        _waiting[:] = [work]
