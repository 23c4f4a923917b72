"""What Argo Events and Retrain do differently, as data: the one place where code knows what docs/compatibility.md says.

The words of a fact are those of its row on that page; a test holds the two together. What is refused is not here: the
loader's findings say it.
"""

from __future__ import annotations

from retrain.app.migrating.facts.buses import BUSES
from retrain.app.migrating.facts.fact import Fact, Found, Verdict, found_at
from retrain.app.migrating.facts.sensors import SENSORS
from retrain.app.migrating.facts.sources import SOURCES
from retrain.app.migrating.facts.triggers import TRIGGERS

FACTS: dict[str, tuple[Fact, ...]] = {
    "EventSource": SOURCES,
    "Sensor": SENSORS + TRIGGERS,
    "EventBus": BUSES,
}
"""The facts by the kind of object that they are about."""

__all__ = ["FACTS", "Fact", "Found", "Verdict", "found_at"]
