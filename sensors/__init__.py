"""Events -> firings. What a Sensor means is decided by pure code; one loop beside it reads the log and writes.

spec, dependency_spec, trigger_spec, shapes    what the user writes, and `check`
filters, parameters, render, step              the decision: state, event -> state, firings
explain                                        the same decision over a file of events, without a platform
batch, host                                    the loop from the log to the store
"""

from sensors.explain import explain, read_events
from sensors.spec import SensorDocument, check
from sensors.step import Sensor

__all__ = [
    "Sensor",
    "SensorDocument",
    "check",
    "explain",
    "read_events",
]
