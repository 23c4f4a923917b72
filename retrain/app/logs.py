"""Logs: one event a line on stderr; coloured where a person looks, JSON where a machine does."""

from __future__ import annotations

import io
import logging
import sys
from contextlib import suppress
from functools import partial
from typing import Any, TextIO, cast

from retrain.errors import ConfigError
from retrain.log import set_up_later

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Unfailing(io.TextIOBase):
    """A stream whose lines are lost where they cannot be written: its disk is full, or whoever read it is gone.

    What the lines tell of goes on: a request is answered, a waiting loop tries again.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def prepare(level: str) -> None:
    """`set_up` with the first line that is logged, for a command that has mostly nothing to say.

    Raises:
        ConfigError: there is no such level.
    """
    check_level(level)
    set_up_later(partial(set_up, level, cached=False))


def check_level(level: str) -> None:
    """
    Raises:
        ConfigError: there is no such level.
    """
    if level not in LEVELS:
        raise ConfigError(f"RETRAIN_LOG_LEVEL: {level!r} is none of {', '.join(LEVELS)}")


def set_up(level: str, *, cached: bool = True) -> None:
    """Send structlog's and the libraries' lines to stderr, from `level` on. `cached`: to this stderr until the end.

    Raises:
        ConfigError: there is no such level.
    """
    import structlog

    check_level(level)
    person, stderr = sys.stderr.isatty(), cast("TextIO", Unfailing(sys.stderr))
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if not person else "%H:%M:%S", utc=not person),
    ]
    finish: list[Any] = (
        [structlog.dev.ConsoleRenderer(pad_event_to=24)]
        if person
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stderr),
        cache_logger_on_first_use=cached,
    )
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    # Libraries speak up when something is wrong; their daily chatter is theirs.
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, LEVELS[level]), force=True)
