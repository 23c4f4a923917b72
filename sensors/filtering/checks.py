"""What a filter says of an event: its answer, and how the answers of several are joined. Argo Events' rules.

Source: https://github.com/argoproj/argo-events/blob/master/pkg/sensors/dependencies/filter.go
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sensors.filtering.content import Content

MAX_SHOWN = 80
"""Characters of a value that a reason shows."""


@dataclass(frozen=True, slots=True)
class Check:
    """One filter's answer. `path`: what it looks at, the text of an expression; "" where the kind has none.
    `failed`: it could not be judged; `absent`: for lack of the value that it asks for."""

    kind: str
    path: str
    passed: bool
    reason: str
    failed: bool = False
    absent: bool = False


JudgeOne = Callable[[Content], Check]


def passing(kind: str, path: str = "") -> Check:
    """The answer yes. Made once for a filter, for it says the same of every event."""
    return Check(kind, path, True, "")


def missing(kind: str, path: str, shown: str = "") -> Check:
    """The answer where `path` leads nowhere. `shown`: what the check looks at, if that is not the path."""
    return Check(kind, shown or path, False, f"path {path!r} does not exist", failed=True, absent=True)


def failing(kind: str, path: str, error: Exception) -> Check:
    """The answer of a filter that cannot be judged."""
    return Check(kind, path, False, str(error), failed=True)


def shown(text: str) -> str:
    """A value in the words of a reason, shortened."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def first_against(checks: Sequence[Check], any_passes: bool) -> Check | None:
    """Of the filters of one kind, the answer that decides against the event; None if they let it pass.

    Joined by `and` that is the first that does not pass. Joined by `or` one that passes is enough, whatever the others
    say; if none does, one that could not be judged weighs more than one that says no.
    """
    against: Check | None = None
    for check in checks:
        if check.passed:
            if any_passes:
                return None
        elif not any_passes:
            return check
        elif against is None or (check.failed and not against.failed):
            against = check
    return against
