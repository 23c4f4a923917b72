"""What each error is in HTTP."""

from __future__ import annotations

from retrain.errors import ConfigError, EventError, Forbidden, NotFound, Permanent, Refused, RetrainError, Transient
from retrain.web.sessions import TooManyTries

STATUS: tuple[tuple[type[RetrainError], int], ...] = (
    (EventError, 400),
    (ConfigError, 422),
    (NotFound, 404),
    (Forbidden, 403),
    (TooManyTries, 429),
    (Refused, 409),
    (Transient, 503),
    (Permanent, 422),
)
"""The first that fits counts."""


def status_of(error: Exception) -> int:
    """The status of an answer that says this error."""
    return next((code for kind, code in STATUS if isinstance(error, kind)), 500)
