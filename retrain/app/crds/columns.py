"""What `kubectl get` shows of each kind. `wide` ones with `-o wide` only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """`path`: where in the object; `type` as the API has it."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    about: str = ""


_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_STATE = Column("State", ".status.state", about="Outdated: the newest version is refused, the last good one runs")
_WAITING = Column("Waiting", ".status.waiting", about="What it waits for")
_ERROR = Column("Error", ".status.errors[0].message", wide=True)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "EventSource": (
        _STATE,
        Column("Events", ".status.events", "integer", about="Events taken in since the platform has started"),
        Column("Last Event", ".status.lastEvent", "date"),
        _WAITING,
        _ERROR,
        _AGE,
    ),
    "Sensor": (
        _STATE,
        Column("Last Firing", ".status.lastFiring.time", "date"),
        Column("Result", ".status.lastFiring.state"),
        _WAITING,
        Column("Trigger", ".status.lastFiring.trigger", wide=True),
        _ERROR,
        _AGE,
    ),
    "Promotion": (_STATE, _WAITING, _ERROR, _AGE),
    "EventBus": (
        _STATE,
        Column("Configured", ".status.conditions[?(@.type=='Configured')].message", wide=True),
        _ERROR,
        _AGE,
    ),
}
