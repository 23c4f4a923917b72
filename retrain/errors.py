"""What can go wrong, told apart by what the caller should do.

    RetrainError
    ├── ConfigError     tell the user; nothing was applied          exit 2, HTTP 422
    │   └── EventError  the bytes are no CloudEvent                 HTTP 400
    ├── Refused         the answer is no, and stays no              exit 1, HTTP 409
    │   └── Forbidden   to this person it is                        HTTP 403
    ├── NotFound        there is no such thing                      exit 1, HTTP 404
    ├── Transient       try again later, with backoff               exit 4, HTTP 503
    │   └── BusError    the bus did not take or give it
    └── Permanent       trying again changes nothing: dead letter   exit 1

Adapters translate at their boundary (`raise BusError(...) from error`). A message says what was wrong, where, and what
would be right: `sensors/drift.yaml:12: unknown dependency 'droft'; did you mean 'drift'?`
"""

from __future__ import annotations


class RetrainError(Exception):
    """Anything that Retrain raises on purpose."""


class ConfigError(RetrainError):
    """What the user wrote cannot be used; nothing of it was applied."""


class EventError(ConfigError):
    """The bytes are not a CloudEvent; `attribute` names the one that is wrong."""

    def __init__(self, attribute: str, message: str) -> None:
        super().__init__(f"{attribute}: {message}")
        self.attribute = attribute


class Refused(RetrainError):
    """The answer is no: a gate failed, a state does not allow it, someone else holds it."""


class Forbidden(Refused):
    """Whoever asks may not: they lack a role, or have not said who they are."""


class NotFound(RetrainError):
    """There is no such thing."""


class Transient(RetrainError):
    """A server is away, busy or slow. The same call may succeed later."""


class BusError(Transient):
    """The bus did not confirm a publish, or could not be read."""


class Permanent(RetrainError):
    """Trying again would fail in the same way: the work goes to the dead letters."""
